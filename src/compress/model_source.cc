#include "compress/model_source.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "compress/rotate.h"
#include "model/off_grid.h"

namespace dovetail::compress {

ModelSource source_of(std::shared_ptr<const model::Weights> weights) {
  ModelSource source;
  source.shape = weights->shape;
  source.layer = [weights](int64_t index) -> Result<model::LayerWeights> {
    return weights->layers[static_cast<size_t>(index)];
  };
  source.embedding_of = [weights](const std::vector<int32_t>& ids) -> Result<model::Matrix> {
    const int64_t h = weights->shape.hidden_size;
    model::Matrix rows{.rows = std::ssize(ids), .cols = h, .values = {}};
    rows.values.reserve(ids.size() * static_cast<size_t>(h));
    for (const int32_t id : ids) {
      const auto row = weights->embedding.values.begin() + int64_t{id} * h;
      rows.values.insert(rows.values.end(), row, row + h);
    }
    return rows;
  };
  source.embedding = [weights]() -> Result<model::Matrix> { return weights->embedding; };
  source.head = [weights]() -> Result<model::Matrix> { return weights->head; };
  source.final_norm = [weights]() -> Result<std::vector<float>> { return weights->final_norm; };
  return source;
}

ModelSource source_of(std::shared_ptr<const model::WeightsReader> reader) {
  ModelSource source;
  source.shape = reader->shape();
  source.layer = [reader](int64_t index) { return reader->layer(index); };
  source.embedding_of = [reader](const std::vector<int32_t>& ids) {
    return reader->embedding_of(ids);
  };
  source.embedding = [reader] { return reader->embedding(); };
  source.head = [reader] { return reader->head(); };
  source.final_norm = [reader] { return reader->final_norm(); };
  return source;
}

ModelSource off_grid(ModelSource from, uint64_t seed) {
  if (seed == 0) return from;
  const auto order = std::make_shared<const model::OffGrid>(from.shape, seed);
  const auto base = std::make_shared<const ModelSource>(std::move(from));
  const auto permuted = [order](Result<model::Matrix> rows) {
    if (rows.has_value()) order->permute_rows_of_hidden(*rows);
    return rows;
  };
  ModelSource source;
  source.shape = base->shape;
  source.layer = [base, order](int64_t index) {
    auto layer = base->layer(index);
    if (layer.has_value()) order->permute_layer(index, *layer);
    return layer;
  };
  source.embedding_of = [base, permuted](const std::vector<int32_t>& ids) {
    return permuted(base->embedding_of(ids));
  };
  source.embedding = [base, permuted] { return permuted(base->embedding()); };
  source.head = [base, permuted] { return permuted(base->head()); };
  source.final_norm = [base, order] {
    auto norm = base->final_norm();
    if (norm.has_value()) order->permute_hidden(*norm);
    return norm;
  };
  return source;
}

Result<model::ModelShape> shape_after(const model::ModelShape& shape,
                                      const recipe::Recipe& recipe) {
  if (std::ssize(recipe.layers) != shape.num_layers) {
    return invalid_argument(fmt::format("recipe has {} layers, the model {} has {}",
                                        recipe.layers.size(), shape.name, shape.num_layers));
  }
  DOVETAIL_TRY_STATUS(recipe::check_recipe(shape, recipe));
  model::ModelShape after = recipe::pruned_shape(shape, recipe.pruning);
  if (recipe.rotation != recipe::Rotation::kNone) after.tied_embedding = false;
  return after;
}

Result<ModelSource> rotated(ModelSource from, const recipe::Recipe& recipe) {
  DOVETAIL_TRY([[maybe_unused]] const model::ModelShape after, shape_after(from.shape, recipe));
  DOVETAIL_CHECK(!recipe::prunes(recipe.pruning, from.shape));
  if (!recipe::needs_rotation(recipe)) return from;
  const auto rotator = std::make_shared<const Rotator>(from.shape, recipe.rotation);
  const auto base = std::make_shared<const ModelSource>(std::move(from));
  const bool turns = recipe.rotation != recipe::Rotation::kNone;
  ModelSource source = *base;
  source.shape = rotator->shape();
  source.layer = [base, rotator, recipe](int64_t index) {
    auto layer = base->layer(index);
    if (!layer.has_value()) return layer;
    rotator->turn_layer(index, *layer);
    rotate_sites(recipe.layers[static_cast<size_t>(index)], *layer);
    return layer;
  };
  if (!turns) return source;
  const auto turned = [rotator](Result<model::Matrix> rows) {
    if (rows.has_value()) rotator->turn_embedding(*rows);
    return rows;
  };
  source.embedding_of = [base, turned](const std::vector<int32_t>& ids) {
    return turned(base->embedding_of(ids));
  };
  source.embedding = [base, turned] { return turned(base->embedding()); };
  source.head = [base, rotator]() -> Result<model::Matrix> {
    DOVETAIL_TRY(model::Matrix head, base->shape.tied_embedding ? base->embedding() : base->head());
    DOVETAIL_TRY(const std::vector<float> norm, base->final_norm());
    rotator->turn_output(norm, head);
    return head;
  };
  source.final_norm = [base]() -> Result<std::vector<float>> {
    return std::vector<float>(static_cast<size_t>(base->shape.hidden_size), 1.0F);
  };
  return source;
}

Status embed(const ModelSource& source, const model::Matrix* embedding,
             const host::TokenBatch& tokens, ActivationStore& stream) {
  const int64_t h = source.shape.hidden_size;
  for (int64_t first = 0; first < tokens.rows(); first += tokens.seq) {
    const auto begin = tokens.ids.begin() + first;
    const std::vector<int32_t> ids(begin, begin + tokens.seq);
    if (embedding == nullptr) {
      DOVETAIL_TRY(const model::Matrix rows, source.embedding_of(ids));
      DOVETAIL_TRY_STATUS(stream.write(first, tokens.seq, rows.values.data()));
      continue;
    }
    for (int64_t i = 0; i < tokens.seq; ++i)
      DOVETAIL_TRY_STATUS(stream.write(
          first + i, 1, embedding->values.data() + int64_t{ids[static_cast<size_t>(i)]} * h));
  }
  return {};
}

Result<model::Weights> collect(const ModelSource& source) {
  model::Weights weights;
  weights.shape = source.shape;
  DOVETAIL_TRY(weights.embedding, source.embedding());
  DOVETAIL_TRY(weights.head, source.head());
  DOVETAIL_TRY(weights.final_norm, source.final_norm());
  for (int64_t index = 0; index < source.shape.num_layers; ++index) {
    DOVETAIL_TRY(model::LayerWeights layer, source.layer(index));
    weights.layers.push_back(std::move(layer));
  }
  return weights;
}

}  // namespace dovetail::compress
