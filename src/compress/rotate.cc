#include "compress/rotate.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/random.h"
#include "compress/orthogonal.h"
#include "compress/treat.h"
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

void fold_norms(model::Weights& weights) {
  for (model::LayerWeights& layer : weights.layers) {
    for (Matrix* w : {&layer.q, &layer.k, &layer.v}) fold_gain(layer.attn_norm, *w);
    for (Matrix* w : {&layer.gate, &layer.up}) fold_gain(layer.mlp_norm, *w);
    std::ranges::fill(layer.attn_norm, 1.0F);
    std::ranges::fill(layer.mlp_norm, 1.0F);
  }
  fold_gain(weights.final_norm, weights.head);
  std::ranges::fill(weights.final_norm, 1.0F);
}

void turn_stream(uint64_t seed, model::Weights& weights) {
  if (weights.shape.tied_embedding) {
    weights.head = weights.embedding;
    weights.shape.tied_embedding = false;
  }
  fold_norms(weights);
  const int64_t h = weights.shape.hidden_size;
  const Matrix r{h, h, orthogonal_matrix(h, seed)};
  turn_columns(r, weights.embedding);
  turn_columns(r, weights.head);
  for (model::LayerWeights& layer : weights.layers) {
    for (Matrix* w : {&layer.q, &layer.k, &layer.v, &layer.gate, &layer.up}) turn_columns(r, *w);
    for (Matrix* w : {&layer.o, &layer.down}) turn_rows(r, *w);
  }
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

void turn_values(Random& seeds, model::Weights& weights) {
  const model::ModelShape& shape = weights.shape;
  for (model::LayerWeights& layer : weights.layers)
    for (int64_t head = 0; head < shape.num_kv_heads; ++head)
      turn_head(shape, head,
                {shape.head_dim, shape.head_dim, orthogonal_matrix(shape.head_dim, seeds.next())},
                layer);
}

}  // namespace

model::Weights rotate(model::Weights weights, recipe::Rotation rotation, uint64_t seed) {
  if (rotation == recipe::Rotation::kNone) return weights;
  Random seeds(seed);
  turn_stream(seeds.next(), weights);
  if (rotation == recipe::Rotation::kR1R2) turn_values(seeds, weights);
  return weights;
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
    for (size_t i = 0; i < recipe.layers[layer].linear.size(); ++i)
      for (const auto matrix : site_matrices(static_cast<recipe::SiteKind>(i)))
        rotate_input(rotated.layers[layer].*matrix, recipe.layers[layer].linear[i].hadamard);
  return rotated;
}

}  // namespace dovetail::compress
