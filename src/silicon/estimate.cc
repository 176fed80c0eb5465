#include "silicon/estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "silicon/cost_table.h"
#include "silicon/decode_steps.h"
#include "silicon/pipeline.h"

namespace dovetail::silicon {
namespace {

using recipe::SiteKind;

void add_scaled(OpCost& sum, const OpCost& part, double times) {
  sum.dram_ns += times * part.dram_ns;
  sum.sram_ns += times * part.sram_ns;
  sum.decoder_ns += times * part.decoder_ns;
  sum.compute_ns += times * part.compute_ns;
  sum.vector_ns += times * part.vector_ns;
  sum.link_ns += times * part.link_ns;
  sum.prologue_ns += times * part.prologue_ns;
  sum.epilogue_ns += times * part.epilogue_ns;
  sum.overhead_ns += times * part.overhead_ns;
  sum.latency_ns += times * part.latency_ns;
  sum.dram_bytes += times * part.dram_bytes;
  sum.sram_bytes += times * part.sram_bytes;
  sum.link_bytes += times * part.link_bytes;
  sum.macs += times * part.macs;
  sum.energy.add(part.energy, times);
}

// From one pass of a micro-batch on one chip to the phase: all chips of a stage move and burn the
// same at the same time, those that wait leak.
void count_phase(double stage_chips, const PhaseRuns& runs, OpCost& cost) {
  const OpCost pass = cost;
  cost = {};
  add_scaled(cost, pass, runs.latency);
  const double count = stage_chips * runs.work;
  cost.dram_bytes = count * pass.dram_bytes;
  cost.sram_bytes = count * pass.sram_bytes;
  cost.link_bytes = count * pass.link_bytes;
  cost.macs = count * pass.macs;
  cost.energy = {};
  cost.energy.add(pass.energy, count);
  cost.energy.leakage_pj += stage_chips * runs.waiting * pass.energy.leakage_pj;
}

PhaseRuns phase_runs(bool decode, int64_t stages, int64_t micro_batches) {
  return decode ? decode_runs(stages, micro_batches) : prefill_runs(stages, micro_batches);
}

// `shape` is the share of one chip.
class Estimator {
 public:
  Estimator(const OpContext& context, const model::ModelShape& shape, const recipe::Recipe& recipe,
            const recipe::ModelOps& ops, const Residency& residency, const EstimateParams& params)
      : x_(context), shape_(shape), recipe_(recipe), ops_(ops), residency_(residency) {
    attention_ = {.batch = static_cast<double>(ops.batch),
                  .kv_heads = static_cast<double>(shape.num_kv_heads),
                  .group = static_cast<double>(shape.num_heads / shape.num_kv_heads),
                  .head_dim = static_cast<double>(shape.head_dim)};
    nodes_ =
        decode_nodes(ops.first_decode_context, ops.num_decode_steps,
                     params.exact_steps ? std::numeric_limits<int64_t>::max() : kMaxContextNodes);
  }

  Status run(std::vector<OpReport>& reports) {
    for (const bool decode : {false, true}) {
      const recipe::PhaseOps& phase = decode ? ops_.decode : ops_.prefill;
      const auto times = static_cast<double>(decode ? ops_.num_decode_steps : 1);
      if (times == 0) continue;
      for (const recipe::Op& op : phase.before) {
        DOVETAIL_TRY_STATUS(price(op, decode, -1, times, reports));
      }
      for (int64_t layer = 0; layer < ops_.num_layers; ++layer) {
        for (const recipe::Op& op : phase.layer) {
          DOVETAIL_TRY_STATUS(price(op, decode, layer, times, reports));
        }
      }
      for (const recipe::Op& op : phase.between) {
        const auto hand_overs = static_cast<double>(ops_.num_stages - 1);
        DOVETAIL_TRY_STATUS(price(op, decode, -1, times * hand_overs, reports));
      }
      for (const recipe::Op& op : phase.after) {
        DOVETAIL_TRY_STATUS(price(op, decode, -1, times, reports));
      }
    }
    return {};
  }

 private:
  Status price(const recipe::Op& op, bool decode, int64_t layer, double times,
               std::vector<OpReport>& reports) {
    OpReport report{.decode = decode, .layer = layer, .name = op.name, .cost = {}};
    if (op.kind == recipe::OpKind::kLinear) {
      DOVETAIL_TRY_STATUS(price_linear(op, layer, times, report.cost));
    } else if (op.kind == recipe::OpKind::kScores) {
      report.name = "attention";
      DOVETAIL_TRY_STATUS(price_attention(decode, layer, report.cost));
    } else if (op.kind == recipe::OpKind::kVector && op.vector != recipe::VectorKind::kSoftmax) {
      add_scaled(report.cost, estimate_vector(x_, op), times);
    } else if (op.kind == recipe::OpKind::kCollective) {
      add_scaled(report.cost, estimate_collective(x_, op), times);
    } else {
      return {};  // softmax and values are part of attention
    }
    count_phase(static_cast<double>(x_.chip.scale_up.tensor_parallel),
                phase_runs(decode, ops_.num_stages, ops_.num_micro_batches), report.cost);
    reports.push_back(std::move(report));
    return {};
  }

  double resident_frac(int64_t site) const {
    return residency_.empty() ? 0 : residency_[static_cast<size_t>(site)];
  }

  template <typename Treatment>
  std::unexpected<Error> not_executable(int64_t site, const Treatment& treatment) const {
    const char* why = chip::can_turn(x_.chip, treatment.hadamard)
                          ? "no matrix unit has a pair for it, natively or behind the decoder"
                          : "hadamard_lanes = 0, so nothing can be turned online";
    return invalid_argument(fmt::format("chip {}: {} = {}: {}", x_.chip.name,
                                        recipe::site_name(recipe::site_at(shape_, site)),
                                        recipe::treatment_name(treatment), why));
  }

  Status price_linear(const recipe::Op& op, int64_t layer, double times, OpCost& sum) {
    const bool head = op.site == SiteKind::kHead;
    const int64_t site = head ? recipe::num_sites(shape_) - 1
                              : layer * recipe::kSitesPerLayer + static_cast<int64_t>(op.site);
    const recipe::LinearTreatment& treatment =
        head ? recipe_.head
             : recipe_.layers[static_cast<size_t>(layer)].linear[static_cast<size_t>(op.site)];
    const double frac = resident_frac(site);
    for (const bool resident : {false, true}) {
      const double share = resident ? frac : 1 - frac;
      if (share <= 0) continue;
      const auto cost = estimate_linear(x_, op, treatment, resident);
      if (!cost.has_value()) return not_executable(site, treatment);
      add_scaled(sum, *cost, times * share);
    }
    return {};
  }

  Status price_attention(bool decode, int64_t layer, OpCost& sum) {
    const int64_t site = layer * recipe::kSitesPerLayer + static_cast<int64_t>(SiteKind::kKv);
    const recipe::KvTreatment& treatment = recipe_.layers[static_cast<size_t>(layer)].kv;
    const double frac = resident_frac(site);
    std::vector<ContextNode> once = {
        {.tokens = static_cast<double>(ops_.prefill_context), .steps = 1}};
    for (const bool resident : {false, true}) {
      const double share = resident ? frac : 1 - frac;
      if (share <= 0) continue;
      for (const ContextNode& node : decode ? nodes_ : once) {
        const auto cost = decode
                              ? estimate_decode_attention(x_, attention_, node, treatment, resident)
                              : estimate_prefill_attention(x_, attention_, ops_.prefill_context,
                                                           treatment, resident);
        if (!cost.has_value()) return not_executable(site, treatment);
        add_scaled(sum, *cost, node.steps * share);
      }
    }
    return {};
  }

  const OpContext& x_;
  const model::ModelShape& shape_;
  const recipe::Recipe& recipe_;
  const recipe::ModelOps& ops_;
  const Residency& residency_;
  AttentionShape attention_;
  std::vector<ContextNode> nodes_;
};

// Bytes in DRAM per site, of all chips that hold it; `shape` is the share of one. What a site has
// in SRAM is counted in the report.
std::vector<double> count_bytes(const OpContext& x, const model::ModelShape& shape,
                                const recipe::Workload& workload, const recipe::Recipe& recipe,
                                const Residency& residency, CostReport& report) {
  std::vector<double> in_dram;
  const double tokens = static_cast<double>(workload.prompt_tokens + workload.output_tokens - 1);
  const auto chips = static_cast<double>(x.chip.scale_up.tensor_parallel);
  for (int64_t i = 0; i < recipe::num_sites(shape); ++i) {
    const recipe::Site site = recipe::site_at(shape, i);
    double bytes = 0;
    if (site.kind == SiteKind::kKv) {
      const double pages = std::ceil(tokens / static_cast<double>(x.chip.kv_page_tokens));
      bytes = chips * static_cast<double>(workload.batch * shape.num_kv_heads) * pages *
              kv_page_bytes(x, {.head_dim = static_cast<double>(shape.head_dim)},
                            recipe.layers[static_cast<size_t>(site.layer)].kv);
      report.kv_bytes += bytes;
    } else {
      const recipe::LinearTreatment& treatment =
          site.kind == SiteKind::kHead ? recipe.head
                                       : recipe.layers[static_cast<size_t>(site.layer)]
                                             .linear[static_cast<size_t>(site.kind)];
      const recipe::LinearShape linear = recipe::linear_shape(shape, site.kind);
      bytes = chips * static_cast<double>(linear.n) *
              row_bytes(x.constants, x.chip, treatment.weight, linear.k);
      report.weight_bytes += bytes;
    }
    const double frac = residency.empty() ? 0 : residency[static_cast<size_t>(i)];
    report.sram_bytes_needed += frac * bytes;
    report.dram_bytes_needed += (1 - frac) * bytes;
    in_dram.push_back((1 - frac) * bytes);
  }
  return in_dram;
}

// The stages' time of one micro-batch's pass: prefill, or all decode steps.
StageCosts pass_costs(const CostReport& report, bool decode, int64_t num_layers) {
  const double factor = phase_runs(decode, report.num_stages, report.num_micro_batches).latency;
  StageCosts costs{.layers = std::vector<double>(static_cast<size_t>(num_layers), 0.0)};
  for (const OpReport& op : report.ops) {
    if (op.decode != decode) continue;
    const double latency = op.cost.latency_ns / factor;
    if (op.layer >= 0) {
      costs.layers[static_cast<size_t>(op.layer)] += latency;
    } else if (op.name == "stage_transfer") {
      costs.between += latency / static_cast<double>(report.num_stages - 1);
    } else if (op.name.starts_with("embedding")) {
      costs.first += latency;
    } else {
      costs.last += latency;
    }
  }
  return costs;
}

StageCosts sum_of(StageCosts a, const StageCosts& b) {
  for (size_t i = 0; i < a.layers.size(); ++i) a.layers[i] += b.layers[i];
  a.first += b.first;
  a.last += b.last;
  a.between += b.between;
  return a;
}

WholeLayerStages whole_layer_stages(const CostReport& report, int64_t num_layers,
                                    double decode_steps) {
  const int64_t stages = report.num_stages;
  const auto micro_batches = static_cast<double>(report.num_micro_batches);
  const StageCosts prefill = pass_costs(report, false, num_layers);
  const StageCosts decode = pass_costs(report, true, num_layers);
  const StageCosts request = sum_of(prefill, decode);
  WholeLayerStages whole{.layers = best_partition(request, stages)};
  whole.largest_over_mean =
      request.largest(whole.layers) / (request.total(stages) / static_cast<double>(stages));
  whole.prefill_latency_ns =
      prefill.total(stages) + (micro_batches - 1) * prefill.largest(whole.layers);
  const double decode_ns =
      std::max(decode.total(stages), micro_batches * decode.largest(whole.layers));
  whole.latency_ns = whole.prefill_latency_ns + decode_ns;
  if (decode_steps > 0) whole.time_per_token_ns = decode_ns / decode_steps;
  return whole;
}

// Weights and cache of the layers that a stage has, the head in the last; the embedding in the
// first; norms and activations everywhere.
double largest_stage_bytes(const std::vector<double>& site_bytes, double embedding_bytes,
                           double other_bytes, const std::vector<int64_t>& layers) {
  StageCosts bytes{.layers = {}, .first = embedding_bytes, .last = site_bytes.back()};
  for (size_t site = 0; site + 1 < site_bytes.size(); ++site) {
    if (site % recipe::kSitesPerLayer == 0) bytes.layers.push_back(0);
    bytes.layers.back() += site_bytes[site];
  }
  return bytes.largest(layers) + other_bytes / static_cast<double>(layers.size());
}

// Of requests of the workload: generated tokens of a batch, decode steps. Means over its classes.
struct RequestMean {
  double tokens = 0;
  double steps = 0;
};

RequestMean request_mean(const recipe::Workload& workload) {
  RequestMean mean;
  for (const recipe::WorkloadClass& one : recipe::workload_classes(workload)) {
    mean.tokens += one.share_frac * static_cast<double>(workload.batch) *
                   static_cast<double>(one.workload.output_tokens);
    mean.steps += one.share_frac * static_cast<double>(one.workload.output_tokens - 1);
  }
  return mean;
}

void sum_up(const recipe::Workload& workload, CostReport& report) {
  for (const OpReport& op : report.ops) {
    report.latency_ns += op.cost.latency_ns;
    if (!op.decode) report.prefill_latency_ns += op.cost.latency_ns;
    report.energy.add(op.cost.energy, 1);
    const PhaseRuns runs = phase_runs(op.decode, report.num_stages, report.num_micro_batches);
    const double more =  // than the mean over filling and draining the stages
        full_over_mean(runs, report.num_stages, report.num_micro_batches) - 1;
    const double total_pj = op.cost.energy.total_pj();
    report.sustained_power_mw =
        std::max(report.sustained_power_mw,
                 (total_pj + more * (total_pj - op.cost.energy.leakage_pj)) / op.cost.latency_ns);
  }
  const auto [tokens, steps] = request_mean(workload);
  report.energy_pj = report.energy.total_pj();
  report.energy_pj_per_token = report.energy_pj / tokens;
  report.average_power_mw = report.energy_pj / report.latency_ns;
  report.throughput_tokens_per_s = tokens / report.latency_ns * 1e9;
  if (steps > 0) {
    report.time_per_token_ns = (report.latency_ns - report.prefill_latency_ns) / steps;
  }
}

// The T0 latency of the same design point, from the bound tables of a menu made of its treatments.
Result<double> bound_latency(const chip::Chip& chip, const Technology& technology,
                             const model::ModelShape& shape, const recipe::Workload& workload,
                             const recipe::Recipe& recipe, const Residency& residency) {
  recipe::Menu menu = {.linear = {{}}, .kv = {{}}};
  const auto index_of = [](auto& list, const auto& item) {
    const auto it = std::find(list.begin(), list.end(), item);
    if (it != list.end()) return static_cast<size_t>(it - list.begin());
    list.push_back(item);
    return list.size() - 1;
  };
  std::vector<size_t> choice;
  for (const recipe::LayerRecipe& layer : recipe.layers) {
    for (const recipe::LinearTreatment& t : layer.linear)
      choice.push_back(index_of(menu.linear, t));
    choice.push_back(index_of(menu.kv, layer.kv));
  }
  choice.push_back(index_of(menu.linear, recipe.head));
  DOVETAIL_TRY(const CostModel model, CostModel::create(shape, workload, menu, technology));
  CostTable table;
  DOVETAIL_TRY_STATUS(model.fill_bound(chip, table));
  double latency = table.fixed_latency_ns;
  for (size_t i = 0; i < choice.size(); ++i) {
    const auto kind = recipe::site_at(shape, static_cast<int64_t>(i)).kind;
    const SiteCosts& site = table.sites[static_cast<size_t>(kind)];
    const double frac = residency.empty() ? 0 : residency[i];
    latency += (1 - frac) * static_cast<double>(site.latency_ns[choice[i]]);
    if (frac > 0) latency += frac * static_cast<double>(site.resident_latency_ns[choice[i]]);
  }
  return latency;
}

Status check_residency(const model::ModelShape& shape, const Residency& residency) {
  if (residency.empty()) return {};
  if (static_cast<int64_t>(residency.size()) != recipe::num_sites(shape)) {
    return invalid_argument(
        fmt::format("residency has {} sites, want {}", residency.size(), recipe::num_sites(shape)));
  }
  for (const double frac : residency) {
    if (!(frac >= 0 && frac <= 1)) {
      return invalid_argument(fmt::format("residency {} outside 0..1", frac));
    }
  }
  return {};
}

}  // namespace

double CostReport::area_mm2() const {
  return static_cast<double>(num_chips) * area.total_mm2();
}

double CostReport::peak_power_mw() const {
  return static_cast<double>(num_chips) * peak_power.total_mw();
}

double CostReport::price_usd() const {
  return static_cast<double>(num_chips) * (price.die_usd + price.package_usd + price.dram_usd);
}

namespace {

struct ClassCost {
  CostReport report;
  std::vector<double> site_bytes;  // in DRAM
  double embedding_bytes = 0;
};

// `workload` has no mix.
Result<ClassCost> estimate_class(const chip::Chip& chip, const Technology& technology,
                                 const model::ModelShape& shape, const recipe::Workload& workload,
                                 const recipe::Recipe& recipe, const Residency& residency,
                                 const EstimateParams& params) {
  DOVETAIL_TRY_STATUS(chip::check_chip(chip));
  DOVETAIL_TRY_STATUS(check_residency(shape, residency));
  const int64_t stage_chips = chip.scale_up.tensor_parallel;
  DOVETAIL_TRY(const recipe::ModelOps ops, recipe::lower(shape, workload, split_of(chip)));
  DOVETAIL_TRY(const model::ModelShape shard, recipe::shard_shape(shape, stage_chips));
  if (static_cast<int64_t>(recipe.layers.size()) != shape.num_layers) {
    return invalid_argument(fmt::format("recipe has {} layers, want {} (the layers of {})",
                                        recipe.layers.size(), shape.num_layers, shape.name));
  }
  DOVETAIL_TRY_STATUS(chip::check_priced(shape, recipe));
  DOVETAIL_TRY(const Constants constants, resolve_constants(technology));
  ClassCost one;
  CostReport& report = one.report;
  report.num_chips = chip::num_chips(chip.scale_up);
  report.num_stages = ops.num_stages;
  report.num_micro_batches = ops.num_micro_batches;
  const auto chips = static_cast<double>(report.num_chips);
  DOVETAIL_TRY(report.area, estimate_area(constants, chip));
  DOVETAIL_TRY(const ChipRates rates, chip_rates(constants, chip, report.area));
  DOVETAIL_TRY(report.peak_power, estimate_peak_power(constants, chip, rates));
  DOVETAIL_TRY(report.price, estimate_price(constants, chip, report.area.total_mm2()));
  report.roofs = chip_roofs(chip, rates);
  const OpContext context{.constants = constants,
                          .rates = rates,
                          .chip = chip,
                          .working_bytes = working_bytes(constants, chip, ops)};
  DOVETAIL_TRY_STATUS(Estimator(context, shard, recipe, ops, residency, params).run(report.ops));
  one.site_bytes = count_bytes(context, shard, workload, recipe, residency, report);
  one.embedding_bytes = static_cast<double>(stage_chips) * embedding_dram_bytes(shard);
  report.fixed_dram_bytes =
      static_cast<double>(stage_chips) *
      fixed_dram_bytes(shard, workload.prompt_tokens, ops.batch, ops.num_stages);
  report.dram_bytes = chips * chip.dram.capacity_gib * 1073741824.0;
  report.sram_bytes = chips * (chip.sram_mib * 1048576 - context.working_bytes);
  DOVETAIL_TRY(report.bound_latency_ns,
               bound_latency(chip, technology, shape, workload, recipe, residency));
  return one;
}

// Costs of one class join the mean; what must fit is that of the class that needs most.
void add_class(const ClassCost& part, double share, ClassCost& sum) {
  for (size_t site = 0; site < part.site_bytes.size(); ++site) {
    sum.site_bytes[site] = std::max(sum.site_bytes[site], part.site_bytes[site]);
  }
  const CostReport& one = part.report;
  CostReport& mean = sum.report;
  for (const OpReport& op : one.ops) {
    OpReport& scaled = mean.ops.emplace_back(op);
    scaled.cost = {};
    add_scaled(scaled.cost, op.cost, share);
  }
  mean.bound_latency_ns += share * one.bound_latency_ns;
  mean.kv_bytes = std::max(mean.kv_bytes, one.kv_bytes);
  mean.dram_bytes_needed = std::max(mean.dram_bytes_needed, one.dram_bytes_needed);
  mean.fixed_dram_bytes = std::max(mean.fixed_dram_bytes, one.fixed_dram_bytes);
  mean.sram_bytes_needed = std::max(mean.sram_bytes_needed, one.sram_bytes_needed);
  mean.sram_bytes = std::min(mean.sram_bytes, one.sram_bytes);
}

}  // namespace

Result<CostReport> estimate_cost(const chip::Chip& chip, const Technology& technology,
                                 const model::ModelShape& shape, const recipe::Workload& workload,
                                 const recipe::Recipe& recipe, const Residency& residency,
                                 const EstimateParams& params) {
  DOVETAIL_TRY_STATUS(recipe::check_workload(shape, workload));
  std::optional<ClassCost> mean;
  for (const auto& [one, share] : recipe::workload_classes(workload)) {
    DOVETAIL_TRY(const ClassCost part,
                 estimate_class(chip, technology, shape, one, recipe, residency, params));
    if (!mean.has_value()) {
      mean = part;
      mean->report.ops.clear();
      mean->report.bound_latency_ns = 0;
    }
    add_class(part, share, *mean);
  }
  CostReport& report = mean->report;
  sum_up(workload, report);
  report.dram_bytes_needed += report.fixed_dram_bytes;
  // Shares of residency are thirds, eighths, ... as floats: a full SRAM may exceed itself by that.
  constexpr double kShareRounding = 1 + 1e-7;
  report.fits = report.dram_bytes_needed <= report.dram_bytes * kShareRounding &&
                report.sram_bytes_needed <= report.sram_bytes * kShareRounding;
  if (report.num_stages > 1) {
    report.whole_layers =
        whole_layer_stages(report, shape.num_layers, request_mean(workload).steps);
    report.whole_layers->dram_bytes_needed = largest_stage_bytes(
        mean->site_bytes, mean->embedding_bytes, report.fixed_dram_bytes - mean->embedding_bytes,
        report.whole_layers->layers);
    report.whole_layers->dram_bytes = report.dram_bytes / static_cast<double>(report.num_stages);
  }
  return std::move(report);
}

}  // namespace dovetail::silicon
