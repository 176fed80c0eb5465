// Compresses a model block by block on calibration text: every site sees the inputs that the
// already compressed sites before it produce.
//
// Of each layer four steps: attn_qkv, attn_o, mlp_gate_up, mlp_down. A step computes its inputs for
// the whole text, sums their second moments, lets the site's algorithm write the weights, and goes
// on through the written ones; so each linear runs forward once. Activations and the KV cache are
// rounded as the recipe asks, so algorithms compensate for that too.
//
// Memory beside the two copies of the weights: 4 bytes * tokens * (hidden + the widest input).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "compress/gptq.h"
#include "host/host_model.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct BlockwiseParams {
  GptqParams gptq = {};
  int64_t rows_at_once = 2048;  // tokens that run side by side, at least one sequence
};

// What was done to one matrix.
struct MatrixReport {
  std::string matrix;  // "layers.3.mlp_down.down"
  std::string treatment;
  double damping_frac = 0;  // GPTQ: that was taken
  int64_t num_dead_columns = 0;
  // Output error over output, of round to nearest under the same scales and of what was written.
  double rounded_error_frac = 0;
  double error_frac = 0;
  double seconds = 0;
};

struct Compressed {
  model::Weights weights;
  host::Numerics numerics;
  std::vector<MatrixReport> reports;  // of matrices that were treated, in order
};

// tokens: calibration, every position counts. Errors: kInvalidArgument (layers of the recipe,
// tokens, a head with an algorithm that needs its inputs, weights that are not finite; algorithms'
// own, with the matrix named).
[[nodiscard]] Result<Compressed> compress_blockwise(const model::Weights& weights,
                                                    const recipe::Recipe& recipe,
                                                    const host::TokenBatch& tokens,
                                                    const BlockwiseParams& params = {},
                                                    const ProgressSink& progress = {});

[[nodiscard]] Json to_json(const MatrixReport& report);

}  // namespace dovetail::compress
