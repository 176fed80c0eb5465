// One backward pass that tells how much every weight and every activation matters.
//
// Labels y_t are drawn from the model's own distribution at temperature 1, at every position; the
// loss is sum_t -log p(y_t). With delta the gradient at a linear's output and x its input, the
// expected KL of replacing W by W + dW with independent errors is 1/2 sum(S * dW^2), where
//
//   S = (1 / positions) sum_t (delta_t^2) (x_t^2)^T                      (out, in)
//
// and that of rounding the input is 1/(2 positions) sum_t sum_j (W^T delta_t)_j^2 (x_tj -
// q(x)_tj)^2. Both take the Fisher information's diagonal: E[gradient^2] over labels of the model
// itself.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "host/host_model.h"

namespace dovetail::host {

// Predicted loss of rounding the input of one site, nats per position.
struct ActivationLoss {
  double int8_token_nats = 0.0;
  double fp8_token_nats = 0.0;
};

struct LayerSensitivity {
  model::Matrix q, k, v, o, gate, up, down;  // S, the shape of the weights
  std::array<ActivationLoss, 4> activation;  // attn_qkv, attn_o, mlp_gate_up, mlp_down
};

// 4 bytes a weight: 540 MB for SmolLM2. `head` counts the use as a head alone when tied; the use as
// an embedding costs 1/2 sum over positions and channels of embedding * dE[token of the
// position]^2.
struct Sensitivity {
  std::vector<LayerSensitivity> layers;
  model::Matrix head;
  model::Matrix embedding;  // (b * s, h): delta^2 / positions at the embedding's output
  ActivationLoss head_activation;
  int64_t num_positions = 0;
};

// Sensitivity of `model` on `tokens`, averaged over all b * s positions. One sequence at a time:
// its working memory is about 4 s (8 h + 2.5 intermediate) * layers bytes beside the result. The
// model must be the reference: numerics are an error. Errors: kInvalidArgument as HostModel's.
[[nodiscard]] Result<Sensitivity> profile_pass(const HostModel& model, const TokenBatch& tokens,
                                               uint64_t seed, const ProgressSink& progress = {});

// The labels that profile_pass draws for one sequence: a stream per sequence, one draw a position.
[[nodiscard]] Result<std::vector<int32_t>> profile_labels(const HostModel& model,
                                                          const TokenBatch& tokens, uint64_t seed);

}  // namespace dovetail::host
