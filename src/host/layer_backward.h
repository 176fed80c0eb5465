// The way back through one transformer layer: gradients at its seven linears and at its input.
//
// Rounding of activations, queries, keys and values in the forward pass is passed straight through:
// gradients are those of the unrounded layer at the rounded values.
#pragma once

#include <cstdint>

#include "host/buffer.h"
#include "host/layer_ops.h"
#include "host/transformer_layer.h"
#include "model/model.h"

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

}  // namespace dovetail::host
