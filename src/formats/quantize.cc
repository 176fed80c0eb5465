#include "formats/quantize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "base/result.h"
#include "formats/activation.h"
#include "formats/element_lanes.h"
#include "formats/row_blocks.h"

namespace dovetail::formats {
namespace {

// out = round(w / s) * s.
template <typename Element>
void write_group(const Element& element, float scale, int64_t n, const float* w, float* out) {
  const FloatLanes s = broadcast(scale);
  const auto value = [&](FloatLanes lanes) {
    const FloatLanes x = lanes / s;
    const FloatLanes code = element.round(x);
    return (Element::kSigned ? with_sign_of(code, x) : code) * s;
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(value(load(w + i)), out + i);
  if (i < n) store_first(value(load_first(w + i, n - i)), out + i, n - i);
}

void round_to_bf16(int64_t count, const float* x, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(x[i]);
    const uint32_t nan = (bits & 0x7FFFFFFFU) > 0x7F800000U ? 1U : 0U;
    const uint32_t rounded = bits + (nan != 0 ? 0U : 0x7FFFU + ((bits >> 16U) & 1U));
    out[i] = std::bit_cast<float>((rounded & 0xFFFF0000U) | nan << 22U);
  }
}

// What rounding of rows needs beside the rows.
struct Rows {
  const WeightFormat& format;
  const MatrixScales& scales;
  int64_t rows = 0;
  int64_t k = 0;
};

template <typename Element>
void round_row(const Rows& matrix, const Element& element, int64_t row, const float* w,
               float* out) {
  const WeightFormat& format = matrix.format;
  const MatrixScales& scales = matrix.scales;
  const int64_t length = format.group_size == 0 ? matrix.k : format.group_size;
  const int64_t height = format.group_rows == 0 ? matrix.rows : format.group_rows;
  for (int64_t g = 0; g < scales.groups; ++g) {
    const auto at = static_cast<size_t>(row / height * scales.groups + g);
    const int64_t begin = g * length;
    const int64_t n = std::min(length, matrix.k - begin);
    if (scales.scale[at] == 0) {
      std::fill_n(out + begin, n, 0.0F);
    } else {
      const float zero = format.asymmetric ? static_cast<float>(scales.zero[at]) : 0.0F;
      write_group(shifted_lanes(element, broadcast(zero)), scales.scale[at], n, w + begin,
                  out + begin);
    }
  }
}

// Dropped elements are +0, whatever the sign of the scale. `w` may be `out`.
template <typename Element>
void round_sparse_row(const Rows& matrix, const Element& element, int64_t row, const float* w,
                      float* out) {
  std::vector<uint8_t> kept(static_cast<size_t>(matrix.k));
  mark_kept(matrix.format, matrix.k, nullptr, w, kept.data());
  round_row(matrix, element, row, w, out);
  for (size_t i = 0; i < kept.size(); ++i)
    if (kept[i] == 0) out[i] = 0;
}

// Calls use(round) where round(row, w, out) writes one row.
template <typename Use>
void with_rounding(const Rows& matrix, Ties ties, const Use& use) {
  if (matrix.format.element == Element::kBf16) {
    use([&](int64_t, const float* w, float* out) { round_to_bf16(matrix.k, w, out); });
    return;
  }
  const Levels& levels =
      matrix.scales.levels.empty() ? levels_or_none(matrix.format) : matrix.scales.levels;
  with_element(matrix.format, ties, levels, [&](const auto& element) {
    use([&](int64_t row, const float* w, float* out) {
      if (is_sparse(matrix.format)) {
        round_sparse_row(matrix, element, row, w, out);
      } else {
        round_row(matrix, element, row, w, out);
      }
    });
  });
}

// 1/2 sum S * (w - q)^2, in kSums partial sums so that the order does not depend on the lanes.
double weighted_error(int64_t k, const float* w, const float* q, const float* weight) {
  constexpr int64_t kSums = 16;
  std::array<double, kSums> sums{};
  int64_t i = 0;
  for (; i + kSums <= k; i += kSums)
    for (int64_t j = 0; j < kSums; ++j) {
      const auto error = static_cast<double>(w[i + j] - q[i + j]);
      sums[static_cast<size_t>(j)] += static_cast<double>(weight[i + j]) * (error * error);
    }
  double total = 0;
  for (; i < k; ++i) {
    const auto error = static_cast<double>(w[i] - q[i]);
    total += static_cast<double>(weight[i]) * (error * error);
  }
  for (const double sum : sums) total += sum;
  return total / 2;
}

// x = round(x / s) * s with the FP32 scale s = max|x| / absmax_steps of each vector.
template <typename Element>
void quantize_tokens(const Element& element, float absmax_steps, int64_t tokens, int64_t k,
                     float* x) {
  for_row_blocks(tokens, k, [&](int64_t first, int64_t last) {
    for (int64_t token = first; token < last; ++token) {
      float* row = x + token * k;
      const float absmax = value_range(row, k).absmax();
      if (absmax == 0)
        std::fill_n(row, k, 0.0F);
      else
        write_group(element, std::max(absmax / absmax_steps, 0x1p-126F), k, row, row);
    }
  });
}

// x = round(x / s) * s with one s for all.
template <typename Element>
void quantize_fixed(const Element& element, float scale, int64_t tokens, int64_t k, float* x) {
  DOVETAIL_CHECK(scale > 0);
  for_row_blocks(tokens, k, [&](int64_t first, int64_t last) {
    write_group(element, scale, (last - first) * k, x + first * k, x + first * k);
  });
}

}  // namespace

void mark_kept(const WeightFormat& format, int64_t k, const float* importance, const float* w,
               uint8_t* kept) {
  std::array<float, 8> score{};
  for (int64_t begin = 0; begin < k; begin += format.of) {
    const int64_t count = std::min(format.of, k - begin);
    for (int64_t i = 0; i < count; ++i) {
      const float weight = importance == nullptr ? 1.0F : importance[begin + i];
      score[static_cast<size_t>(i)] = w[begin + i] * w[begin + i] * weight;
    }
    for (int64_t i = 0; i < count; ++i) {
      const float mine = score[static_cast<size_t>(i)];
      int64_t before = 0;  // elements that come first in the order of scores
      for (int64_t j = 0; j < count; ++j) {
        const float other = score[static_cast<size_t>(j)];
        before += other > mine || (other == mine && j < i) ? 1 : 0;
      }
      kept[begin + i] = before < format.kept ? 1 : 0;
    }
  }
}

void drop_smallest(const WeightFormat& format, int64_t rows, int64_t k, const float* importance,
                   float* w) {
  std::vector<uint8_t> kept(static_cast<size_t>(k));
  for (int64_t row = 0; row < rows; ++row) {
    mark_kept(format, k, importance, w + row * k, kept.data());
    for (int64_t i = 0; i < k; ++i)
      if (kept[static_cast<size_t>(i)] == 0) w[row * k + i] = 0;
  }
}

void round_rows(const WeightFormat& format, Ties ties, const MatrixScales& scales, int64_t rows,
                int64_t k, const float* w, float* out) {
  const Rows matrix{format, scales, rows, k};
  with_rounding(matrix, ties, [&](const auto& round) {
    for_row_blocks(rows, k, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) {
        round(row, w + row * k, out + row * k);
      }
    });
  });
}

void quantize_rows(const WeightFormat& format, const Rounding& rounding, int64_t rows, int64_t k,
                   const float* w, float* out, const float* importance) {
  const MatrixScales scales = choose_scales(format, rounding, rows, k, w, importance);
  if (is_sparse(format)) {
    if (out != w) std::copy_n(w, rows * k, out);
    drop_smallest(format, rows, k, importance, out);
    w = out;
  }
  round_rows(format, rounding.ties, scales, rows, k, w, out);
}

double weighted_error_rows(const WeightFormat& format, const Rounding& rounding, int64_t rows,
                           int64_t k, const float* w, const float* weight,
                           const float* importance) {
  const MatrixScales scales = choose_scales(format, rounding, rows, k, w, importance);
  const Rows matrix{format, scales, rows, k};
  std::vector<double> errors(static_cast<size_t>(rows));
  with_rounding(matrix, rounding.ties, [&](const auto& round) {
    for_row_blocks(rows, k, [&](int64_t first, int64_t last) {
      std::vector<float> quantized(static_cast<size_t>(k));
      for (int64_t row = first; row < last; ++row) {
        const float* from = w + row * k;
        if (is_sparse(format)) {
          std::copy_n(from, k, quantized.data());
          drop_smallest(format, 1, k, importance, quantized.data());
          from = quantized.data();
        }
        round(row, from, quantized.data());
        errors[static_cast<size_t>(row)] =
            weighted_error(k, w + row * k, quantized.data(), weight + row * k);
      }
    });
  });
  double total = 0;
  for (const double error : errors) total += error;
  return total;
}

void quantize_activations(ActivationFormat format, int64_t tokens, int64_t k, float* x,
                          float fixed_scale) {
  const ActivationFacts& facts = activation_facts(format);
  switch (facts.row.scale) {
    case ScaleType::kFp32:
      with_element(facts.row, Ties::kEven, {}, [&](const auto& element) {
        if (facts.is_static)
          quantize_fixed(element, fixed_scale, tokens, k, x);
        else
          quantize_tokens(element, facts.absmax_steps, tokens, k, x);
      });
      return;
    case ScaleType::kE4m3:  // each token is a tensor of its own
      for_row_blocks(tokens, k, [&](int64_t first, int64_t last) {
        for (int64_t token = first; token < last; ++token)
          quantize_rows(facts.row, {.scale = ScaleRule::kAbsmax}, 1, k, x + token * k,
                        x + token * k);
      });
      return;
    default:
      quantize_rows(facts.row, {.scale = plain_rule(facts.row)}, tokens, k, x, x);
  }
}

}  // namespace dovetail::formats
