// A pipeline of stages that hold equal shares of a model: what one micro-batch's pass costs becomes
// what a phase costs, by a factor that no treatment changes, so tables of sites still add up. And
// what whole layers in a stage do to that.
#pragma once

#include <cstdint>
#include <vector>

#include "chip/chip.h"
#include "recipe/lower.h"

namespace dovetail::silicon {

[[nodiscard]] inline recipe::Split split_of(const chip::Chip& chip) {
  return {.tensor_parallel = chip.scale_up.tensor_parallel,
          .pipeline_parallel = chip.scale_up.pipeline_parallel,
          .micro_batches = chip.scale_up.micro_batches};
}

// A phase in passes of one micro-batch through all stages, one after the other; a stage takes
// 1 / stages of a pass. Without a pipeline: 1, 1, 0.
struct PhaseRuns {
  double latency = 1;  // of the phase, in passes
  double work = 1;     // passes that are worked off: the micro-batches
  double waiting = 0;  // passes' worth of time that stages wait, summed over stages
};

// All micro-batches are there at the start and leave one stage time after the other:
// latency = (stages + micro-batches - 1) / stages.
[[nodiscard]] PhaseRuns prefill_runs(int64_t stages, int64_t micro_batches);
// Mean decode step. A micro-batch enters its next step when its token is known, one pass after it
// began, and when the first stage is free: latency = max(1, micro-batches / stages). The first step
// fills the stages while the last micro-batch's prefill drains them, so nothing is added for it.
// Source of both: the schedule walked event by event in pipeline_test.cc.
[[nodiscard]] PhaseRuns decode_runs(int64_t stages, int64_t micro_batches);
// Stages at work at once while the pipeline is full, over the phase's mean: at least 1.
[[nodiscard]] double full_over_mean(const PhaseRuns& runs, int64_t stages, int64_t micro_batches);

// What the layers cost one by one; `first` and `last`: what the first and the last stage do
// besides, `between` what every stage but the last does to hand over.
struct StageCosts {
  std::vector<double> layers;
  double first = 0;
  double last = 0;
  double between = 0;

  [[nodiscard]] double total(int64_t stages) const;
  // Of stages that take `counts` layers each, in order; the counts sum to the layers.
  [[nodiscard]] double largest(const std::vector<int64_t>& counts) const;
};

// Layers of each stage, at least one, so that the largest stage is smallest. Stages: 1..layers.
[[nodiscard]] std::vector<int64_t> best_partition(const StageCosts& costs, int64_t stages);

}  // namespace dovetail::silicon
