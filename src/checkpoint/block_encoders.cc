#include "checkpoint/block_encoders.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/parallel.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/plain_values.h"
#include "formats/element.h"
#include "formats/pack.h"
#include "formats/quantize.h"

namespace dovetail::checkpoint {
namespace {

using model::TensorType;

constexpr TensorType kOffered[] = {TensorType::kQ4_0,  TensorType::kQ4_1, TensorType::kQ5_0,
                                   TensorType::kQ8_0,  TensorType::kQ4_K, TensorType::kQ6_K,
                                   TensorType::kMxfp4, TensorType::kF16,  TensorType::kF32};
constexpr int64_t kSuper = 256;
constexpr int kMaxSub = 32;        // elements of a sub-block
constexpr int kSixBits = 63;       // largest scale and minimum code of Q4_K
constexpr int kClippings = 12;     // ranges that are tried, each a little shorter
constexpr double kClipStep = .03;  // of the range
constexpr int kRefits = 8;         // regressions at most

std::string lower(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

// A run of values and what an error in each counts.
struct Run {
  const float* w = nullptr;
  const float* importance = nullptr;  // null: 1
  int size = 0;
  [[nodiscard]] double weight(int i) const {
    return importance == nullptr ? 1.0 : static_cast<double>(importance[i]);
  }
};

// value = step * code + base, codes low..high.
struct Affine {
  double step = 0;
  double base = 0;
};

int nearest_code(double w, const Affine& fit, int low, int high) {
  if (fit.step == 0) return std::clamp(0, low, high);
  return static_cast<int>(
      std::clamp(std::nearbyint((w - fit.base) / fit.step), double(low), double(high)));
}

double error_of(const Run& run, const Affine& fit, int low, int high) {
  double sum = 0;
  for (int i = 0; i < run.size; ++i) {
    const double error = run.w[i] - (fit.step * nearest_code(run.w[i], fit, low, high) + fit.base);
    sum += run.weight(i) * error * error;
  }
  return sum;
}

// Weighted regression of the values on their codes under `fit`. with_base: base free, at most
// `max_base`; else 0. `fit` itself where the codes say nothing.
Affine refitted(const Run& run, const Affine& fit, int low, int high, bool with_base,
                double max_base) {
  double n = 0, q1 = 0, q2 = 0, w1 = 0, qw = 0;
  for (int i = 0; i < run.size; ++i) {
    const double weight = run.weight(i);
    const double code = nearest_code(run.w[i], fit, low, high);
    n += weight;
    q1 += weight * code;
    q2 += weight * code * code;
    w1 += weight * run.w[i];
    qw += weight * code * run.w[i];
  }
  const double determinant = n * q2 - q1 * q1;
  if (with_base && determinant > 1e-12 * n * q2) {
    const Affine free{(n * qw - q1 * w1) / determinant, (q2 * w1 - q1 * qw) / determinant};
    if (free.base <= max_base) return free;
  }
  const double base = with_base ? std::min(fit.base, max_base) : 0;
  return q2 > 0 ? Affine{(qw - base * q1) / q2, base} : fit;
}

void improve(const Run& run, int low, int high, bool with_base, double max_base, Affine start,
             Affine& best, double& best_error) {
  double last = error_of(run, start, low, high);
  for (int i = 0; i < kRefits; ++i) {
    if (last < best_error) {
      best = start;
      best_error = last;
    }
    const Affine next = refitted(run, start, low, high, with_base, max_base);
    const double error = error_of(run, next, low, high);
    if (!(error < last)) break;
    start = next;
    last = error;
  }
  if (last < best_error) {
    best = start;
    best_error = last;
  }
}

// Codes 0..high. max_base: infinity, or 0 where minima cannot be positive.
Affine best_affine(const Run& run, int high, double max_base) {
  double low_value = run.w[0];
  double high_value = run.w[0];
  for (int i = 0; i < run.size; ++i) {
    low_value = std::min(low_value, double{run.w[i]});
    high_value = std::max(high_value, double{run.w[i]});
  }
  low_value = std::min(low_value, max_base);
  Affine best{0, low_value};
  double best_error = error_of(run, best, 0, high);
  const double range = high_value - low_value;
  if (range <= 0) return best;
  for (int clip = 0; clip < kClippings; ++clip) {
    const double cut = range * kClipStep * clip;
    // Both ends, then either one alone.
    for (const auto& [from, to] : {std::pair{cut / 2, cut / 2}, {cut, 0.0}, {0.0, cut}}) {
      const Affine start{(range - from - to) / high, low_value + from};
      if (start.base <= max_base) improve(run, 0, high, true, max_base, start, best, best_error);
    }
  }
  return best;
}

// Codes -32..31 without a base; either sign of the step.
double best_signed_step(const Run& run) {
  double largest = 0;
  for (int i = 0; i < run.size; ++i)
    if (std::fabs(run.w[i]) > std::fabs(largest)) largest = run.w[i];
  Affine best;
  double best_error = error_of(run, best, -32, 31);
  if (largest == 0) return 0;
  for (int clip = -kClippings / 2; clip < kClippings / 2; ++clip) {
    for (const double code : {-32.0, 31.0}) {
      const Affine start{largest / (code * (1 + kClipStep / 2 * clip)), 0};
      improve(run, -32, 31, false, 0, start, best, best_error);
    }
  }
  return best.step;
}

void put_half(uint8_t* out, uint16_t half) {
  std::memcpy(out, &half, 2);
}

uint16_t half_of(double value) {
  return formats::encode_fp16(
      static_cast<float>(std::clamp(value, -double{formats::kFp16Max}, double{formats::kFp16Max})));
}

double value_of(uint16_t half) {
  return formats::decode_fp16(half);
}

void encode_q4_1(const float* w, const float* importance, uint8_t* out) {
  const Run run{w, importance, 32};
  const Affine fit = best_affine(run, 15, std::numeric_limits<double>::infinity());
  const uint16_t step = half_of(fit.step);
  const uint16_t base = half_of(fit.base);
  put_half(out, step);
  put_half(out + 2, base);
  const Affine stored{value_of(step), value_of(base)};
  for (int j = 0; j < 16; ++j)
    out[4 + j] = static_cast<uint8_t>(nearest_code(w[j], stored, 0, 15) |
                                      nearest_code(w[j + 16], stored, 0, 15) << 4);
}

// The two levels of Q4_K: sub-block s has step d * scale[s] and base -dmin * minimum[s].
struct TwoLevels {
  uint16_t d = 0, dmin = 0;
  int scale[8] = {};
  int minimum[8] = {};
  [[nodiscard]] Affine fit(int sub) const {
    return {value_of(d) * scale[sub], -value_of(dmin) * minimum[sub]};
  }
};

Run sub_run(const float* w, const float* importance, int sub, int size) {
  return {w + sub * size, importance == nullptr ? nullptr : importance + sub * size, size};
}

double error_of(const float* w, const float* importance, const TwoLevels& levels) {
  double sum = 0;
  for (int sub = 0; sub < 8; ++sub)
    sum += error_of(sub_run(w, importance, sub, 32), levels.fit(sub), 0, 15);
  return sum;
}

// Of the neighbours of each code of scale and minimum, the pair of least error.
void settle_codes(const float* w, const float* importance, TwoLevels& levels) {
  for (int sub = 0; sub < 8; ++sub) {
    const Run run = sub_run(w, importance, sub, 32);
    const int scale = levels.scale[sub];
    const int minimum = levels.minimum[sub];
    double best = error_of(run, levels.fit(sub), 0, 15);
    TwoLevels tried = levels;
    for (int ds = -1; ds <= 1; ++ds) {
      for (int dm = -1; dm <= 1; ++dm) {
        tried.scale[sub] = std::clamp(scale + ds, 0, kSixBits);
        tried.minimum[sub] = std::clamp(minimum + dm, 0, kSixBits);
        const double error = error_of(run, tried.fit(sub), 0, 15);
        if (error >= best) continue;
        best = error;
        levels.scale[sub] = tried.scale[sub];
        levels.minimum[sub] = tried.minimum[sub];
      }
    }
  }
}

// d and dmin of least squares for the codes that `levels` gives.
TwoLevels with_fitted_outer(const float* w, const float* importance, TwoLevels levels) {
  // Value = d * (scale q) - dmin * minimum: regression on two columns.
  double aa = 0, ab = 0, bb = 0, aw = 0, bw = 0;
  for (int sub = 0; sub < 8; ++sub) {
    const Run run = sub_run(w, importance, sub, 32);
    for (int i = 0; i < run.size; ++i) {
      const double a = double(levels.scale[sub]) * nearest_code(run.w[i], levels.fit(sub), 0, 15);
      const double b = -double(levels.minimum[sub]);
      const double weight = run.weight(i);
      aa += weight * a * a;
      ab += weight * a * b;
      bb += weight * b * b;
      aw += weight * a * run.w[i];
      bw += weight * b * run.w[i];
    }
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-12 * aa * bb) {
    levels.d = half_of((bb * aw - ab * bw) / determinant);
    levels.dmin = half_of((aa * bw - ab * aw) / determinant);
  } else if (aa > 0) {
    levels.d = half_of((aw - value_of(levels.dmin) * ab) / aa);
  }
  return levels;
}

void put_six_bit_pairs(const TwoLevels& levels, uint8_t* packed) {
  for (int sub = 0; sub < 4; ++sub) {
    packed[sub] = static_cast<uint8_t>(levels.scale[sub] | (levels.scale[sub + 4] >> 4) << 6);
    packed[sub + 4] =
        static_cast<uint8_t>(levels.minimum[sub] | (levels.minimum[sub + 4] >> 4) << 6);
    packed[sub + 8] =
        static_cast<uint8_t>((levels.scale[sub + 4] & 15) | (levels.minimum[sub + 4] & 15) << 4);
  }
}

TwoLevels best_two_levels(const float* w, const float* importance) {
  Affine fits[8];
  double top_step = 0;
  double top_minimum = 0;
  for (int sub = 0; sub < 8; ++sub) {
    fits[sub] = best_affine(sub_run(w, importance, sub, 32), 15, 0);
    top_step = std::max(top_step, fits[sub].step);
    top_minimum = std::max(top_minimum, -fits[sub].base);
  }
  TwoLevels levels{.d = half_of(top_step / kSixBits), .dmin = half_of(top_minimum / kSixBits)};
  for (int sub = 0; sub < 8; ++sub) {
    const double d = value_of(levels.d);
    const double dmin = value_of(levels.dmin);
    levels.scale[sub] =
        d == 0 ? 0 : int(std::clamp(std::nearbyint(fits[sub].step / d), 0.0, double(kSixBits)));
    levels.minimum[sub] =
        dmin == 0 ? 0
                  : int(std::clamp(std::nearbyint(-fits[sub].base / dmin), 0.0, double(kSixBits)));
  }
  settle_codes(w, importance, levels);
  double error = error_of(w, importance, levels);
  for (int i = 0; i < kRefits; ++i) {
    TwoLevels next = with_fitted_outer(w, importance, levels);
    settle_codes(w, importance, next);
    const double next_error = error_of(w, importance, next);
    if (!(next_error < error)) break;
    levels = next;
    error = next_error;
  }
  return levels;
}

void encode_q4_k(const float* w, const float* importance, uint8_t* out) {
  const TwoLevels levels = best_two_levels(w, importance);
  put_half(out, levels.d);
  put_half(out + 2, levels.dmin);
  put_six_bit_pairs(levels, out + 4);
  for (int sub = 0; sub < 8; ++sub) {
    for (int j = 0; j < 32; ++j) {
      const int code = nearest_code(w[32 * sub + j], levels.fit(sub), 0, 15);
      uint8_t& byte = out[16 + 32 * (sub / 2) + j];
      byte = static_cast<uint8_t>(sub % 2 == 0 ? code : byte | code << 4);
    }
  }
}

void encode_q6_k(const float* w, const float* importance, uint8_t* out) {
  double steps[16];
  double top = 0;
  for (int sub = 0; sub < 16; ++sub) {
    steps[sub] = best_signed_step(sub_run(w, importance, sub, 16));
    if (std::fabs(steps[sub]) > std::fabs(top)) top = steps[sub];
  }
  // The largest step takes code -128, the longer side.
  const uint16_t d = half_of(top / -128);
  put_half(out + 208, d);
  std::memset(out, 0, 208);
  for (int sub = 0; sub < 16; ++sub) {
    const Run run = sub_run(w, importance, sub, 16);
    const double wanted = value_of(d) == 0 ? 0 : std::nearbyint(steps[sub] / value_of(d));
    int scale = int(std::clamp(wanted, -128.0, 127.0));
    double best = error_of(run, {value_of(d) * scale, 0}, -32, 31);
    for (const int near : {scale - 1, scale + 1}) {
      if (near < -128 || near > 127) continue;
      const double error = error_of(run, {value_of(d) * near, 0}, -32, 31);
      if (error < best) {
        best = error;
        scale = near;
      }
    }
    out[192 + sub] = static_cast<uint8_t>(scale);
    for (int j = 0; j < 16; ++j) {
      const int code = nearest_code(run.w[j], {value_of(d) * scale, 0}, -32, 31) + 32;
      const int half = sub / 8;
      const int run_of_32 = sub / 2 % 4;
      const int i = 16 * (sub % 2) + j;
      out[64 * half + 32 * (run_of_32 % 2) + i] |=
          static_cast<uint8_t>((code & 15) << (4 * (run_of_32 / 2)));
      out[128 + 32 * half + i] |= static_cast<uint8_t>((code >> 4) << (2 * run_of_32));
    }
  }
}

// Types that are formats of formats/.
Result<std::vector<uint8_t>> encode_as_format(TensorType type, int64_t rows, int64_t k,
                                              const float* w, const float* importance,
                                              const std::string& where) {
  const char* name = type == TensorType::kQ4_0   ? "int4_g32"
                     : type == TensorType::kQ5_0 ? "int5_g32"
                     : type == TensorType::kQ8_0 ? "int8_g32"
                                                 : "mxfp4";
  DOVETAIL_TRY(const formats::WeightFormat format, formats::parse_weight_format(name));
  const formats::Rounding rounding;
  const formats::MatrixScales scales =
      formats::choose_scales(format, rounding, rows, k, w, importance);
  return to_blocks(
      without_negative_zeros(formats::pack_rows(format, rounding.ties, scales, rows, k, w)), where);
}

}  // namespace

Result<TensorType> parse_gguf_type(std::string_view name) {
  std::string known;
  for (const TensorType type : kOffered) {
    const std::string spelled = lower(model::facts_of(type).name);
    if (spelled == name) return type;
    known += (known.empty() ? "" : ", ") + spelled;
  }
  return invalid_argument(fmt::format("GGUF type {}, want one of {}", name, known));
}

Result<std::vector<uint8_t>> encode_blocks(TensorType type, int64_t rows, int64_t k, const float* w,
                                           const float* importance, const std::string& where) {
  const model::TensorTypeFacts& facts = model::facts_of(type);
  if (k % facts.block_elements != 0) {
    return invalid_argument(fmt::format(
        "{}: {} blocks are {} long, which does not divide rows of {}; {} can be written", where,
        lower(facts.name), facts.block_elements, k,
        k % 32 == 0 ? "q4_0, q4_1, q5_0, q8_0" : "f16"));
  }
  const auto count = static_cast<size_t>(rows * k);
  if (type == TensorType::kF32 || type == TensorType::kF16) {
    const PlainType plain = type == TensorType::kF32 ? PlainType::kF32 : PlainType::kF16;
    DOVETAIL_TRY(PlainBytes made, plain_bytes(where, {w, count}, plain, true));
    return std::move(made.bytes);
  }
  if (type != TensorType::kQ4_1 && type != TensorType::kQ4_K && type != TensorType::kQ6_K)
    return encode_as_format(type, rows, k, w, importance, where);
  const int64_t row_blocks = k / facts.block_elements;
  std::vector<uint8_t> out(static_cast<size_t>(rows * row_blocks * facts.block_bytes));
  parallel_for(rows, [&](int64_t row, int64_t) {
    for (int64_t b = 0; b < row_blocks; ++b) {
      const float* block = w + row * k + b * facts.block_elements;
      const float* counts = importance == nullptr ? nullptr : importance + b * facts.block_elements;
      uint8_t* to = out.data() + (row * row_blocks + b) * facts.block_bytes;
      if (type == TensorType::kQ4_1) encode_q4_1(block, counts, to);
      if (type == TensorType::kQ4_K) encode_q4_k(block, counts, to);
      if (type == TensorType::kQ6_K) encode_q6_k(block, counts, to);
    }
  });
  return out;
}

}  // namespace dovetail::checkpoint
