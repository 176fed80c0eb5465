// What a compression will take, before anything starts: memory, disk, arithmetic, time.
//
// Memory is counted from the buffers that the steps hold side by side, the largest step deciding;
// it does not depend on the number of layers. Time is the arithmetic over the machine's measured
// rate; steps that move bytes are not counted.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "compress/layer_compressor.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct PlanInputs {
  int64_t sequences = 0;                          // of calibration; 0: none
  int64_t seq = 0;                                // tokens of one
  int64_t memory_bytes = 0;                       // at most
  double fp32_flops_per_s = 0;                    // host::measure_matmul_rate
  int64_t rows_at_once = default_rows_at_once();  // lowered if memory asks for it
};

struct CompressPlan {
  PlanInputs inputs;    // that it was made for
  bool spills = false;  // activations of the whole text go to disk
  int64_t rows_at_once = default_rows_at_once();
  int64_t peak_bytes = 0;       // of the whole process
  std::string peak_step = {};   // "mlp_down: second moments of 8960 inputs and their factor"
  int64_t work_disk_bytes = 0;  // finished pieces and activations, gone at the end
  int64_t out_disk_bytes = 0;   // the checkpoint
  double scoring_flops = 0;     // of what pruning keeps
  double forward_flops = 0;
  double moment_flops = 0;
  double solve_flops = 0;  // in FP32 operations; one in double counts as two
  double duration_s = 0;   // 0 if the rate is not known
};

// The cheapest plan within the memory. shape: of the source, before it is pruned. Errors:
// kInvalidArgument: what is needed at least, for which step, and what was allowed.
[[nodiscard]] Result<CompressPlan> plan_compression(const model::ModelShape& shape,
                                                    const recipe::Recipe& recipe,
                                                    const PlanInputs& inputs);

// Several lines for people: memory, disk, arithmetic, time.
[[nodiscard]] std::string to_text(const CompressPlan& plan);

}  // namespace dovetail::compress
