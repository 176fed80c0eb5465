// T1 tables. The same model as op_cost.cc, written once more: over arrays, from mapping sets.
#include "silicon/cost_table.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

#include "silicon/cost_model_impl.h"
#include "silicon/matrix_unit.h"
#include "silicon/price.h"

namespace dovetail::silicon {
namespace {

// As in op_cost.cc: mappings this close count as equally quick, energy decides.
constexpr double kTie = 1e-9;

// Of mapping sets kept per thread.
constexpr size_t kMaxCachedBytes = size_t{256} << 20;

Result<const MappingSets*> cached_sets(const ChipWork& impl, const chip::Chip& chip,
                                       double burst_bytes, double working_bytes);

template <typename T>
T larger(const T& a, const T& b) {
  return a > b ? a : b;
}

// Of numbers, or of vectors lane by lane.
template <typename T>
void keep_better(const T& latency, const T& energy, T& best_latency, T& best_energy) {
  const auto better = (latency < best_latency * (1 - kTie)) |
                      ((latency <= best_latency * (1 + kTie)) & (energy < best_energy));
  best_latency = better ? latency : best_latency;
  best_energy = better ? energy : best_energy;
}

// Cost of one op for every treatment, the best mapping so far: (row, treatment).
enum CostRow : uint8_t { kLatency, kEnergy, kResidentLatency, kResidentEnergy, kNumCostRows };

// What a linear costs on one unit of one chip under one treatment, whatever its mapping.
struct LinearRun {
  double fixed_ns = 0;     // outside the overlap of load and work
  double streamed_ns = 0;  // before the first sum: first weights from DRAM, first rows quantised
  double resident_ns = 0;  // the same from shared SRAM
  double vector_ns = 0;
  double dram_ns_per_byte = 0;
  double turn_ns = 0;  // of the DRAM bus, for what is written
  double decode_ns_per_row = 0;
  double fixed_pj = 0;
  double block_pj = 0;  // per block of tokens
};

LinearRun linear_run(const ChipWork& impl, const LinearWork& work, const UnitMappings& unit,
                     const ChipRates& r, bool spilled, size_t t) {
  const auto of_unit = [&](UnitRow row) { return unit.rows[row * work.treatments + t]; };
  LinearRun run;
  run.dram_ns_per_byte = spilled ? r.dram_spill_ns_per_byte : r.dram_stream_ns_per_byte;
  const double first_quantize_ns = of_unit(kFirstQuantizeCycles) * r.vector_ns_per_cycle;
  const double first_bytes = of_unit(kFirstWeightBytes);
  const double quantized = work.at(kQuantizeBytes, t);  // read at bf16, written
  const double written =
      2 * work.m * work.n + (quantized > 0 ? quantized - 2 * work.m * work.k : 0);
  run.turn_ns = spilled ? written * r.dram_turn_ns_per_byte : 0;
  run.fixed_ns =
      impl.constants.op_overhead_ns + of_unit(kLastConvertCycles) * r.vector_ns_per_cycle;
  run.streamed_ns = first_quantize_ns + first_bytes * run.dram_ns_per_byte;
  run.resident_ns = first_quantize_ns + first_bytes * r.sram_ns_per_byte;
  run.vector_ns = std::max(work.at(kVectorCycles, t) * r.vector_ns_per_cycle,
                           work.at(kTurned, t) * r.hadamard_ns_per_element);
  run.decode_ns_per_row = work.k * r.decode_ns_per_value;
  run.fixed_pj = of_unit(kMacUm2) * r.mac_pj_per_um2 + of_unit(kScaledSums) * r.granule_pj +
                 work.at(kVectorCycles, t) * r.vector_pj_per_cycle +
                 work.at(kTurnAdds, t) * r.hadamard_pj_per_add +
                 of_unit(kActivationBufferBytes) * r.activation_buffer_pj_per_byte;
  run.block_pj = of_unit(kBlockBufferBytes) * r.weight_buffer_pj_per_byte +
                 of_unit(kBlockDecodedValues) * r.decode_pj_per_value;
  return run;
}

void price_list(const MappingList& list, const LinearRun& run, double start_ns, const ChipRates& r,
                double& best_latency, double& best_energy) {
  using Lanes = MappingGroup::Lanes;
  const double dram_pj = r.dram_pj_per_byte + r.noc_pj_per_byte;
  const double sram_pj = r.sram_pj_per_byte + r.noc_pj_per_byte;
  const Lanes vector_ns = Lanes{} + run.vector_ns;
  Lanes latency_ns = Lanes{} + static_cast<double>(kIllegal);
  Lanes energy_pj = latency_ns;
  for (size_t i = 0; i < list.count; ++i) {
    const MappingGroup& group = list.groups[i];
    const Lanes work_ns = larger<Lanes>(larger<Lanes>(group.decoded_rows * run.decode_ns_per_row,
                                                      group.compute_cycles * r.cycle_ns),
                                        vector_ns) +
                          start_ns;
    const Lanes latency =
        run.fixed_ns +
        larger<Lanes>(larger<Lanes>(group.dram_bytes * run.dram_ns_per_byte + run.turn_ns,
                                    group.sram_bytes * r.sram_ns_per_byte),
                      work_ns);
    const Lanes energy = run.fixed_pj + group.m_blocks * run.block_pj + group.dram_bytes * dram_pj +
                         group.sram_bytes * sram_pj + latency * r.leakage_mw;
    keep_better(latency, energy, latency_ns, energy_pj);
  }
  for (size_t lane = 0; lane < MappingGroup::kLanes; ++lane) {
    const double latency = latency_ns[lane];
    const double energy = energy_pj[lane];
    keep_better(latency, energy, best_latency, best_energy);
  }
}

void price_linears(const ChipWork& impl, const MappingSets& sets, const ChipRates& r,
                   double working, CostTable& table) {
  const size_t count = impl.menu.linear.size();
  thread_local std::vector<double> best;
  for (size_t i = 0; i < impl.linears.size(); ++i) {
    const LinearWork& work = impl.linears[i];
    const LinearMappings& mappings = sets.linears[i];
    const bool spilled = 2 * work.m * (work.k + work.n) > working;
    best.assign(kNumCostRows * count, kIllegal);
    for (const UnitMappings& unit : mappings.units) {
      for (size_t t = 0; t < count; ++t) {
        if (unit.streamed[t].count == 0) continue;
        const auto at = [&](CostRow row) -> double& { return best[row * count + t]; };
        const LinearRun run = linear_run(impl, work, unit, r, spilled, t);
        price_list(unit.streamed[t], run, run.streamed_ns, r, at(kLatency), at(kEnergy));
        if (unit.resident.empty()) continue;
        price_list(unit.resident[t], run, run.resident_ns, r, at(kResidentLatency),
                   at(kResidentEnergy));
      }
    }
    SiteCosts& site = table.sites[static_cast<size_t>(work.site)];
    const auto add = [&](std::vector<float>& latencies, std::vector<float>& energies,
                         CostRow latency, CostRow energy) {
      for (size_t t = 0; t < count; ++t) {
        const double ns = best[latency * count + t];
        latencies[t] += static_cast<float>(phase_latency(work.times, work.runs, ns));
        energies[t] += static_cast<float>(
            phase_energy(work.times, work.runs, ns, best[energy * count + t], r.leakage_mw));
      }
    };
    add(site.latency_ns, site.energy_pj, kLatency, kEnergy);
    add(site.resident_latency_ns, site.resident_energy_pj, kResidentLatency, kResidentEnergy);
    for (size_t t = 0; t < count; ++t) {
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
  bool writes_cache = false;
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
  const double written_bytes = (run.writes_cache && !resident ? run.cache_bytes : 0) +
                               (run.query_spilled ? run.query_bytes / 2 : 0);
  const double dram_ns =
      dram_bytes * run.dram_ns_per_byte + written_bytes * r.dram_turn_ns_per_byte;
  const double latency =
      overhead_ns + std::max({dram_ns, sram_bytes * r.sram_ns_per_byte, run.work_ns});
  const double energy = run.common_pj + dram_bytes * r.dram_pj_per_byte +
                        sram_bytes * r.sram_pj_per_byte + latency * r.leakage_mw;
  keep_better(latency, energy, best_latency, best_energy);
}

class AttentionPricer {
 public:
  AttentionPricer(const ChipWork& impl, const ChipRates& rates, const chip::Chip& chip,
                  double burst_bytes, double working)
      : impl_(impl),
        r_(rates),
        working_(working),
        page_tokens_(static_cast<double>(chip.kv_page_tokens)) {
    const auto cores = static_cast<double>(chip.cores);
    rounds_ = impl.copies >= cores ? std::ceil(impl.copies / cores) : 1;
    parts_ = impl.copies >= cores ? 1 : std::floor(cores / impl.copies);
    query_token_bytes_ = 4 * impl.batch * impl.kv_heads * impl.group * impl.head_dim;
    for (const ChipWork::KvWork& kv : impl.kv) {
      const double bytes = std::ceil(page_tokens_ * kv.token_bytes / burst_bytes) * burst_bytes;
      page_bytes_.push_back(bytes);
      page_ns_per_byte_.push_back(ns_per_byte(
          rates.dram,
          {.streams = std::min(impl.copies, cores), .turn_bytes = bytes, .extent_bytes = bytes}));
    }
    for (const ContextNode& node : impl.nodes) {
      node_pages_.push_back(mean_pages(node, chip.kv_page_tokens));
    }
  }

  AttentionRun prefill(size_t t, const AttentionMapping& map) const {
    const double macs =
        impl_.copies * impl_.group * impl_.prompt * (impl_.prompt + 1) * impl_.head_dim;
    const ChipWork::KvWork& kv = impl_.kv[t];
    const double turned = impl_.prompt * kv.turned_per_token;
    AttentionRun run;
    run.cache_bytes = impl_.copies * std::ceil(impl_.prompt / page_tokens_) * page_bytes_[t];
    run.writes_cache = true;
    run.reread_bytes = impl_.copies * map.prefill_read_tokens * page_bytes_[t] / page_tokens_;
    run.reread_on_chip = run.cache_bytes <= working_;
    run.query_bytes = query_token_bytes_ * impl_.prompt;
    run.query_spilled = run.query_bytes > working_;
    const double values = map.decoded_operands * map.prefill_read_tokens * impl_.head_dim;
    const double vector_cycles = kv.prefill_vector_cycles;
    run.work_ns = std::max(
        {map.prefill_cycles * r_.cycle_ns, values * rounds_ / parts_ * r_.decode_ns_per_value,
         vector_cycles * r_.vector_ns_per_cycle, turned * r_.hadamard_ns_per_element});
    run.common_pj = macs * map.lane_um2 * r_.mac_pj_per_um2 +
                    vector_cycles * r_.vector_pj_per_cycle +
                    turned * kv.turn_stages * r_.hadamard_pj_per_add +
                    values * impl_.copies * r_.decode_pj_per_value +
                    (run.cache_bytes + run.reread_bytes + run.query_bytes) * r_.noc_pj_per_byte +
                    run.reread_bytes * r_.weight_buffer_pj_per_byte;
    run.dram_ns_per_byte = page_ns_per_byte_[t];
    return run;
  }

  AttentionRun decode(size_t t, const AttentionMapping& map, size_t node) const {
    const double tokens = impl_.nodes[node].tokens;
    const ChipWork::KvWork& kv = impl_.kv[t];
    AttentionRun run;
    run.cache_bytes = impl_.copies * node_pages_[node] * page_bytes_[t];
    run.query_bytes = query_token_bytes_;
    double vector_cycles = kv.decode_vector_cycles + tokens * kv.vector_cycles_per_context;
    if (parts_ > 1) {
      vector_cycles +=
          impl_.copies * parts_ * impl_.group * impl_.head_dim * impl_.constants.convert_cycles;
    }
    const double values = map.decoded_operands * tokens * impl_.head_dim * map.row_tiles;
    run.work_ns = std::max(
        {map.decode_cycles[node] * r_.cycle_ns, values / parts_ * rounds_ * r_.decode_ns_per_value,
         vector_cycles * r_.vector_ns_per_cycle, kv.turned_per_token * r_.hadamard_ns_per_element});
    run.common_pj = impl_.copies * impl_.group * tokens * 2 * impl_.head_dim * map.lane_um2 *
                        r_.mac_pj_per_um2 +
                    vector_cycles * r_.vector_pj_per_cycle +
                    kv.turned_per_token * kv.turn_stages * r_.hadamard_pj_per_add +
                    values * impl_.copies * r_.decode_pj_per_value +
                    (run.cache_bytes + run.query_bytes) * r_.noc_pj_per_byte +
                    run.cache_bytes * r_.weight_buffer_pj_per_byte;
    run.dram_ns_per_byte = page_ns_per_byte_[t];
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
          const PhaseRuns& runs = node == 0 ? impl_.prefill_runs : impl_.decode_runs;
          latency += phase_latency(times, runs, best_latency);
          energy += phase_energy(times, runs, best_latency, best_energy, r_.leakage_mw);
        }
        (resident ? site.resident_latency_ns : site.latency_ns)[t] = static_cast<float>(latency);
        (resident ? site.resident_energy_pj : site.energy_pj)[t] = static_cast<float>(energy);
      }
      const double last_pages = std::ceil((impl_.prompt + impl_.steps) / page_tokens_);
      site.bytes[t] = static_cast<float>(impl_.cache_copies * last_pages * page_bytes_[t]);
    }
  }

 private:
  const ChipWork& impl_;
  const ChipRates& r_;
  double working_;
  double page_tokens_;
  std::vector<double> page_bytes_, page_ns_per_byte_;  // per treatment
  std::vector<double> node_pages_;                     // of one problem
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

Result<const MappingSets*> cached_sets(const ChipWork& impl, const chip::Chip& chip,
                                       double burst_bytes, double working_bytes) {
  thread_local std::unordered_map<std::string, MappingSets> cache;
  thread_local size_t bytes = 0;
  thread_local std::string key;
  key.assign(reinterpret_cast<const char*>(&impl.id), sizeof(impl.id));
  append_mapping_key(chip, burst_bytes, working_bytes, key);
  const auto it = cache.find(key);
  if (it != cache.end()) return &it->second;
  DOVETAIL_TRY(MappingSets sets, build_mapping_sets(impl.mapper, chip, burst_bytes, working_bytes));
  bytes += sets.bytes();
  if (bytes > kMaxCachedBytes) {
    cache.clear();
    bytes = sets.bytes();
  }
  return &cache.emplace(key, std::move(sets)).first->second;
}

}  // namespace

Status CostModel::fill_table(const chip::Chip& chip, CostTable& table) const {
  DOVETAIL_TRY_STATUS(impl_->fill_own_table(chip, table));
  return impl_->add_others(chip, &CostModel::fill_table, table);
}

Status CostModel::Impl::fill_own_table(const chip::Chip& chip, CostTable& table) const {
  const ChipWork* shared = work_of(chip, table);
  if (shared == nullptr) return {};
  const ChipWork& impl = *shared;
  DOVETAIL_TRY(const DramConstants* dram, dram_of(impl.constants, chip));
  DOVETAIL_TRY(const ChipArea area, estimate_area(impl.constants, chip));
  DOVETAIL_TRY(const ChipRates rates, chip_rates(impl.constants, chip, area));
  const double working = impl.working(chip);
  DOVETAIL_TRY(const MappingSets* sets, cached_sets(impl, chip, dram->burst_bytes, working));
  impl.reset(chip, table);
  impl.add_vectors(rates, working, table);
  impl.add_collectives(rates, working, table);
  price_linears(impl, *sets, rates, working, table);
  const AttentionPricer attention(impl, rates, chip, dram->burst_bytes, working);
  attention.price(*sets, table.sites[static_cast<size_t>(recipe::SiteKind::kKv)]);
  mark_illegal(*sets, chip.sram_mib > 0, table);
  impl.count_all_chips(table);
  return {};
}

Result<double> CostModel::reaches_mhz(const chip::Chip& chip) const {
  return silicon::reaches_mhz(impl_->constants, chip);
}

Result<ChipLimits> CostModel::limits(const chip::Chip& chip) const {
  const Constants& constants = impl_->constants;
  DOVETAIL_TRY(const ChipArea area, estimate_area(constants, chip));
  DOVETAIL_TRY(const ChipRates rates, chip_rates(constants, chip, area));
  DOVETAIL_TRY(const PeakPower power, estimate_peak_power(constants, chip, rates));
  DOVETAIL_TRY(const ChipPrice price, estimate_price(constants, chip, area.total_mm2()));
  DOVETAIL_TRY(const DramConstants* dram, dram_of(constants, chip));
  const int64_t num_chips = chip::num_chips(chip.scale_up);
  const auto chips = static_cast<double>(num_chips);
  return ChipLimits{
      .num_chips = num_chips,
      .area_mm2 = chips * area.total_mm2(),
      .peak_power_mw = chips * power.total_mw(),
      .die_peak_power_mw = chips * power.die_mw(),
      .die_price_usd = chips * (price.die_usd + price.package_usd),
      .dram_price_usd = chips * price.dram_usd,
      .dram_gb_per_s = chips * static_cast<double>(chip.dram.channels) * dram->channel_gb_per_s};
}

}  // namespace dovetail::silicon
