#include "compress/rotate.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/random.h"
#include "compress/orthogonal.h"
#include "compress/site_matrix.h"
#include "host/hadamard.h"
#include "host/matmul.h"

namespace dovetail::compress {
namespace {

using model::Matrix;

// W diag(gain)
void fold_gain(const std::vector<float>& gain, Matrix& w) {
  for (int64_t i = 0; i < w.rows; ++i)
    for (int64_t j = 0; j < w.cols; ++j)
      w.values[static_cast<size_t>(i * w.cols + j)] *= gain[static_cast<size_t>(j)];
}

// W R: turns what the matrix reads (or, of an embedding, what a row is).
void turn_columns(const Matrix& r, Matrix& w) {
  DOVETAIL_CHECK(w.cols == r.rows);
  std::vector<float> turned(w.values.size());
  host::matmul({w.values.data(), w.rows, w.cols}, {r.values.data(), r.rows, r.cols}, turned.data());
  w.values = std::move(turned);
}

// R^T W: turns what the matrix writes.
void turn_rows(const Matrix& r, Matrix& w) {
  DOVETAIL_CHECK(w.rows == r.rows);
  std::vector<float> turned(w.values.size());
  host::matmul({r.values.data(), r.rows, r.cols, true}, {w.values.data(), w.rows, w.cols},
               turned.data());
  w.values = std::move(turned);
}

// The values of one key head; its query heads are neighbours.
void turn_head(const model::ModelShape& shape, int64_t head, const Matrix& r,
               model::LayerWeights& layer) {
  const int64_t d = shape.head_dim;
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const auto values = layer.v.values.begin() + head * d * layer.v.cols;
  Matrix v{d, layer.v.cols, {values, values + d * layer.v.cols}};
  turn_rows(r, v);
  std::ranges::copy(v.values, values);
  if (!layer.v_bias.empty()) {
    const auto begin = layer.v_bias.begin() + head * d;
    Matrix bias{d, 1, {begin, begin + d}};
    turn_rows(r, bias);
    std::ranges::copy(bias.values, begin);
  }
  for (int64_t query = head * group; query < (head + 1) * group; ++query) {
    Matrix o{layer.o.rows, d, {}};
    for (int64_t row = 0; row < o.rows; ++row) {
      const auto begin = layer.o.values.begin() + row * layer.o.cols + query * d;
      o.values.insert(o.values.end(), begin, begin + d);
    }
    turn_columns(r, o);
    for (int64_t row = 0; row < o.rows; ++row)
      std::copy_n(o.values.begin() + row * d, d,
                  layer.o.values.begin() + row * layer.o.cols + query * d);
  }
}

}  // namespace

Rotator::Rotator(const model::ModelShape& shape, recipe::Rotation rotation, uint64_t seed)
    : before_(shape), rotation_(rotation) {
  if (rotation == recipe::Rotation::kNone) return;
  Random seeds(seed);
  const int64_t h = shape.hidden_size;
  stream_ = {h, h, orthogonal_matrix(h, seeds.next())};
  if (rotation == recipe::Rotation::kR1R2) {
    for (int64_t i = 0; i < shape.num_layers * shape.num_kv_heads; ++i)
      head_seeds_.push_back(seeds.next());
  }
}

model::ModelShape Rotator::shape() const {
  return recipe::rotated_shape(before_, rotation_);
}

void Rotator::turn_layer(int64_t index, model::LayerWeights& layer) const {
  if (rotation_ == recipe::Rotation::kNone) return;
  for (Matrix* w : {&layer.q, &layer.k, &layer.v}) fold_gain(layer.attn_norm, *w);
  for (Matrix* w : {&layer.gate, &layer.up}) fold_gain(layer.mlp_norm, *w);
  std::ranges::fill(layer.attn_norm, 1.0F);
  std::ranges::fill(layer.mlp_norm, 1.0F);
  for (Matrix* w : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up})
    turn_columns(stream_, *w);
  for (Matrix* w : {&layer.o, &layer.down}) turn_rows(stream_, *w);
  if (rotation_ != recipe::Rotation::kR1R2) return;
  for (int64_t head = 0; head < before_.num_kv_heads; ++head) {
    const uint64_t seed = head_seeds_[static_cast<size_t>(index * before_.num_kv_heads + head)];
    turn_head(before_, head,
              {before_.head_dim, before_.head_dim, orthogonal_matrix(before_.head_dim, seed)},
              layer);
  }
}

void Rotator::turn_embedding(Matrix& rows) const {
  if (rotation_ != recipe::Rotation::kNone) turn_columns(stream_, rows);
}

void Rotator::turn_output(const std::vector<float>& final_norm, Matrix& head) const {
  if (rotation_ == recipe::Rotation::kNone) return;
  fold_gain(final_norm, head);
  turn_columns(stream_, head);
}

model::Weights rotate(model::Weights weights, recipe::Rotation rotation, uint64_t seed) {
  if (rotation == recipe::Rotation::kNone) return weights;
  const Rotator rotator(weights.shape, rotation, seed);
  if (weights.shape.tied_embedding) weights.head = weights.embedding;
  weights.shape = rotator.shape();
  rotator.turn_embedding(weights.embedding);
  rotator.turn_output(weights.final_norm, weights.head);
  std::ranges::fill(weights.final_norm, 1.0F);
  for (size_t index = 0; index < weights.layers.size(); ++index)
    rotator.turn_layer(static_cast<int64_t>(index), weights.layers[index]);
  return weights;
}

void rotate_sites(const recipe::LayerRecipe& recipe, model::LayerWeights& layer) {
  for (size_t i = 0; i < recipe.linear.size(); ++i)
    for (const SiteMember& member : site_members(static_cast<recipe::SiteKind>(i)))
      rotate_input(layer.*member.matrix, recipe.linear[i].hadamard);
}

void rotate_input(Matrix& w, int64_t block) {
  host::hadamard_rows(w.rows, w.cols, block, w.values.data());
}

Result<model::Weights> rotate_for(model::Weights weights, const recipe::Recipe& recipe) {
  const model::ModelShape& shape = weights.shape;
  if (static_cast<int64_t>(recipe.layers.size()) != shape.num_layers) {
    return invalid_argument(fmt::format("recipe has {} layers, the model {} has {}",
                                        recipe.layers.size(), shape.name, shape.num_layers));
  }
  DOVETAIL_TRY_STATUS(recipe::check_recipe(shape, recipe));
  model::Weights rotated = rotate(std::move(weights), recipe.rotation);
  for (size_t layer = 0; layer < recipe.layers.size(); ++layer)
    rotate_sites(recipe.layers[layer], rotated.layers[layer]);
  return rotated;
}

}  // namespace dovetail::compress
