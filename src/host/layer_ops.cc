#include "host/layer_ops.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "base/result.h"
#include "host/lanes.h"

namespace dovetail::host {
namespace {

// A thread costs some 30 us to start: about as long as this many floats take.
constexpr int64_t kFloatsPerPiece = int64_t{1} << 16;

double mean_square(int64_t n, const float* x) {
  FloatLanes sum{};
  for (int64_t i = 0; i < n; i += kFloatLanes) {
    FloatLanes v;
    load_lanes(x + i, n - i, 0.0F, v);
    sum += v * v;
  }
  return static_cast<double>(sum_lanes(sum)) / static_cast<double>(n);
}

// 1 / (1 + e^-x)
void sigmoid_lanes(const FloatLanes& x, FloatLanes& y) {
  y = -x;
  exp_lanes(y);
  y = 1.0F / (1.0F + y);
}

}  // namespace

void for_row_pieces(int64_t rows, int64_t row_cost,
                    const std::function<void(int64_t, int64_t)>& body) {
  const int64_t piece = std::max<int64_t>(1, kFloatsPerPiece / std::max<int64_t>(1, row_cost));
  parallel_for((rows + piece - 1) / piece, [&](int64_t index, int64_t) {
    body(index * piece, std::min(rows, (index + 1) * piece));
  });
}

void rms_norm(int64_t rows, int64_t n, const float* x, const float* gain, double eps, float* y) {
  for_row_pieces(rows, n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* from = x + row * n;
      float* to = y + row * n;
      const auto scale = static_cast<float>(1.0 / std::sqrt(mean_square(n, from) + eps));
      for (int64_t i = 0; i < n; ++i) to[i] = from[i] * scale * gain[i];
    }
  });
}

void rms_norm_backward(int64_t rows, int64_t n, const float* x, const float* gain, double eps,
                       const float* dy, float* dx) {
  // y_i = x_i s g_i with s = (mean(x^2) + eps)^-1/2, so
  // dx_i = s (g_i dy_i - x_i s^2 sum_j(dy_j g_j x_j) / n).
  for_row_pieces(rows, 3 * n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* xr = x + row * n;
      const float* dyr = dy + row * n;
      float* dxr = dx + row * n;
      double dot = 0.0;
      for (int64_t i = 0; i < n; ++i) dot += static_cast<double>(dyr[i] * gain[i] * xr[i]);
      const double scale = 1.0 / std::sqrt(mean_square(n, xr) + eps);
      const auto s = static_cast<float>(scale);
      const auto pull = static_cast<float>(scale * scale * dot / static_cast<double>(n));
      for (int64_t i = 0; i < n; ++i) dxr[i] += s * (gain[i] * dyr[i] - xr[i] * pull);
    }
  });
}

void add_bias(int64_t rows, int64_t n, const float* bias, float* x) {
  for_row_pieces(rows, n, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t i = 0; i < n; ++i) x[row * n + i] += bias[i];
    }
  });
}

void silu_mul(int64_t count, float* gate, const float* up) {
  for_row_pieces((count + kFloatLanes - 1) / kFloatLanes, kFloatLanes,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin * kFloatLanes; i < end * kFloatLanes; i += kFloatLanes) {
                     FloatLanes g, u, s;
                     load_lanes(gate + i, count - i, 0.0F, g);
                     load_lanes(up + i, count - i, 0.0F, u);
                     sigmoid_lanes(g, s);
                     store_lanes(g * s * u, count - i, gate + i);
                   }
                 });
}

void silu_mul_backward(int64_t count, const float* gate, const float* up, const float* d_out,
                       float* d_gate, float* d_up) {
  for_row_pieces((count + kFloatLanes - 1) / kFloatLanes, kFloatLanes,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin * kFloatLanes; i < end * kFloatLanes; i += kFloatLanes) {
                     FloatLanes g, u, d, s;
                     load_lanes(gate + i, count - i, 0.0F, g);
                     load_lanes(up + i, count - i, 0.0F, u);
                     load_lanes(d_out + i, count - i, 0.0F, d);
                     sigmoid_lanes(g, s);
                     store_lanes(d * u * s * (1.0F + g * (1.0F - s)), count - i, d_gate + i);
                     store_lanes(d * g * s, count - i, d_up + i);
                   }
                 });
}

void square(int64_t count, const float* x, float* y) {
  constexpr int64_t kRow = 4096;
  for_row_pieces((count + kRow - 1) / kRow, kRow, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kRow; i < std::min(count, end * kRow); ++i) y[i] = x[i] * x[i];
  });
}

RopeTable::RopeTable(int64_t positions, const model::ModelShape& shape)
    : half_(shape.head_dim / 2) {
  cos_.resize(static_cast<size_t>(positions * half_));
  sin_.resize(cos_.size());
  for (int64_t i = 0; i < half_; ++i) {
    // The frequency and the angle are rounded to FP32 as the released models were trained.
    auto frequency = static_cast<float>(std::pow(
        shape.rope_theta, -2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim)));
    if (!shape.rope_divisors.empty()) frequency /= shape.rope_divisors[static_cast<size_t>(i)];
    for (int64_t position = 0; position < positions; ++position) {
      const auto angle = static_cast<double>(static_cast<float>(position) * frequency);
      const auto at = static_cast<size_t>(position * half_ + i);
      cos_[at] = static_cast<float>(std::cos(angle));
      sin_[at] = static_cast<float>(std::sin(angle));
    }
  }
}

void RopeTable::apply(int64_t rows, int64_t seq, int64_t first_position, int64_t heads,
                      int direction, float* x) const {
  DOVETAIL_CHECK((first_position + seq) * half_ <= static_cast<int64_t>(cos_.size()));
  const auto sign = static_cast<float>(direction);
  for_row_pieces(rows, heads * half_ * 2, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t position = first_position + row % seq;
      const float* c = cos_.data() + position * half_;
      const float* s = sin_.data() + position * half_;
      for (int64_t head = 0; head < heads; ++head) {
        float* low = x + (row * heads + head) * half_ * 2;
        float* high = low + half_;
        for (int64_t i = 0; i < half_; ++i) {
          const float a = low[i];
          const float b = high[i];
          low[i] = a * c[i] - sign * b * s[i];
          high[i] = b * c[i] + sign * a * s[i];
        }
      }
    }
  });
}

}  // namespace dovetail::host
