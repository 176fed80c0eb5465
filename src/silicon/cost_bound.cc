// T0 tables: compulsory bytes at the best streaming rate, multiply-accumulates at the pair's peak,
// vector work on all lanes; nothing is rounded to tiles, nothing is read twice, nothing waits.
#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "silicon/cost_model_impl.h"

namespace dovetail::silicon {
namespace {

// Peak of a treatment on a chip.
struct Peak {
  bool legal = false;
  double macs_per_ns = 0;
  double mac_pj = 0;
};

Result<Peak> peak_of(const Constants& c, const chip::Chip& chip, const ChipRates& r,
                     const formats::WeightFormat& weight, formats::ActivationFormat activation) {
  Peak peak;
  for (const chip::MatrixUnit& unit : chip.units) {
    const int64_t index = chip::native_pair(unit, weight, activation);
    if (index < 0) continue;
    const chip::NativePair& pair = unit.pairs[static_cast<size_t>(index)];
    DOVETAIL_TRY(const double lane_um2, lane_um2_of(c, pair));
    const double pj = lane_um2 * r.mac_pj_per_um2;
    const double per_ns = static_cast<double>(unit.rows * unit.cols * unit.depth * chip.cores) *
                          pair.macs_per_cycle_rel / r.cycle_ns;
    peak.mac_pj = peak.legal ? std::min(peak.mac_pj, pj) : pj;
    peak.macs_per_ns = std::max(peak.macs_per_ns, per_ns);
    peak.legal = true;
  }
  return peak;
}

// Rates that depend on the fields of bound_key alone: no area, so no wires and no logic leakage.
Result<ChipRates> bound_rates(const Constants& c, const chip::Chip& chip) {
  ChipArea none;
  DOVETAIL_TRY(ChipRates r, chip_rates(c, chip, none));
  r.noc_pj_per_byte = 0;
  r.leakage_mw = r.sram_leakage_mw;
  r.dram_stream_ns_per_byte = best_ns_per_byte(r.dram);
  return r;
}

// Adds one op: bytes of weights or cache, work that goes with them.
struct BoundOp {
  PhaseRuns runs;
  double bytes = 0;
  double work_ns = 0;
  double work_pj = 0;
  double times = 0;
};

void add_op(const BoundOp& op, const ChipRates& r, size_t t, SiteCosts& site) {
  const double streamed = std::max(op.bytes * r.dram_stream_ns_per_byte, op.work_ns);
  const double resident = std::max(op.bytes * r.sram_ns_per_byte, op.work_ns);
  const auto add = [&](float& sum, double value) {
    // Rounded down, so that a float never lifts the bound above T1.
    sum = static_cast<float>((static_cast<double>(sum) + value) * (1 - 2e-7));
  };
  const auto energy = [&](double latency_ns, double pj_per_byte) {
    return phase_energy(op.times, op.runs, latency_ns,
                        op.work_pj + op.bytes * pj_per_byte + latency_ns * r.leakage_mw,
                        r.leakage_mw);
  };
  add(site.latency_ns[t], phase_latency(op.times, op.runs, streamed));
  add(site.energy_pj[t], energy(streamed, r.dram_pj_per_byte));
  add(site.resident_latency_ns[t], phase_latency(op.times, op.runs, resident));
  add(site.resident_energy_pj[t], energy(resident, r.sram_pj_per_byte));
}

void mark(bool legal, bool has_sram, size_t t, SiteCosts& site) {
  if (!legal) site.latency_ns[t] = site.energy_pj[t] = kIllegal;
  if (!legal || !has_sram) site.resident_latency_ns[t] = site.resident_energy_pj[t] = kIllegal;
}

Status bound_linears(const ChipWork& impl, const chip::Chip& chip, const ChipRates& r, double burst,
                     CostTable& table) {
  for (size_t t = 0; t < impl.menu.linear.size(); ++t) {
    const recipe::LinearTreatment& treatment = impl.menu.linear[t];
    DOVETAIL_TRY(const Peak peak,
                 peak_of(impl.constants, chip, r, treatment.weight, treatment.activation));
    for (const LinearWork& work : impl.linears) {
      SiteCosts& site = table.sites[static_cast<size_t>(work.site)];
      const double bytes = work.n * std::ceil(work.at(kStoredRowBytes, t) / burst) * burst;
      site.bytes[t] = static_cast<float>(bytes);
      if (!peak.legal || !chip::can_turn(chip, treatment.hadamard)) continue;
      const double macs = work.m * work.k * work.n;
      add_op({.runs = work.runs,
              .bytes = bytes,
              .work_ns = std::max(macs / peak.macs_per_ns,
                                  work.at(kVectorCycles, t) * r.vector_ns_per_cycle),
              .work_pj = macs * peak.mac_pj + work.at(kGranules, t) * r.granule_pj +
                         work.at(kVectorCycles, t) * r.vector_pj_per_cycle,
              .times = work.times},
             r, t, site);
    }
    for (size_t kind = 0; kind < table.sites.size(); ++kind) {
      if (kind == static_cast<size_t>(recipe::SiteKind::kKv)) continue;
      mark(peak.legal && chip::can_turn(chip, treatment.hadamard), chip.sram_mib > 0, t,
           table.sites[kind]);
    }
  }
  return {};
}

Status bound_attention(const ChipWork& impl, const chip::Chip& chip, const ChipRates& r,
                       CostTable& table) {
  SiteCosts& site = table.sites[static_cast<size_t>(recipe::SiteKind::kKv)];
  const double score_macs = impl.copies * impl.group * 2 * impl.head_dim;  // per token of context
  for (size_t t = 0; t < impl.kv.size(); ++t) {
    const recipe::KvTreatment& treatment = impl.menu.kv[t];
    const ChipWork::KvWork& kv = impl.kv[t];
    DOVETAIL_TRY(const Peak keys, peak_of(impl.constants, chip, r,
                                          chip::kv_as_weight(treatment.keys), treatment.query));
    DOVETAIL_TRY(const Peak values, peak_of(impl.constants, chip, r,
                                            chip::kv_as_weight(treatment.values), treatment.query));
    const bool legal = keys.legal && values.legal && chip::can_turn(chip, treatment.hadamard);
    site.bytes[t] = static_cast<float>(kv.max_tokens_bytes);
    if (legal) {
      const double macs_ns = 0.5 / keys.macs_per_ns + 0.5 / values.macs_per_ns;
      const double mac_pj = (keys.mac_pj + values.mac_pj) / 2;
      const auto add = [&](double tokens_read, double macs, double vector_cycles, double times,
                           const PhaseRuns& runs) {
        add_op({.runs = runs,
                .bytes = impl.copies * tokens_read * kv.token_bytes,
                .work_ns = std::max(macs * macs_ns, vector_cycles * r.vector_ns_per_cycle),
                .work_pj = macs * mac_pj + vector_cycles * r.vector_pj_per_cycle,
                .times = times},
               r, t, site);
      };
      add(impl.prompt, score_macs * impl.prompt * (impl.prompt + 1) / 2, kv.prefill_vector_cycles,
          1, impl.prefill_runs);
      for (const ContextNode& node : impl.nodes) {
        add(node.tokens, score_macs * node.tokens,
            kv.decode_vector_cycles + node.tokens * kv.vector_cycles_per_context, node.steps,
            impl.decode_runs);
      }
    }
    mark(legal, chip.sram_mib > 0, t, site);
  }
  return {};
}

}  // namespace

Status CostModel::fill_bound(const chip::Chip& chip, CostTable& table) const {
  DOVETAIL_TRY_STATUS(impl_->fill_own_bound(chip, table));
  return impl_->add_others(chip, &CostModel::fill_bound, table);
}

Status CostModel::Impl::fill_own_bound(const chip::Chip& chip, CostTable& table) const {
  const ChipWork* shared = work_of(chip, table);
  if (shared == nullptr) return {};
  const ChipWork& impl = *shared;
  DOVETAIL_TRY(const DramConstants* dram, dram_of(impl.constants, chip));
  DOVETAIL_TRY(const ChipRates rates, bound_rates(impl.constants, chip));
  impl.reset(chip, table);
  for (const VectorWork& work : impl.vectors) {
    const double dram_bytes = work.embedding ? work.bytes / 2 : 0;
    const double latency = std::max(work.cycles * rates.vector_ns_per_cycle,
                                    dram_bytes * rates.dram_stream_ns_per_byte);
    const double energy = work.cycles * rates.vector_pj_per_cycle +
                          dram_bytes * rates.dram_pj_per_byte + latency * rates.leakage_mw;
    table.fixed_latency_ns += phase_latency(work.times, work.runs, latency);
    table.fixed_energy_pj += phase_energy(work.times, work.runs, latency, energy, rates.leakage_mw);
  }
  for (const CollectiveWork& work : impl.collectives) {
    const double latency =
        std::max(work.cycles * rates.vector_ns_per_cycle,
                 work.sent_bytes * rates.link_ns_per_byte + work.hops * rates.link_hop_ns);
    const double energy = work.cycles * rates.vector_pj_per_cycle +
                          work.sent_bytes * rates.link_pj_per_byte + latency * rates.leakage_mw;
    table.fixed_latency_ns += phase_latency(work.times, work.runs, latency);
    table.fixed_energy_pj += phase_energy(work.times, work.runs, latency, energy, rates.leakage_mw);
  }
  DOVETAIL_TRY_STATUS(bound_linears(impl, chip, rates, dram->burst_bytes, table));
  DOVETAIL_TRY_STATUS(bound_attention(impl, chip, rates, table));
  impl.count_all_chips(table);
  return {};
}

std::string CostModel::bound_key(const chip::Chip& chip) {
  std::string key = fmt::format(
      "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", chip.node, chip.clock_mhz, chip.dram.kind,
      chip.dram.channels, chip.dram.capacity_gib, chip.sram_mib, chip.vector_lanes * chip.cores,
      chip.hadamard_lanes > 0, chip.scale_up.tensor_parallel, chip.scale_up.pipeline_parallel,
      chip.scale_up.micro_batches, chip.scale_up.link_kind, chip.scale_up.links);
  for (const chip::MatrixUnit& unit : chip.units) {
    key += '/';
    for (const chip::NativePair& pair : unit.pairs) {
      key += fmt::format("{}*{}={};", pair.weight, pair.activation,
                         static_cast<double>(unit.rows * unit.cols * unit.depth * chip.cores) *
                             pair.macs_per_cycle_rel);
    }
  }
  return key;
}

}  // namespace dovetail::silicon
