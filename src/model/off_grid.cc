#include "model/off_grid.h"

#include <numeric>

#include "base/parallel.h"
#include "base/random.h"

namespace dovetail::model {
namespace {

// new[i] = old[order[i]]
using Order = std::vector<int64_t>;

// Fisher-Yates.
Order random_order(int64_t count, Random& random) {
  Order order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = count - 1; i > 0; --i) {
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(random.below(i + 1))]);
  }
  return order;
}

// One order inside every head, the same for the `repeats` query heads that read one KV head.
// per_kv_head: one order of head_dim per KV head.
Order order_of_heads(const std::vector<Order>& per_kv_head, int64_t repeats) {
  Order order;
  for (const Order& inside : per_kv_head) {
    for (int64_t repeat = 0; repeat < repeats; ++repeat) {
      const auto start = static_cast<int64_t>(order.size());
      for (const int64_t channel : inside) order.push_back(start + channel);
    }
  }
  return order;
}

void reorder(std::vector<float>& values, const Order& order) {
  if (values.empty()) return;
  DOVETAIL_CHECK(values.size() == order.size());
  const std::vector<float> old = values;
  for (size_t i = 0; i < order.size(); ++i) values[i] = old[static_cast<size_t>(order[i])];
}

// Null: that axis stays as it is.
void reorder(Matrix& matrix, const Order* rows, const Order* cols) {
  if (matrix.values.empty()) return;
  DOVETAIL_CHECK(rows == nullptr || static_cast<int64_t>(rows->size()) == matrix.rows);
  DOVETAIL_CHECK(cols == nullptr || static_cast<int64_t>(cols->size()) == matrix.cols);
  std::vector<float> values(matrix.values.size());
  parallel_for(matrix.rows, [&](int64_t row, int64_t) {
    const int64_t source_row = rows == nullptr ? row : (*rows)[static_cast<size_t>(row)];
    const float* source = matrix.values.data() + source_row * matrix.cols;
    float* target = values.data() + row * matrix.cols;
    for (int64_t col = 0; col < matrix.cols; ++col) {
      target[col] = source[cols == nullptr ? col : (*cols)[static_cast<size_t>(col)]];
    }
  });
  matrix.values = std::move(values);
}

}  // namespace

OffGrid::OffGrid(const ModelShape& shape, uint64_t seed) {
  Random random(seed);
  residual_ = random_order(shape.hidden_size, random);
  for (int64_t index = 0; index < shape.num_layers; ++index) {
    LayerOrder& order = layers_.emplace_back();
    order.intermediate = random_order(shape.intermediate_size, random);
    std::vector<Order> per_kv_head;
    for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
      per_kv_head.push_back(random_order(shape.head_dim, random));
    }
    order.value_rows = order_of_heads(per_kv_head, 1);
    order.output_cols = order_of_heads(per_kv_head, shape.num_heads / shape.num_kv_heads);
  }
}

void OffGrid::permute_layer(int64_t index, LayerWeights& layer) const {
  const LayerOrder& order = layers_[static_cast<size_t>(index)];
  reorder(layer.attn_norm, residual_);
  reorder(layer.q, nullptr, &residual_);
  reorder(layer.k, nullptr, &residual_);
  reorder(layer.v, &order.value_rows, &residual_);
  reorder(layer.v_bias, order.value_rows);
  reorder(layer.o, &residual_, &order.output_cols);
  reorder(layer.mlp_norm, residual_);
  reorder(layer.gate, &order.intermediate, &residual_);
  reorder(layer.up, &order.intermediate, &residual_);
  reorder(layer.down, &residual_, &order.intermediate);
}

void OffGrid::permute_rows_of_hidden(Matrix& rows) const {
  reorder(rows, nullptr, &residual_);
}

void OffGrid::permute_hidden(std::vector<float>& values) const {
  reorder(values, residual_);
}

void permute_off_grid(Weights& weights, uint64_t seed) {
  const OffGrid off_grid(weights.shape, seed);
  off_grid.permute_rows_of_hidden(weights.embedding);
  off_grid.permute_rows_of_hidden(weights.head);
  off_grid.permute_hidden(weights.final_norm);
  for (size_t index = 0; index < weights.layers.size(); ++index)
    off_grid.permute_layer(static_cast<int64_t>(index), weights.layers[index]);
}

}  // namespace dovetail::model
