#include "formats/element.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"

namespace dovetail::formats {
namespace {

// Oracle: the value of a finite code straight from the definition, sign * mantissa * 2^exponent.
double value_by_formula(int64_t code, int mantissa_bits, int exponent_bits, int bias) {
  const int64_t sign = code >> (mantissa_bits + exponent_bits) & 1;
  const int64_t exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1);
  const int64_t fraction = code & ((1 << mantissa_bits) - 1);
  const int64_t mantissa = exponent == 0 ? fraction : fraction + (1 << mantissa_bits);
  const int power = static_cast<int>(exponent == 0 ? 1 : exponent) - bias - mantissa_bits;
  return (sign != 0 ? -1 : 1) * std::ldexp(static_cast<double>(mantissa), power);
}

// Oracle: looks at every code 0..largest of the value's sign; ties go to the even code.
int64_t nearest_by_search(double value, const std::vector<double>& magnitudes) {
  int64_t best = 0;
  for (size_t code = 1; code < magnitudes.size(); ++code) {
    const double distance = std::fabs(std::fabs(value) - magnitudes[code]);
    const double shortest = std::fabs(std::fabs(value) - magnitudes[static_cast<size_t>(best)]);
    if (distance < shortest || (distance == shortest && code % 2 == 0))
      best = static_cast<int64_t>(code);
  }
  return best;
}

// Midpoints of neighbours, their FP32 neighbours, the codes themselves, and random magnitudes over
// `decades` binades up to twice the largest value.
std::vector<float> probes(const std::vector<double>& magnitudes, int binades) {
  constexpr float kFar = 1e30F;
  std::vector<float> points;
  for (size_t i = 0; i + 1 < magnitudes.size(); ++i) {
    const auto middle = static_cast<float>((magnitudes[i] + magnitudes[i + 1]) / 2);
    for (const float point : {static_cast<float>(magnitudes[i]), middle,
                              std::nextafter(middle, kFar), std::nextafter(middle, -kFar)})
      points.push_back(point);
  }
  Random random(7);
  for (int i = 0; i < 2000; ++i)
    points.push_back(
        static_cast<float>(magnitudes.back() * std::exp2(1 - random.uniform() * binades)));
  const size_t positive = points.size();
  for (size_t i = 0; i < positive; ++i) points.push_back(-points[i]);
  return points;
}

std::vector<double> magnitudes_by_formula(int64_t count, int mantissa_bits, int exponent_bits,
                                          int bias) {
  std::vector<double> magnitudes;
  for (int64_t code = 0; code < count; ++code)
    magnitudes.push_back(value_by_formula(code, mantissa_bits, exponent_bits, bias));
  return magnitudes;
}

TEST(E2m1, AllCodesMatchTheFormulaAndTheListOfTheSpecification) {
  const std::vector<float> values = {0, .5, 1, 1.5, 2, 3, 4, 6};
  for (uint8_t code = 0; code < 16; ++code) {
    EXPECT_EQ(decode_e2m1(code), value_by_formula(code, 1, 2, 1)) << int{code};
    EXPECT_EQ(std::fabs(decode_e2m1(code)), values[code & 7U]);
    EXPECT_EQ(encode_e2m1(decode_e2m1(code)), code) << int{code};
  }
}

TEST(E2m1, EncodesToTheNearestCode) {
  const auto magnitudes = magnitudes_by_formula(8, 1, 2, 1);
  for (const float value : probes(magnitudes, 12))
    ASSERT_EQ(encode_e2m1(value),
              nearest_by_search(value, magnitudes) + (std::signbit(value) ? 8 : 0))
        << value;
}

TEST(E2m1, TiesGoToTheEvenCode) {
  const std::vector<std::pair<float, float>> ties = {{.25F, 0}, {.75F, 1}, {1.25F, 1}, {1.75F, 2},
                                                     {2.5F, 2}, {3.5F, 4}, {5, 4}};
  for (const auto& [value, want] : ties) {
    EXPECT_EQ(decode_e2m1(encode_e2m1(value)), want) << value;
    EXPECT_EQ(decode_e2m1(encode_e2m1(-value)), -want) << value;
  }
  EXPECT_EQ(encode_e2m1(1e30F), 7);
  EXPECT_EQ(encode_e2m1(-std::numeric_limits<float>::infinity()), 15);
  EXPECT_EQ(encode_e2m1(-.1F), 8);
}

TEST(Fp8E4m3Fn, AllCodesMatchTheFormula) {
  for (int64_t code = 0; code < 256; ++code) {
    const float value = decode_fp8_e4m3fn(static_cast<uint8_t>(code));
    if ((code & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(value));
      continue;
    }
    EXPECT_EQ(value, value_by_formula(code, 3, 4, 7)) << code;
    EXPECT_EQ(std::signbit(value), code >= 128) << code;
    EXPECT_EQ(encode_fp8_e4m3fn(value), code);
  }
  EXPECT_EQ(decode_fp8_e4m3fn(kE4m3LargestCode), 448.0F);
  EXPECT_EQ(decode_fp8_e4m3fn(1), 0x1p-9F);
}

TEST(Fp8E4m3Fn, EncodesToTheNearestCodeAndSaturates) {
  const auto magnitudes = magnitudes_by_formula(127, 3, 4, 7);
  for (const float value : probes(magnitudes, 24))
    ASSERT_EQ(encode_fp8_e4m3fn(value),
              nearest_by_search(value, magnitudes) + (std::signbit(value) ? 128 : 0))
        << value;
  EXPECT_EQ(encode_fp8_e4m3fn(std::numeric_limits<float>::infinity()), kE4m3LargestCode);
  EXPECT_EQ(encode_fp8_e4m3fn(-3e38F), 0xFE);
  EXPECT_EQ(encode_fp8_e4m3fn(std::numeric_limits<float>::quiet_NaN()) & 0x7F, 0x7F);
}

TEST(E8m0, AllCodesArePowersOfTwoButTheLast) {
  for (int code = 0; code < 255; ++code)
    EXPECT_EQ(decode_e8m0(static_cast<uint8_t>(code)), std::ldexp(1.0, code - 127)) << code;
  EXPECT_GT(decode_e8m0(0), 0.0F);  // a subnormal of FP32
  EXPECT_TRUE(std::isnan(decode_e8m0(kE8m0NanCode)));
}

struct FloatFacts {
  Element element;
  int exponent_bits;
  int mantissa_bits;
  int bias;
  int64_t num_finite;  // magnitudes
};
constexpr FloatFacts kFloats[] = {{Element::kFp4E2m1, 2, 1, 1, 8},
                                  {Element::kFp6E2m3, 2, 3, 1, 32},
                                  {Element::kFp6E3m2, 3, 2, 3, 32},
                                  {Element::kFp8E4m3Fn, 4, 3, 7, 127},
                                  {Element::kFp8E5m2, 5, 2, 15, 124}};

TEST(FloatElements, AllCodesMatchTheFormulaAndComeBack) {
  for (const FloatFacts& facts : kFloats) {
    const int64_t sign = int64_t{1} << (facts.exponent_bits + facts.mantissa_bits);
    for (int64_t code = 0; code < 2 * sign; ++code) {
      const float value = decode_float(facts.element, static_cast<uint8_t>(code));
      if (code % sign >= facts.num_finite) {
        EXPECT_FALSE(std::isfinite(value)) << code;
        EXPECT_EQ(std::isinf(value), facts.element == Element::kFp8E5m2 && code % sign == 0x7C);
        continue;
      }
      EXPECT_EQ(value,
                value_by_formula(code, facts.mantissa_bits, facts.exponent_bits, facts.bias));
      EXPECT_EQ(std::signbit(value), code >= sign) << code;
      for (const Ties ties : {Ties::kEven, Ties::kAway, Ties::kZero})
        EXPECT_EQ(encode_float(facts.element, value, ties), code);
    }
    EXPECT_EQ(float_form(facts.element).max,
              decode_float(facts.element, static_cast<uint8_t>(facts.num_finite - 1)));
    EXPECT_EQ(float_form(facts.element).emax, std::ilogb(float_form(facts.element).max));
  }
}

TEST(FloatElements, EncodeToTheNearestCodeAndSaturate) {
  for (const FloatFacts& facts : kFloats) {
    const auto magnitudes = magnitudes_by_formula(facts.num_finite, facts.mantissa_bits,
                                                  facts.exponent_bits, facts.bias);
    const int64_t sign = int64_t{1} << (facts.exponent_bits + facts.mantissa_bits);
    for (const float value : probes(magnitudes, 24))
      ASSERT_EQ(encode_float(facts.element, value),
                nearest_by_search(value, magnitudes) + (std::signbit(value) ? sign : 0))
          << value;
    EXPECT_EQ(encode_float(facts.element, std::numeric_limits<float>::infinity()),
              facts.num_finite - 1);
    EXPECT_EQ(encode_float(facts.element, -3e38F), sign + facts.num_finite - 1);
  }
}

TEST(FloatElements, TiesGoWhereTheRuleSays) {
  for (const FloatFacts& facts : kFloats) {
    const auto magnitudes = magnitudes_by_formula(facts.num_finite, facts.mantissa_bits,
                                                  facts.exponent_bits, facts.bias);
    const int64_t sign = int64_t{1} << (facts.exponent_bits + facts.mantissa_bits);
    for (int64_t code = 0; code + 1 < facts.num_finite; ++code) {
      const auto at = static_cast<size_t>(code);
      const auto middle = static_cast<float>((magnitudes[at] + magnitudes[at + 1]) / 2);
      EXPECT_EQ(encode_float(facts.element, middle, Ties::kAway), code + 1) << middle;
      EXPECT_EQ(encode_float(facts.element, middle, Ties::kZero), code) << middle;
      EXPECT_EQ(encode_float(facts.element, -middle, Ties::kAway), sign + code + 1) << middle;
      const float above = std::nextafter(middle, 1e9F);
      EXPECT_EQ(encode_float(facts.element, above, Ties::kZero), code + 1) << middle;
      const float below = std::nextafter(middle, 0.0F);
      EXPECT_EQ(encode_float(facts.element, below, Ties::kAway), code) << middle;
    }
  }
}

// The rules of E8M0 in logarithms, with no look at bits.
int e8m0_by_formula(ScaleRule rule, double absmax, const ScaledElement& element) {
  const int exponent = std::ilogb(absmax);
  int scale = exponent - element.emax;
  if (rule == ScaleRule::kCeil && absmax > std::ldexp(1.0, exponent)) ++scale;
  if (rule == ScaleRule::kRceil) {
    scale = -400;
    while (static_cast<double>(element.max) * std::ldexp(1.0, scale) < absmax) ++scale;
  }
  if (rule == ScaleRule::kEven) {
    const double step = std::ldexp(1.0, exponent - element.mantissa_bits);
    scale = std::ilogb(std::floor(absmax / step + .5) * step) - element.emax;
  }
  return std::clamp(scale + 127, 0, 254);
}

TEST(E8m0, EveryRuleMatchesItsFormula) {
  for (const char* name :
       {"mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3fn", "mxfp8_e5m2", "mxint8"}) {
    const ScaledElement element = scaled_element(parse_weight_format(name).value());
    for (const ScaleRule rule : {ScaleRule::kFloor, ScaleRule::kMse, ScaleRule::kRceil,
                                 ScaleRule::kCeil, ScaleRule::kEven})
      for (int exponent = -100; exponent <= 126; ++exponent)
        for (const double mantissa : {1.0, 1.0000002, 1.25, 1.49, 1.5, 1.6, 1.75, 1.751, 1.875,
                                      1.9375, 1.96875, 1.98, 1.984375, 1.99219, 1.9999999}) {
          const auto absmax = static_cast<float>(std::ldexp(mantissa, exponent));
          ASSERT_EQ(e8m0_scale(rule, absmax, element), e8m0_by_formula(rule, absmax, element))
              << name << " " << rule_name(rule) << " " << absmax;
        }
    for (const ScaleRule rule : {ScaleRule::kFloor, ScaleRule::kRceil, ScaleRule::kEven}) {
      EXPECT_EQ(e8m0_scale(rule, 0, element), 0);
      EXPECT_EQ(e8m0_scale(rule, 1e-45F, element), 0);
    }
  }
}

TEST(Fp16, AllCodesMatchTheFormula) {
  for (int64_t code = 0; code < 65536; ++code) {
    const float value = decode_fp16(static_cast<uint16_t>(code));
    if ((code & 0x7C00) == 0x7C00) {
      ASSERT_EQ(std::isnan(value), (code & 0x3FF) != 0) << code;
      ASSERT_EQ(std::isinf(value), (code & 0x3FF) == 0) << code;
      continue;
    }
    ASSERT_EQ(value, value_by_formula(code, 10, 5, 15)) << code;
    ASSERT_EQ(encode_fp16(value), code);
  }
}

TEST(Fp16, EveryMidpointAndItsNeighboursRoundRight) {
  const auto magnitudes = magnitudes_by_formula(0x7C00, 10, 5, 15);
  for (size_t code = 0; code + 1 < magnitudes.size(); ++code) {
    const auto middle = static_cast<float>((magnitudes[code] + magnitudes[code + 1]) / 2);
    const size_t even = code + code % 2;
    ASSERT_EQ(encode_fp16(middle), even) << middle;
    ASSERT_EQ(encode_fp16(std::nextafter(middle, 1e9F)), code + 1) << middle;
    ASSERT_EQ(encode_fp16(std::nextafter(middle, -1e9F)), code) << middle;
    ASSERT_EQ(encode_fp16(-middle), even + 0x8000) << middle;
  }
  EXPECT_EQ(encode_fp16(65519.0F), 0x7BFF);
  EXPECT_EQ(encode_fp16(65520.0F), 0x7C00);  // a tie with 65536: even, which is infinity
  EXPECT_TRUE(std::isnan(decode_fp16(encode_fp16(std::nanf("")))));
}

TEST(Bf16, EveryMidpointAndItsNeighboursRoundRight) {
  for (uint32_t code = 0; code < 0x7F80; ++code) {
    ASSERT_EQ(std::bit_cast<uint32_t>(decode_bf16(static_cast<uint16_t>(code))), code << 16U);
    const auto middle = std::bit_cast<float>((code << 16U) | 0x8000U);
    ASSERT_EQ(encode_bf16(middle), code + code % 2);
    ASSERT_EQ(encode_bf16(std::nextafter(middle, 0.0F)), code);
    ASSERT_EQ(encode_bf16(-std::nextafter(middle, 3.4e38F)), code + 1 + 0x8000);
  }
  EXPECT_TRUE(std::isnan(decode_bf16(encode_bf16(std::bit_cast<float>(0x7F800001U)))));
}

struct GoldenCodec {
  std::function<float(uint32_t)> decode;
  std::function<uint32_t(float)> encode;
};

std::pair<std::string, GoldenCodec> float_codec(const char* name, Element element) {
  return {name,
          {[element](uint32_t c) { return decode_float(element, static_cast<uint8_t>(c)); },
           [element](float v) -> uint32_t { return encode_float(element, v); }}};
}

const std::vector<std::pair<std::string, GoldenCodec>>& golden_codecs() {
  static const std::vector<std::pair<std::string, GoldenCodec>> codecs = {
      float_codec("fp4_e2m1", Element::kFp4E2m1),
      float_codec("fp6_e2m3", Element::kFp6E2m3),
      float_codec("fp6_e3m2", Element::kFp6E3m2),
      float_codec("fp8_e4m3fn", Element::kFp8E4m3Fn),
      float_codec("fp8_e5m2", Element::kFp8E5m2),
      {"e8m0", {[](uint32_t c) { return decode_e8m0(static_cast<uint8_t>(c)); }, nullptr}},
      {"fp16", {nullptr, [](float v) -> uint32_t { return encode_fp16(v); }}},
      {"bf16", {nullptr, [](float v) -> uint32_t { return encode_bf16(v); }}}};
  return codecs;
}

// Lines of tools/make_format_golden.py; how many.
int64_t check_lines(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << "run from the repository root";
  int64_t checked = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string kind;
    std::string name;
    uint32_t from = 0;
    uint32_t to = 0;
    EXPECT_TRUE(words >> kind >> name >> std::hex >> from >> to) << line;
    for (const auto& [codec_name, codec] : golden_codecs()) {
      if (codec_name != name) continue;
      ++checked;
      if (kind == "encode") {
        EXPECT_EQ(codec.encode(std::bit_cast<float>(from)), to) << line;
      } else if (std::isnan(std::bit_cast<float>(to))) {
        EXPECT_TRUE(std::isnan(codec.decode(from))) << line;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(codec.decode(from)), to) << line;
      }
    }
  }
  return checked;
}

TEST(ElementGolden, AgreesWithMlDtypes) {
  EXPECT_GT(check_lines("src/formats/testdata/ml_dtypes.txt"), 4500);
}

TEST(ElementGolden, AgreesWithTorch) {
  EXPECT_EQ(check_lines("src/formats/testdata/torch.txt"), 3 * 256 + 4 * 200);
}

}  // namespace
}  // namespace dovetail::formats
