// The element-wise and row-wise work of a layer, forward and backward, on plain FP32 rows. Each
// function runs over the rows in parallel; no result depends on the number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/model.h"

namespace dovetail::host {

// Calls body(begin, end) over [0, rows) in pieces worth a thread's while at `row_cost` floats a
// row.
void for_row_pieces(int64_t rows, int64_t row_cost,
                    const std::function<void(int64_t begin, int64_t end)>& body);

// y = x / sqrt(mean(x^2) + eps) * gain, each (rows, n).
void rms_norm(int64_t rows, int64_t n, const float* x, const float* gain, double eps, float* y);
// dx += the gradient at x, given dy at y.
void rms_norm_backward(int64_t rows, int64_t n, const float* x, const float* gain, double eps,
                       const float* dy, float* dx);

// x (rows, n) += bias (n).
void add_bias(int64_t rows, int64_t n, const float* bias, float* x);

// gate = silu(gate) * up, `count` elements.
void silu_mul(int64_t count, float* gate, const float* up);
// Given d_out at silu(gate) * up: d_gate and d_up.
void silu_mul_backward(int64_t count, const float* gate, const float* up, const float* d_out,
                       float* d_gate, float* d_up);

// y = x^2, `count` elements.
void square(int64_t count, const float* x, float* y);

// Rotary embedding in the Hugging Face layout: element i pairs with element i + head_dim / 2, the
// angle is position * theta^(-2 i / head_dim), divided where the shape says so.
class RopeTable {
 public:
  RopeTable(int64_t positions, const model::ModelShape& shape);
  // Turns x (rows, heads * head_dim); row r is at position first_position + r % seq. A direction of
  // -1 turns back, which is also the gradient.
  void apply(int64_t rows, int64_t seq, int64_t first_position, int64_t heads, int direction,
             float* x) const;

 private:
  int64_t half_;
  std::vector<float> cos_, sin_;  // (positions, head_dim / 2)
};

}  // namespace dovetail::host
