// T1 tables. The same model as op_cost.cc, written once more: over arrays, from mapping sets.
#include "silicon/cost_table.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

#include "silicon/cost_model_impl.h"
#include "silicon/price.h"

namespace dovetail::silicon {
namespace {

// As in op_cost.cc: mappings this close count as equally quick, energy decides.
constexpr double kTie = 1e-9;

// Mapping sets kept per thread. One takes about 100 KiB.
constexpr size_t kMaxCachedSets = 512;

Result<const MappingSets*> cached_sets(const CostModel::Impl& impl, const chip::Chip& chip,
                                       double burst_bytes);

// Cost of one op for every treatment, and room for the best mapping so far.
struct OpArrays {
  std::vector<double> latency, energy, resident_latency, resident_energy;
  void reset(size_t size) {
    for (std::vector<double>* a : {&latency, &energy, &resident_latency, &resident_energy}) {
      a->assign(size, kIllegal);
    }
  }
};

struct LinearRates {
  double dram_ns, sram_ns;                        // per weight byte
  double activation_dram_ns, activation_sram_ns;  // per activation byte, one of them 0
  double activation_pj;
};

void keep_better(double latency, double energy, double& best_latency, double& best_energy) {
  const bool better = (latency < best_latency * (1 - kTie)) |
                      ((latency <= best_latency * (1 + kTie)) & (energy < best_energy));
  best_latency = better ? latency : best_latency;
  best_energy = better ? energy : best_energy;
}

void price_slot(const LinearWork& work, const std::vector<double>& weight_bytes,
                const MappingSlot& slot, const ChipRates& r, const LinearRates& rates,
                double overhead_ns, OpArrays& out) {
  const size_t count = weight_bytes.size();
  const double* __restrict compute = slot.compute_cycles.data();
  const double* __restrict weight_passes = slot.weight_passes.data();
  const double* __restrict activation_passes = slot.activation_passes.data();
  const double* __restrict decoded_per_core = slot.decoded_per_core.data();
  const double* __restrict decoded = slot.decoded_values.data();
  const double* __restrict weight_buffer = slot.weight_buffer_bytes.data();
  const double* __restrict activation_buffer = slot.activation_buffer_bytes.data();
  const double* __restrict first_weights = slot.first_weight_bytes.data();
  const double* __restrict first_quantize = slot.first_quantize_cycles.data();
  const double* __restrict last_convert = slot.last_convert_cycles.data();
  const double* __restrict mac_um2 = slot.mac_um2.data();
  const double* __restrict weights = weight_bytes.data();
  const double* __restrict element_bytes = work.activation_bytes.data();
  const double* __restrict vector_cycles = work.vector_cycles.data();
  const double* __restrict quantize_bytes = work.quantize_bytes.data();
  const double* __restrict granules = work.granules.data();
  double* __restrict latency = out.latency.data();
  double* __restrict energy = out.energy.data();
  double* __restrict resident_latency = out.resident_latency.data();
  double* __restrict resident_energy = out.resident_energy.data();
  const double inputs = work.m * work.k;
  const double output_bytes = work.m * work.n * 2;
  for (size_t t = 0; t < count; ++t) {
    const double w = weights[t] * weight_passes[t];
    const double a =
        inputs * element_bytes[t] * activation_passes[t] + output_bytes + quantize_bytes[t];
    const double work_ns =
        std::max(std::max(decoded_per_core[t] * r.decode_ns_per_value, compute[t] * r.cycle_ns),
                 vector_cycles[t] * r.vector_ns_per_cycle) +
        first_quantize[t] * r.vector_ns_per_cycle;
    const double common = overhead_ns + last_convert[t] * r.vector_ns_per_cycle;
    const double common_pj = mac_um2[t] * r.mac_pj_per_um2 + granules[t] * r.granule_pj +
                             decoded[t] * r.decode_pj_per_value +
                             vector_cycles[t] * r.vector_pj_per_cycle +
                             weight_buffer[t] * r.weight_buffer_pj_per_byte +
                             activation_buffer[t] * r.activation_buffer_pj_per_byte +
                             (w + a) * r.noc_pj_per_byte + a * rates.activation_pj;
    const double a_dram = a * rates.activation_dram_ns;
    const double a_sram = a * rates.activation_sram_ns;
    const double streamed = common + std::max(std::max(w * rates.dram_ns + a_dram, a_sram),
                                              first_weights[t] * rates.dram_ns + work_ns);
    keep_better(streamed, common_pj + w * r.dram_pj_per_byte + streamed * r.leakage_mw, latency[t],
                energy[t]);
    const double resident = common + std::max(std::max(a_dram, w * rates.sram_ns + a_sram),
                                              first_weights[t] * rates.sram_ns + work_ns);
    keep_better(resident, common_pj + w * r.sram_pj_per_byte + resident * r.leakage_mw,
                resident_latency[t], resident_energy[t]);
  }
}

void price_linears(const CostModel::Impl& impl, const MappingSets& sets, const ChipRates& r,
                   double working, CostTable& table) {
  const size_t treatments = impl.menu.linear.size();
  thread_local OpArrays best;
  for (size_t i = 0; i < impl.linears.size(); ++i) {
    const LinearWork& work = impl.linears[i];
    const LinearMappings& mappings = sets.linears[i];
    const bool spilled = 2 * work.m * (work.k + work.n) > working;
    const double dram_ns = spilled ? r.dram_mixed_ns_per_byte : r.dram_stream_ns_per_byte;
    const LinearRates rates = {.dram_ns = dram_ns,
                               .sram_ns = r.sram_ns_per_byte,
                               .activation_dram_ns = spilled ? dram_ns : 0,
                               .activation_sram_ns = spilled ? 0 : r.sram_ns_per_byte,
                               .activation_pj = spilled ? r.dram_pj_per_byte : r.sram_pj_per_byte};
    best.reset(treatments);
    for (const MappingSlot& slot : mappings.slots) {
      price_slot(work, mappings.weight_bytes, slot, r, rates, impl.constants.op_overhead_ns, best);
    }
    SiteCosts& site = table.sites[static_cast<size_t>(work.site)];
    for (size_t t = 0; t < treatments; ++t) {
      site.latency_ns[t] += static_cast<float>(work.times * best.latency[t]);
      site.energy_pj[t] += static_cast<float>(work.times * best.energy[t]);
      site.resident_latency_ns[t] += static_cast<float>(work.times * best.resident_latency[t]);
      site.resident_energy_pj[t] += static_cast<float>(work.times * best.resident_energy[t]);
      site.bytes[t] = static_cast<float>(mappings.weight_bytes[t]);
    }
  }
}

// One run of attention: what is alike streamed and resident.
struct AttentionRun {
  double cache_bytes = 0;   // written in prefill, read in decode
  double reread_bytes = 0;  // prefill: all passes over the cache
  bool reread_on_chip = false;
  double query_bytes = 0;
  bool query_spilled = false;
  double work_ns = 0;
  double common_pj = 0;  // without memories and leakage
  double dram_ns_per_byte = 0;
};

void price_attention_run(const AttentionRun& run, const ChipRates& r, double overhead_ns,
                         bool resident, double& best_latency, double& best_energy) {
  const bool reread_on_chip = resident || run.reread_on_chip;
  const double dram_bytes = (resident ? 0 : run.cache_bytes) +
                            (reread_on_chip ? 0 : run.reread_bytes) +
                            (run.query_spilled ? run.query_bytes : 0);
  const double sram_bytes = (resident ? run.cache_bytes : 0) +
                            (reread_on_chip ? run.reread_bytes : 0) +
                            (run.query_spilled ? 0 : run.query_bytes);
  const double latency = overhead_ns + std::max({dram_bytes * run.dram_ns_per_byte,
                                                 sram_bytes * r.sram_ns_per_byte, run.work_ns});
  const double energy = run.common_pj + dram_bytes * r.dram_pj_per_byte +
                        sram_bytes * r.sram_pj_per_byte + latency * r.leakage_mw;
  keep_better(latency, energy, best_latency, best_energy);
}

class AttentionPricer {
 public:
  AttentionPricer(const CostModel::Impl& impl, const ChipRates& rates, const chip::Chip& chip,
                  double burst_bytes, double working)
      : impl_(impl), r_(rates), burst_(burst_bytes), working_(working) {
    const auto cores = static_cast<double>(chip.cores);
    rounds_ = impl.copies >= cores ? std::ceil(impl.copies / cores) : 1;
    parts_ = impl.copies >= cores ? 1 : std::floor(cores / impl.copies);
    query_token_bytes_ = 4 * impl.batch * impl.kv_heads * impl.group * impl.head_dim;
  }

  AttentionRun prefill(size_t t, const AttentionMapping& map) const {
    const double macs =
        impl_.copies * impl_.group * impl_.prompt * (impl_.prompt + 1) * impl_.head_dim;
    const double bytes = impl_.kv[t].vector_bytes;
    AttentionRun run;
    run.cache_bytes = impl_.copies * 2 * impl_.prompt * bytes;
    run.reread_bytes = impl_.copies * 2 * map.prefill_read_tokens * bytes;
    run.reread_on_chip = run.cache_bytes <= working_;
    run.query_bytes = query_token_bytes_ * impl_.prompt;
    run.query_spilled = run.query_bytes > working_;
    const double values = map.needs_decoder ? 2 * map.prefill_read_tokens * impl_.head_dim : 0;
    const double vector_cycles = impl_.kv[t].prefill_vector_cycles;
    run.work_ns = std::max({map.prefill_cycles * r_.cycle_ns,
                            values * rounds_ / parts_ * r_.decode_ns_per_value,
                            vector_cycles * r_.vector_ns_per_cycle});
    run.common_pj = macs * map.lane_um2 * r_.mac_pj_per_um2 +
                    vector_cycles * r_.vector_pj_per_cycle +
                    values * impl_.copies * r_.decode_pj_per_value +
                    (run.cache_bytes + run.reread_bytes + run.query_bytes) * r_.noc_pj_per_byte +
                    run.reread_bytes * r_.weight_buffer_pj_per_byte;
    run.dram_ns_per_byte = r_.dram_mixed_ns_per_byte;
    return run;
  }

  AttentionRun decode(size_t t, const AttentionMapping& map, size_t node) const {
    const double tokens = impl_.nodes[node].tokens;
    const CostModel::Impl::KvWork& kv = impl_.kv[t];
    AttentionRun run;
    run.cache_bytes = impl_.copies * 2 * (tokens * kv.vector_bytes + burst_);
    run.query_bytes = query_token_bytes_;
    double vector_cycles = kv.decode_vector_cycles + tokens * kv.vector_cycles_per_context;
    if (parts_ > 1) {
      vector_cycles +=
          impl_.copies * parts_ * impl_.group * impl_.head_dim * impl_.constants.convert_cycles;
    }
    const double values = map.needs_decoder ? 2 * tokens * impl_.head_dim * map.row_tiles : 0;
    run.work_ns = std::max({map.decode_cycles[node] * r_.cycle_ns,
                            values / parts_ * rounds_ * r_.decode_ns_per_value,
                            vector_cycles * r_.vector_ns_per_cycle});
    run.common_pj = impl_.copies * impl_.group * tokens * 2 * impl_.head_dim * map.lane_um2 *
                        r_.mac_pj_per_um2 +
                    vector_cycles * r_.vector_pj_per_cycle +
                    values * impl_.copies * r_.decode_pj_per_value +
                    (run.cache_bytes + run.query_bytes) * r_.noc_pj_per_byte +
                    run.cache_bytes * r_.weight_buffer_pj_per_byte;
    run.dram_ns_per_byte = r_.dram_stream_ns_per_byte;
    return run;
  }

  // Sums over prefill and all decode steps, the best unit for each.
  void price(const MappingSets& sets, SiteCosts& site) const {
    for (size_t t = 0; t < impl_.kv.size(); ++t) {
      for (const bool resident : {false, true}) {
        double latency = 0;
        double energy = 0;
        for (size_t node = 0; node <= impl_.nodes.size(); ++node) {
          double best_latency = kIllegal;
          double best_energy = kIllegal;
          for (const std::vector<AttentionMapping>& unit : sets.attention) {
            const AttentionMapping& map = unit[t];
            if (!map.legal) continue;
            const AttentionRun run = node == 0 ? prefill(t, map) : decode(t, map, node - 1);
            price_attention_run(run, r_, impl_.constants.op_overhead_ns, resident, best_latency,
                                best_energy);
          }
          const double times = node == 0 ? 1 : impl_.nodes[node - 1].steps;
          latency += times * best_latency;
          energy += times * best_energy;
        }
        (resident ? site.resident_latency_ns : site.latency_ns)[t] = static_cast<float>(latency);
        (resident ? site.resident_energy_pj : site.energy_pj)[t] = static_cast<float>(energy);
      }
      site.bytes[t] = static_cast<float>(impl_.kv[t].max_tokens_bytes);
    }
  }

 private:
  const CostModel::Impl& impl_;
  const ChipRates& r_;
  double burst_;
  double working_;
  double rounds_ = 1;
  double parts_ = 1;
  double query_token_bytes_ = 0;
};

// Whatever cannot run gets exactly kIllegal; without a shared SRAM nothing is resident.
void mark_illegal(const MappingSets& sets, bool has_sram, CostTable& table) {
  for (size_t kind = 0; kind < table.sites.size(); ++kind) {
    SiteCosts& site = table.sites[kind];
    for (size_t t = 0; t < site.latency_ns.size(); ++t) {
      bool legal = false;
      if (kind == static_cast<size_t>(recipe::SiteKind::kKv)) {
        for (const auto& unit : sets.attention) legal = legal || unit[t].legal;
      } else {
        legal = sets.linear_legal[t];
      }
      if (!legal) site.latency_ns[t] = site.energy_pj[t] = kIllegal;
      if (!legal || !has_sram) site.resident_latency_ns[t] = site.resident_energy_pj[t] = kIllegal;
    }
  }
}

Result<const MappingSets*> cached_sets(const CostModel::Impl& impl, const chip::Chip& chip,
                                       double burst_bytes) {
  thread_local std::unordered_map<std::string, MappingSets> cache;
  thread_local std::string key;
  key.assign(reinterpret_cast<const char*>(&impl.id), sizeof(impl.id));
  append_mapping_key(chip, burst_bytes, key);
  const auto it = cache.find(key);
  if (it != cache.end()) return &it->second;
  DOVETAIL_TRY(MappingSets sets, build_mapping_sets(impl.mapper, chip, burst_bytes));
  if (cache.size() >= kMaxCachedSets) cache.clear();
  return &cache.emplace(key, std::move(sets)).first->second;
}

}  // namespace

Status CostModel::fill_table(const chip::Chip& chip, CostTable& table) const {
  const Impl& impl = *impl_;
  DOVETAIL_TRY(const DramConstants* dram, dram_of(impl.constants, chip));
  DOVETAIL_TRY(const ChipArea area, estimate_area(impl.constants, chip));
  DOVETAIL_TRY(const ChipRates rates, chip_rates(impl.constants, chip, area));
  DOVETAIL_TRY(const MappingSets* sets, cached_sets(impl, chip, dram->burst_bytes));
  const double working = impl.working(chip);
  impl.reset(chip, table);
  impl.add_vectors(rates, working, table);
  price_linears(impl, *sets, rates, working, table);
  const AttentionPricer attention(impl, rates, chip, dram->burst_bytes, working);
  attention.price(*sets, table.sites[static_cast<size_t>(recipe::SiteKind::kKv)]);
  mark_illegal(*sets, chip.sram_mib > 0, table);
  return {};
}

Result<ChipLimits> CostModel::limits(const chip::Chip& chip) const {
  const Constants& constants = impl_->constants;
  DOVETAIL_TRY(const ChipArea area, estimate_area(constants, chip));
  DOVETAIL_TRY(const ChipRates rates, chip_rates(constants, chip, area));
  DOVETAIL_TRY(const PeakPower power, estimate_peak_power(constants, chip, rates));
  DOVETAIL_TRY(const ChipPrice price, estimate_price(constants, chip, area.total_mm2()));
  DOVETAIL_TRY(const DramConstants* dram, dram_of(constants, chip));
  return ChipLimits{
      .area_mm2 = area.total_mm2(),
      .peak_power_mw = power.total_mw(),
      .die_price_usd = price.die_usd + price.package_usd,
      .dram_price_usd = price.dram_usd,
      .dram_gb_per_s = static_cast<double>(chip.dram.channels) * dram->channel_gb_per_s};
}

}  // namespace dovetail::silicon
