// The way back through one transformer layer: gradients at its seven linears, at its input, and at
// the inputs of attn_o and mlp_down, where heads and channels can be masked.
//
// Rounding of activations, queries, keys and values in the forward pass is passed straight through:
// gradients are those of the unrounded layer at the rounded values.
#pragma once

#include <cstdint>
#include <functional>

#include "host/buffer.h"
#include "host/layer_ops.h"
#include "host/transformer_layer.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::host {

// Reused from pass to pass; rows = b * s.
struct BackwardScratch {
  BackwardScratch(const model::ModelShape& shape, int64_t rows);

  Buffer normed;        // (rows, h)
  Buffer activated;     // (rows, intermediate)
  Buffer d_wide;        // (rows, max(h, q_size, intermediate)) gradient at a linear's input
  Buffer d_gate, d_up;  // (rows, intermediate)
  Buffer dq, dk, dv;
};

// Zeros of the size of a layer's linears, to be filled with gradients; no norms, no biases.
[[nodiscard]] model::LayerWeights make_gradient(const model::LayerWeights& weights);

// d_hidden: (rows, h), the gradient at the layer's output; becomes the one at its input. saved: of
// run_layer on the same run. gradient: its seven matrices are overwritten.
// `to_input` false leaves d_hidden undefined and saves the three products that it alone needs.
void layer_backward(const LayerRun& run, const SavedLayer& saved, BackwardScratch& scratch,
                    float* d_hidden, model::LayerWeights& gradient, bool to_input = true);

// The same without the gradients of weights. `use` hears of mlp_down, then of attn_o: what enters
// it, x (rows, n), and the gradient there, dx (rows, n).
using UseMaskable =
    std::function<void(recipe::SiteKind kind, int64_t n, const float* x, const float* dx)>;
void layer_backward_inputs(const LayerRun& run, const SavedLayer& saved, BackwardScratch& scratch,
                           float* d_hidden, const UseMaskable& use);

}  // namespace dovetail::host
