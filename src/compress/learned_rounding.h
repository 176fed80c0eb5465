// Learns the rounding of one transformer layer by gradients of its output error.
//
// Each weight stands at a position p on the ladder of its format's values (the code's number plus
// an offset V) and is written as the step nearest to p times its group's scale s; each group's
// scale is s0 * alpha, rounded to what the format stores. Both learn by the sign of their gradients
// under a straight-through estimator,
//
//   p -= rate_t sign(dL/dq s)      alpha -= scale_rate rate_t sign(sum over the group of dL/dq q)
//
// rate_t falls from `rate` to 0 in a line, on minibatches of sequences. L: the mean over tokens of
// |f(X) - Y|^2 / |Y|^2, f the layer with written weights on inputs that came through the compressed
// layers before it, Y the original layer's output on original inputs; each token counts by its own
// size, as the norm after it sees it. The written weights of least loss over all sequences are
// kept, so the loss never ends above that of the start.
//
// The start is any rounded layer (of gptq() or refine()), and |V| <= reach around its codes: what
// was found before is improved, not forgotten. Where V starts says how readily codes change: at 0
// (for starts of an algorithm) only those move on which nearly all minibatches agree, since the
// rates sum to half a step; where the original weight lies in the code's cell (start_reach 0.5, for
// starts by rounding to nearest) it is SignRound's own. Memory: about 20 bytes a weight and 60
// bytes * hidden * tokens of a minibatch.
//
// Source: Cheng et al., SignRound, arXiv:2309.05516 (sign descent on offsets and clipping, 200
// steps); the start from GPTQ, ladders of any format and the weighing of tokens are this file's.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "compress/code_ladder.h"
#include "compress/site_matrix.h"
#include "formats/format.h"
#include "formats/rounding.h"
#include "host/host_model.h"
#include "host/layer_ops.h"
#include "model/model.h"

namespace dovetail::compress {

using RoundedLayer = std::array<RoundedLinear, kLayerLinears>;

// Round to nearest with searched scales, of every linear that is not bf16.
[[nodiscard]] RoundedLayer nearest_layer(
    const model::LayerWeights& weights,
    const std::array<formats::WeightFormat, kLayerLinears>& formats,
    const formats::Rounding& rounding);

struct LayerProblem {
  const model::ModelShape& shape;
  const model::LayerWeights& weights;  // original
  const host::LayerNumerics& numerics;
  const host::RopeTable& rope;
  int64_t num_sequences = 0;
  int64_t seq = 0;
  const float* inputs = nullptr;   // (sequences * s, h)
  const float* targets = nullptr;  // (sequences * s, h)
};

struct LearnedParams {
  int64_t iterations = 50;  // 0..100000
  int64_t batch = 8;        // sequences of one step; at most what there is
  double rate = 0;          // of offsets, in steps of the ladder; 0: 1 / iterations
  double scale_rate = 0.1;  // of alpha, beside `rate`; 0: scales stay
  double start_reach = 0;   // |V| at most at the start; 0..0.5
  double reach = 1.0;       // |V| at most; 0 < reach < 8
  int64_t checks = 4;       // times that the loss over all sequences is looked at; >= 1
  uint64_t seed = 1;        // of the order of sequences
};

struct LearnedStats {
  double start_loss = 0;  // over all sequences
  double loss = 0;        // of what is returned; <= start_loss
  int64_t iterations = 0;
  int64_t best_iteration = 0;  // 0: the start
  int64_t changed_weights = 0;
  double seconds = 0;
  double learning_seconds = 0;  // forward, backward and steps, without the looks at all sequences
};

struct LearnedLayer {
  RoundedLayer linears;
  LearnedStats stats;
};

// Scales of sites whose groups span rows, of E8M0 and of two levels (QoQ) stay as they are; zero
// points and fitted levels too. Sparse formats: zeros stay zeros. Same bits for any number of
// threads. Errors: kInvalidArgument (parameters out of range, sizes, values that are no codes).
[[nodiscard]] Result<LearnedLayer> learn_rounding(const LayerProblem& problem,
                                                  const RoundedLayer& start,
                                                  const LearnedParams& params);

// The loss of a layer with these linears over all sequences. Errors: as learn_rounding.
[[nodiscard]] Result<double> layer_loss(const LayerProblem& problem, const RoundedLayer& linears);

}  // namespace dovetail::compress
