// Where the weights that are compressed come from, a layer at a time: memory, or a checkpoint
// larger than it. Passes over the whole model are sources of another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "compress/activation_store.h"
#include "host/host_model.h"
#include "model/model.h"
#include "model/weights_reader.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct ModelSource {
  model::ModelShape shape;
  std::function<Result<model::LayerWeights>(int64_t index)> layer;
  // (ids, hidden): the rows of these tokens.
  std::function<Result<model::Matrix>(const std::vector<int32_t>& ids)> embedding_of;
  std::function<Result<model::Matrix>()> embedding;        // (vocab, hidden)
  std::function<Result<model::Matrix>()> head;             // (vocab, hidden); empty when tied
  std::function<Result<std::vector<float>>()> final_norm;  // (hidden)
};

[[nodiscard]] ModelSource source_of(std::shared_ptr<const model::Weights> weights);
[[nodiscard]] ModelSource source_of(std::shared_ptr<const model::WeightsReader> reader);

// Off the grid of its release (model/off_grid.h). seed 0: as it is.
[[nodiscard]] ModelSource off_grid(ModelSource from, uint64_t seed);

// The shape that a recipe's passes leave: pruned, and untied where it rotates. Errors:
// kInvalidArgument (layers of the recipe, recipe::check_recipe).
[[nodiscard]] Result<model::ModelShape> shape_after(const model::ModelShape& shape,
                                                    const recipe::Recipe& recipe);

// Turned as the recipe asks (rotate.h), after it was pruned (prune.h). Errors: as shape_after.
[[nodiscard]] Result<ModelSource> rotated(ModelSource from, const recipe::Recipe& recipe);

// Writes the residual stream that enters the first layer, rows of the text's tokens, to the
// beginning of `stream`; from `embedding` (vocab, hidden) unless it is null, else the source's.
// Errors: the source's, kIo.
[[nodiscard]] Status embed(const ModelSource& source, const model::Matrix* embedding,
                           const host::TokenBatch& tokens, ActivationStore& stream);

// All of it. Errors: the source's.
[[nodiscard]] Result<model::Weights> collect(const ModelSource& source);

}  // namespace dovetail::compress
