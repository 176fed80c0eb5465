#include "formats/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "base/random.h"
#include "formats/codec.h"
#include "formats/element.h"
#include "formats/pack.h"
#include "formats/unpack.h"

namespace dovetail::formats {
namespace {

constexpr Rounding kAbsmax{.scale = ScaleRule::kAbsmax};
constexpr Rounding kMse{};

Rounding plain(const WeightFormat& format) {
  return {.scale = plain_rule(format)};
}

WeightFormat weight(std::string_view name) {
  return parse_weight_format(name).value();
}

float normal(Random& random) {
  return static_cast<float>(std::sqrt(-2 * std::log(1 - random.uniform())) *
                            std::cos(6.283185307179586 * random.uniform()));
}

struct Kind {
  std::string name;
  std::function<float(Random&, int64_t index)> draw;
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"normal", [](Random& r, int64_t) { return normal(r); }},
      {"small", [](Random& r, int64_t) { return .02F * normal(r); }},
      {"tiny", [](Random& r, int64_t) { return 1e-7F * normal(r); }},
      {"below_fp16", [](Random& r, int64_t) { return 1e-12F * normal(r); }},
      {"subnormal", [](Random& r, int64_t) { return 1e-39F * normal(r); }},
      {"large", [](Random& r, int64_t) { return 3e5F * normal(r); }},
      {"huge", [](Random& r, int64_t) { return 1e36F * normal(r); }},
      {"constant", [](Random&, int64_t) { return -.37F; }},
      {"zero", [](Random&, int64_t i) { return i % 2 == 0 ? 0.0F : -0.0F; }},
      {"outlier", [](Random& r, int64_t i) { return (i % 37 == 5 ? 60.0F : 1.0F) * normal(r); }},
      {"positive", [](Random& r, int64_t) { return 1 + static_cast<float>(r.uniform()); }},
      {"negative", [](Random& r, int64_t) { return -static_cast<float>(r.uniform()); }},
      {"grid", [](Random& r, int64_t) { return static_cast<float>(r.below(17)) / 4 - 2; }},
      {"sparse", [](Random& r, int64_t) { return r.below(30) == 0 ? normal(r) : 0.0F; }},
      {"bits", [](Random& r, int64_t) {
         const auto bits = static_cast<uint32_t>(r.next());
         const float value = std::bit_cast<float>(bits);
         return std::fabs(value) < 0x1p126F ? value : 1.0F;
       }}};
  return all;
}

std::vector<float> drawn(const Kind& kind, int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(kind.draw(random, i));
  return values;
}

std::vector<float> quantized(const WeightFormat& format, const Rounding& rounding, int64_t rows,
                             int64_t k, const std::vector<float>& w) {
  std::vector<float> out(w.size());
  quantize_rows(format, rounding, rows, k, w.data(), out.data());
  return out;
}

double squared_error(const std::vector<float>& w, const std::vector<float>& q) {
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const double error = static_cast<double>(w[i]) - static_cast<double>(q[i]);
    sum += error * error;
  }
  return sum;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// The quick path against the golden codec, bit for bit: scales, values, and packed values.
void expect_golden(const WeightFormat& format, const Rounding& rounding, int64_t rows, int64_t k,
                   const std::vector<float>& w, const float* importance, const std::string& what) {
  const PackedRows packed = encode_rows(format, rounding, rows, k, w.data(), importance);
  const auto decoded = decode_rows(packed);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message;
  const MatrixScales scales = choose_scales(format, rounding, rows, k, w.data(), importance);
  ASSERT_EQ(scales, scales_of(format, rounding, rows, k, w.data(), importance))
      << format_name(format) << " " << what;
  const std::vector<float> left = sparsified(format, rows, k, w.data(), importance);
  ASSERT_EQ(pack_rows(format, rounding.ties, scales, rows, k, left.data()), packed)
      << format_name(format) << " " << what;
  std::vector<float> values(w.size());
  quantize_rows(format, rounding, rows, k, w.data(), values.data(), importance);
  ASSERT_EQ(bits_of(values), bits_of(*decoded)) << format_name(format) << " " << what;
  ASSERT_EQ(bits_of(unpack_rows(packed).value()), bits_of(*decoded))
      << format_name(format) << " " << what;
}

TEST(QuantizeRows, WritesExactlyWhatTheCodecDecodes) {
  constexpr int64_t kRows = 3;
  for (const WeightFormat& format : all_weight_formats())
    for (const Kind& kind : kinds())
      for (const int64_t k : {1, 33, 192}) {
        const std::vector<float> w = drawn(kind, kRows * k, static_cast<uint64_t>(k));
        for (const ScaleRule rule : legal_rules(format))
          expect_golden(format, {.scale = rule}, kRows, k, w, nullptr,
                        kind.name + " " + std::string(rule_name(rule)));
      }
}

TEST(QuantizeRows, TiesSparsityImportanceAndBlocksMatchTheCodec) {
  for (WeightFormat format : all_weight_formats()) {
    if (format.element == Element::kBf16) continue;
    const int64_t rows = format.group_rows == 128 ? 130 : 3;
    const int64_t k = format.group_rows == 128 ? 140 : 100;
    Random random(17);
    std::vector<float> importance;
    for (int64_t i = 0; i < k; ++i) importance.push_back(static_cast<float>(random.uniform()));
    for (const Kind& kind : {kinds()[0], kinds()[9], kinds()[12], kinds()[13]}) {
      const std::vector<float> w = drawn(kind, rows * k, 18);
      for (const Ties ties : {Ties::kAway, Ties::kZero})
        expect_golden(format, {.ties = ties}, rows, k, w, nullptr, kind.name);
      expect_golden(format, kMse, rows, k, w, importance.data(), kind.name);
      for (const int64_t of : {4, 8}) {
        WeightFormat sparse = format;
        sparse.kept = of / 2;
        sparse.of = of;
        expect_golden(sparse, {.zero_block = ZeroBlock::kOne}, rows, k, w, nullptr, kind.name);
        expect_golden(sparse, kMse, rows, k, w, importance.data(), kind.name);
      }
    }
  }
}

TEST(QuantizeRows, ImportanceLowersTheErrorThatItWeighs) {
  constexpr int64_t kK = 512;
  const std::vector<float> w = drawn(kinds().front(), 8 * kK, 19);
  std::vector<float> importance;
  Random random(20);
  for (int64_t i = 0; i < kK; ++i)
    importance.push_back(static_cast<float>(std::exp(3 * normal(random))));
  const auto weighted_squares = [&](const std::vector<float>& q) {
    double sum = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      const double error = static_cast<double>(w[i]) - static_cast<double>(q[i]);
      sum += error * error * static_cast<double>(importance[i % kK]);
    }
    return sum;
  };
  for (const char* name : {"int3_g64", "int4_asym_g128", "nvfp4", "lut4_g64", "int4_qoq_g64"}) {
    std::vector<float> q(w.size());
    quantize_rows(weight(name), kMse, 8, kK, w.data(), q.data(), importance.data());
    EXPECT_LT(weighted_squares(q), .95 * weighted_squares(quantized(weight(name), kMse, 8, kK, w)))
        << name;
  }
}

TEST(QuantizeRows, SearchIsNeverWorseThanAbsmax) {
  for (const WeightFormat& format : all_weight_formats())
    for (const Kind& kind : kinds()) {
      const std::vector<float> w = drawn(kind, 4 * 576, 5);
      const double absmax = squared_error(w, quantized(format, plain(format), 4, 576, w));
      const double mse = squared_error(w, quantized(format, kMse, 4, 576, w));
      EXPECT_LE(mse, absmax * (1 + 1e-5)) << format_name(format) << " " << kind.name;
    }
}

TEST(QuantizeRows, OutputMayBeTheInput) {
  for (const WeightFormat& format : all_weight_formats()) {
    std::vector<float> w = drawn(kinds().front(), 2 * 100, 6);
    const std::vector<float> want = quantized(format, kMse, 2, 100, w);
    quantize_rows(format, kMse, 2, 100, w.data(), w.data());
    EXPECT_EQ(w, want) << format_name(format);
  }
}

TEST(QuantizeRows, ShorterLastGroupHasItsOwnScale) {
  std::vector<float> w = drawn(kinds().front(), 576, 7);
  const std::vector<float> before = quantized(weight("int4_g128"), kMse, 1, 576, w);
  for (size_t i = 0; i < 512; ++i) w[i] *= 100;
  const std::vector<float> after = quantized(weight("int4_g128"), kMse, 1, 576, w);
  const std::vector<float> alone =
      quantized(weight("int4_g128"), kMse, 1, 64, std::vector<float>(w.begin() + 512, w.end()));
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(after[512 + i], before[512 + i]);
    EXPECT_EQ(after[512 + i], alone[i]);
  }
}

TEST(QuantizeRows, AbsmaxIsIdempotentWhereTheScaleComesBack) {
  for (const WeightFormat& format : all_weight_formats()) {
    const bool comes_back = format.element == Element::kBf16 || format.scale == ScaleType::kE8m0 ||
                            (format.element == Element::kInt && !format.asymmetric);
    if (!comes_back) continue;
    const std::vector<float> w = drawn(kinds().front(), 3 * 576, 8);
    const std::vector<float> once = quantized(format, plain(format), 3, 576, w);
    EXPECT_EQ(quantized(format, plain(format), 3, 576, once), once) << format_name(format);
  }
}

// Oracle of the search, in double, over every FP16 scale that a factor leads to and both signs.
// Scales come from a search over all FP16 values, codes from trying every one.
double least_int_error(const WeightFormat& format, const std::vector<float>& w) {
  static const std::vector<double> fp16 = [] {
    std::vector<double> all;
    for (uint16_t code = 1; code < 0x7C00; ++code) all.push_back(decode_fp16(code));
    return all;
  }();
  const double low = std::min(0.0F, *std::min_element(w.begin(), w.end()));
  const double high = std::max(0.0F, *std::max_element(w.begin(), w.end()));
  const double num_codes = std::exp2(format.bits);
  const double top = format.asymmetric ? num_codes - 1 : num_codes / 2 - 1;
  double least = std::numeric_limits<double>::infinity();
  for (const float factor : scale_factors(format)) {
    const double span = format.asymmetric ? high - low : std::max(high, -low);
    const double wanted = span / top * static_cast<double>(factor);
    double scale = fp16.front();
    for (const double candidate : fp16)
      if (std::fabs(candidate - wanted) < std::fabs(scale - wanted)) scale = candidate;
    const double zero = std::round(-low * static_cast<double>(factor) / scale);
    const double sign = !format.asymmetric && high > -low && factor < 1 ? -1 : 1;
    double error = 0;
    for (const float value : w) {
      double nearest = std::numeric_limits<double>::infinity();
      const double first = format.asymmetric ? -zero : -num_codes / 2;
      for (double step = first; step < first + num_codes; ++step)
        nearest = std::min(nearest, std::fabs(static_cast<double>(value) - step * sign * scale));
      error += nearest * nearest;
    }
    least = std::min(least, error);
  }
  return least;
}

TEST(QuantizeRows, SearchFindsTheLeastErrorOfTheGrid) {
  for (const WeightFormat& format : all_weight_formats()) {
    if (format.element != Element::kInt || format.scale != ScaleType::kFp16 ||
        format.group_size > 64) {
      continue;
    }
    for (const Kind& kind : {kinds()[0], kinds()[9], kinds()[10]})
      for (uint64_t seed = 0; seed < 3; ++seed) {
        const int64_t n = format.group_size == 16 ? 16 : 32;
        const std::vector<float> w = drawn(kind, n, seed);
        const double found = squared_error(w, quantized(format, kMse, 1, n, w));
        const double least = least_int_error(format, w);
        // Above: errors within 2^-18 count as equal. Below: an FP16 tie may fall either way.
        EXPECT_LE(found, least * (1 + 1e-4)) << format_name(format) << " " << kind.name;
        EXPECT_GE(found, least * (1 - 1e-2)) << format_name(format) << " " << kind.name;
      }
  }
}

// Least error of one group over 300 factors from 1 down to .03: what a patient search would find.
double dense_error(const WeightFormat& format, const float* w, int64_t n) {
  double low = 0;
  double high = 0;
  for (int64_t i = 0; i < n; ++i) {
    low = std::min<double>(low, w[i]);
    high = std::max<double>(high, w[i]);
  }
  const double num_codes = std::exp2(format.bits);
  const double top = format.asymmetric ? num_codes - 1 : num_codes / 2 - 1;
  const double span = format.asymmetric ? high - low : std::max(high, -low);
  double least = std::numeric_limits<double>::infinity();
  for (int step = 0; step < 300; ++step) {
    const double factor = std::pow(.03, step / 299.0);
    const double scale = span / top * factor * (!format.asymmetric && high > -low ? -1 : 1);
    const double first =
        format.asymmetric ? -std::nearbyint(-low * factor / scale) : -num_codes / 2;
    double error = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(w[i]) / scale;
      const double code = std::nearbyint(std::clamp(x, first, first + num_codes - 1));
      error += (x - code) * (x - code) * scale * scale;
    }
    least = std::min(least, error);
  }
  return least;
}

TEST(QuantizeRows, TheGridLosesLittleAgainstADenseSearch) {
  constexpr int64_t kRows = 16;
  constexpr int64_t kK = 1536;
  Random random(14);
  std::vector<float> heavy;  // Laplace
  for (int64_t i = 0; i < kRows * kK; ++i)
    heavy.push_back(
        static_cast<float>(std::log(1 - random.uniform()) * (random.below(2) == 0 ? 1 : -1)));
  const std::vector<float> normals = drawn(kinds().front(), kRows * kK, 15);
  for (const WeightFormat& format : all_weight_formats()) {
    if (format.element != Element::kInt || format.scale != ScaleType::kFp16 ||
        format.group_rows != 1) {
      continue;
    }
    const int64_t length = format.group_size == 0 ? kK : format.group_size;
    for (const auto& w : {normals, heavy}) {
      double dense = 0;
      for (int64_t begin = 0; begin < kRows * kK; begin += length)
        dense += dense_error(format, w.data() + begin, length);
      const double found = squared_error(w, quantized(format, kMse, kRows, kK, w));
      EXPECT_LT(found, 1.012 * dense) << format_name(format);
    }
  }
}

// Oracle for the FP4 formats: every scale code of the grid, every element code, in double.
TEST(QuantizeRows, SearchFindsTheLeastErrorOfTheFp4Grids) {
  for (const char* name : {"mxfp4", "nvfp4"}) {
    const WeightFormat format = weight(name);
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const std::vector<float> w = drawn(kinds()[seed % 2 == 0 ? 0 : 9], format.group_size, seed);
      const PackedRows absmax = encode_rows(format, plain(format), 1, format.group_size, w.data());
      double least = std::numeric_limits<double>::infinity();
      for (const int32_t step : scale_code_steps(format)) {
        const int32_t code = absmax.scales[0] + step;
        if (code > (format.scale == ScaleType::kE4m3 ? kE4m3LargestCode : 254)) continue;
        const auto stored = static_cast<uint8_t>(code);
        const double scale = format.scale == ScaleType::kE4m3
                                 ? static_cast<double>(decode_fp8_e4m3fn(stored)) *
                                       static_cast<double>(absmax.tensor_scale)
                                 : static_cast<double>(decode_e8m0(stored));
        double error = 0;
        for (const float value : w) {
          double nearest = std::numeric_limits<double>::infinity();
          for (uint8_t element = 0; element < 16; ++element)
            nearest =
                std::min(nearest, std::fabs(static_cast<double>(value) -
                                            scale * static_cast<double>(decode_e2m1(element))));
          error += nearest * nearest;
        }
        least = std::min(least, error);
      }
      const double found = squared_error(w, quantized(format, kMse, 1, format.group_size, w));
      EXPECT_NEAR(found, least, least * 1e-4) << name << " seed " << seed;
    }
  }
}

TEST(WeightedError, IsTheSumOverTheQuantisedMatrixOnAnyNumberOfThreads) {
  constexpr int64_t kRows = 300;  // enough elements to start threads
  constexpr int64_t kK = 1000;
  const std::vector<float> w = drawn(kinds().front(), kRows * kK, 9);
  Random random(10);
  std::vector<float> sensitivity;
  for (size_t i = 0; i < w.size(); ++i) sensitivity.push_back(static_cast<float>(random.uniform()));
  for (const char* name : {"bf16", "int3_g128", "int4_asym", "fp8_e4m3fn", "mxfp4", "nvfp4"}) {
    const WeightFormat format = weight(name);
    const std::vector<float> q = quantized(format, kMse, kRows, kK, w);
    double want = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      const double error = static_cast<double>(w[i]) - static_cast<double>(q[i]);
      want += static_cast<double>(sensitivity[i]) * error * error / 2;
    }
    const double found = weighted_error_rows(format, kMse, kRows, kK, w.data(), sensitivity.data());
    EXPECT_NEAR(found, want, want * 1e-6) << name;  // w - q is rounded to FP32 in the product
    // Row by row on this thread: the same bits, so threads have no part in the result.
    const MatrixScales scales = choose_scales(format, kMse, kRows, kK, w.data());
    double by_row = 0;
    for (int64_t r = 0; r < kRows; ++r) {
      if (format.scale == ScaleType::kE4m3 || format.element == Element::kBf16) break;
      by_row +=
          weighted_error_rows(format, kMse, 1, kK, w.data() + r * kK, sensitivity.data() + r * kK);
      const MatrixScales own = choose_scales(format, kMse, 1, kK, w.data() + r * kK);
      for (size_t g = 0; g < own.scale.size(); ++g)
        ASSERT_EQ(own.scale[g], scales.scale[static_cast<size_t>(r) * own.scale.size() + g]);
    }
    if (by_row > 0) {
      EXPECT_EQ(by_row, found) << name;
    }
  }
}

TEST(WeightedError, WorksInsideAWorker) {
  constexpr int64_t kRows = 300;
  constexpr int64_t kK = 1000;
  const std::vector<float> w = drawn(kinds().front(), kRows * kK, 11);
  const std::vector<float> ones(w.size(), 1.0F);
  const WeightFormat format = weight("int4_g64");
  const double want = weighted_error_rows(format, kMse, kRows, kK, w.data(), ones.data());
  std::vector<double> found(4);
  parallel_for(4, [&](int64_t index, int64_t) {
    found[static_cast<size_t>(index)] =
        weighted_error_rows(format, kMse, kRows, kK, w.data(), ones.data());
  });
  EXPECT_EQ(found, std::vector<double>(4, want));
}

TEST(QuantizeActivations, MatchesThePlainFormulas) {
  constexpr int64_t kTokens = 5;
  for (const Kind& kind : kinds())
    for (const int64_t k : {1, 17, 64, 577}) {
      if (kind.name == "subnormal") continue;  // below the smallest scale, tested by zeros
      const std::vector<float> x = drawn(kind, kTokens * k, 12);
      std::vector<float> bf16 = x;
      std::vector<float> int8 = x;
      std::vector<float> fp8 = x;
      quantize_activations(ActivationFormat::kBf16, kTokens, k, bf16.data());
      quantize_activations(ActivationFormat::kInt8Token, kTokens, k, int8.data());
      quantize_activations(ActivationFormat::kFp8Token, kTokens, k, fp8.data());
      for (int64_t token = 0; token < kTokens; ++token) {
        float absmax = 0;
        for (int64_t i = 0; i < k; ++i)
          absmax = std::max(absmax, std::fabs(x[static_cast<size_t>(token * k + i)]));
        for (int64_t i = 0; i < k; ++i) {
          const auto at = static_cast<size_t>(token * k + i);
          ASSERT_EQ(bf16[at], decode_bf16(encode_bf16(x[at])));
          if (absmax == 0) {
            ASSERT_EQ(int8[at], 0.0F);
            ASSERT_EQ(fp8[at], 0.0F);
            continue;
          }
          const float s = absmax / 127;
          ASSERT_EQ(int8[at], std::nearbyint(x[at] / s) * s) << kind.name;
          const float t = absmax / 448;
          ASSERT_EQ(fp8[at], decode_fp8_e4m3fn(encode_fp8_e4m3fn(x[at] / t)) * t) << kind.name;
        }
      }
    }
}

}  // namespace
}  // namespace dovetail::formats
