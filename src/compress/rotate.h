// Rotations that change no output of a model but spread outliers over many channels, so that what
// is rounded afterwards loses less. Done offline, before any algorithm:
//
//   weights = rotate_for(weights, recipe)   1. rotate(): the whole model, R1 and R2
//                                           2. rotate_input() of each site with a Hadamard block
//   compress_in_memory(weights, recipe, ..) or apply_recipe, TreatedModel (which do it themselves);
//   compress_checkpoint: a pass over its source (model_source.h)
//
// The online halves (the Hadamard transform of a linear's input; R3, that of queries and keys) are
// numerics (host/host_model.h): numerics_of(recipe) asks for them.
//
// R1 (hidden, hidden) turns the residual stream: with the gains of the RMS norms folded into the
// linears behind them, norm(x R) = norm(x) R, so E' = E R, W' = W R for what reads the stream and
// W' = R^T W for what writes it. R2 (head_dim, head_dim), one per key head and layer, turns values:
// V' = R2^T V, and O' = O R2 for each of its query heads. Both: orthogonal.h.
//
// A tied embedding ends untied (shape.tied_embedding = false): the final norm's gain goes into the
// head and cannot go into the embedding. So the head is a matrix of its own and the embedding stays
// bf16, as in models that come untied.
//
// Sources: Ashkboos et al., QuaRot, arXiv:2404.00456; Liu et al., SpinQuant, arXiv:2405.16406; the
// block transform: Egiazarian et al., MR-GPTQ, arXiv:2509.23202.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// Recipes name no seed: this one makes their rotations.
inline constexpr uint64_t kRotationSeed = 1;

// A rotation for those who hold a part of the model at a time. Memory: hidden^2 floats.
class Rotator {
 public:
  Rotator(const model::ModelShape& shape, recipe::Rotation rotation, uint64_t seed = kRotationSeed);
  // Of the turned model: an embedding that was tied is not.
  [[nodiscard]] model::ModelShape shape() const;
  void turn_layer(int64_t index, model::LayerWeights& layer) const;
  void turn_embedding(model::Matrix& rows) const;  // (any, hidden)
  // The head, (any, hidden), which takes the gain of the final norm; that becomes 1.
  void turn_output(const std::vector<float>& final_norm, model::Matrix& head) const;

 private:
  model::ModelShape before_;
  recipe::Rotation rotation_;
  model::Matrix stream_;              // R1
  std::vector<uint64_t> head_seeds_;  // R2, by layer and key head
};

// The turned weights; products in FP32. Sizes must be those of the shape (checked).
[[nodiscard]] model::Weights rotate(model::Weights weights, recipe::Rotation rotation,
                                    uint64_t seed = kRotationSeed);

// W (n, k) becomes W H, the block Hadamard transform of each row (host/hadamard.h).
void rotate_input(model::Matrix& w, int64_t block);

// The same for every linear site of a layer, with the blocks that its recipe names.
void rotate_sites(const recipe::LayerRecipe& recipe, model::LayerWeights& layer);

// Both, as the recipe asks. Errors: kInvalidArgument (layers of the recipe, recipe::check_recipe).
[[nodiscard]] Result<model::Weights> rotate_for(model::Weights weights,
                                                const recipe::Recipe& recipe);

}  // namespace dovetail::compress
