// What one design point costs: the slow, obvious sum over all ops of one recipe, with its parts.
// Tier: analytical (T1), except where a name says bound (T0).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "model/model.h"
#include "recipe/site.h"
#include "recipe/workload.h"
#include "silicon/area.h"
#include "silicon/op_cost.h"
#include "silicon/power.h"
#include "silicon/price.h"
#include "silicon/roofs.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

// Share of every site that stays in shared SRAM, 0..1, sites as recipe::site_at; empty: none. A
// partly resident site costs the mean of its two prices, weighted with the share.
using Residency = std::vector<double>;

// One op of one layer over the whole request: prefill once, or all decode steps together.
struct OpReport {
  bool decode = false;
  int64_t layer = -1;  // -1: before or after the layers
  std::string name;    // as in recipe::Op; "attention" for scores, softmax and values
  OpCost cost;         // times of one chip, bytes, MACs and energy of all chips; all its runs
};

// What a pipeline does with whole layers in its stages, whose largest is as small as contiguous
// layers allow (over a whole request of one micro-batch), beside stages of equal shares, which
// everything else in a report assumes.
struct WholeLayerStages {
  std::vector<int64_t> layers;   // of each stage
  double largest_over_mean = 1;  // stage of most time
  double latency_ns = 0;         // never below the report's
  double prefill_latency_ns = 0;
  double time_per_token_ns = 0;
  // Bytes in DRAM of the chips of the stage that needs most, and what they have.
  double dram_bytes_needed = 0;
  double dram_bytes = 0;
};

// Of a workload with a mix: times, energies and work are means over its classes, weighted with
// their shares, bytes those of the class that needs most.
//
// Energies, bytes and capacities are of all chips that run the model together; their shares are
// equal, so a sum that fits all fits each. In a pipeline an op's times are its share of the phase:
// those of a micro-batch times the phase's factor (pipeline.h).
struct CostReport {
  std::vector<OpReport> ops;
  int64_t num_chips = 1;
  int64_t num_stages = 1;
  int64_t num_micro_batches = 1;
  std::optional<WholeLayerStages> whole_layers;  // of a pipeline

  double latency_ns = 0;          // prefill and all decode steps
  double prefill_latency_ns = 0;  // time to first token
  double time_per_token_ns = 0;   // mean over decode steps; 0 without any
  double throughput_tokens_per_s = 0;
  double bound_latency_ns = 0;  // T0
  OpEnergy energy;
  double energy_pj = 0;
  double energy_pj_per_token = 0;  // per generated token of the batch
  double sustained_power_mw = 0;   // of the op that burns most, all stages at work
  double average_power_mw = 0;

  double weight_bytes = 0;  // all sites with weights, KV heads that several chips hold counted so
  double kv_bytes = 0;
  double dram_bytes_needed = 0;  // streamed sites and the next line
  double fixed_dram_bytes = 0;   // embedding, norms, spilled activations
  double dram_bytes = 0;         // capacity
  double sram_bytes_needed = 0;  // resident sites
  double sram_bytes = 0;         // shared SRAM less working space
  bool fits = false;             // both

  ChipArea area;  // this and the rest: of one chip
  PeakPower peak_power;
  ChipPrice price;
  Roofs roofs;

  // Of all chips.
  [[nodiscard]] double area_mm2() const;
  [[nodiscard]] double peak_power_mw() const;
  [[nodiscard]] double price_usd() const;  // dies, packages, DRAM
};

struct EstimateParams {
  bool exact_steps = false;  // price every decode step instead of the quadrature (slow)
};

// Errors: kInvalidArgument naming the site whose treatment the chip cannot execute, an unknown
// node, DRAM kind or pair, a residency of the wrong length; those of check_chip and recipe::lower.
[[nodiscard]] Result<CostReport> estimate_cost(const chip::Chip& chip, const Technology& technology,
                                               const model::ModelShape& shape,
                                               const recipe::Workload& workload,
                                               const recipe::Recipe& recipe,
                                               const Residency& residency,
                                               const EstimateParams& params = {});

}  // namespace dovetail::silicon
