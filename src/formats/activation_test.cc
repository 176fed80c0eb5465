#include "formats/activation.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/codec.h"
#include "formats/element.h"
#include "formats/quantize.h"

namespace dovetail::formats {
namespace {

using enum ActivationFormat;

// Rows of several magnitudes, with outliers, zeros, ties and a row of zeros.
std::vector<float> rows_of(int64_t tokens, int64_t k, uint64_t seed) {
  Random random(seed);
  constexpr float kMagnitude[] = {1.0F, 1e-6F, 3e4F, 1e-41F, 0.0F, 2e38F / 128};
  std::vector<float> x;
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t i = 0; i < k; ++i) {
      const double bell = random.uniform() + random.uniform() + random.uniform() - 1.5;
      const float outlier = i % 41 == 7 ? 30.0F : 1.0F;
      const auto value =
          token % 2 == 0 ? static_cast<float>(bell) : static_cast<float>(random.below(33)) / 8 - 2;
      x.push_back(value * outlier * kMagnitude[token % 6]);
    }
  return x;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

std::vector<float> round_trip(ActivationFormat format, const std::vector<float>& x,
                              float fixed_scale = 0) {
  return decode_token(format,
                      encode_token(format, fixed_scale, static_cast<int64_t>(x.size()), x.data()));
}

TEST(ActivationFormats, NamesRoundTripInTheOrderOfTheEnumerators) {
  int index = 0;
  for (const ActivationFacts& facts : all_activation_formats()) {
    EXPECT_EQ(static_cast<int>(facts.format), index++);
    EXPECT_EQ(parse_activation_format(facts.name).value(), facts.format);
    EXPECT_EQ(format_name(facts.format), facts.name);
  }
  EXPECT_EQ(index, static_cast<int>(kNvfp4) + 1);
  const auto wrong = parse_activation_format("int4_tokens");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_TRUE(wrong.error().message.ends_with("(did you mean int4_token?)"))
      << wrong.error().message;
}

TEST(Activations, TheQuickPathWritesWhatTheCodesDecodeTo) {
  constexpr int64_t kTokens = 12;
  for (const ActivationFacts& facts : all_activation_formats())
    for (const int64_t k : {1, 16, 100, 192}) {
      const std::vector<float> x = rows_of(kTokens, k, static_cast<uint64_t>(k));
      const float fixed = facts.is_static ? static_scale(facts.format, 2.5F) : 0.0F;
      std::vector<float> quick = x;
      quantize_activations(facts.format, kTokens, k, quick.data(), fixed);
      for (int64_t token = 0; token < kTokens; ++token) {
        const std::vector<float> row(x.begin() + token * k, x.begin() + (token + 1) * k);
        const std::vector<float> found(quick.begin() + token * k, quick.begin() + (token + 1) * k);
        ASSERT_EQ(bits_of(found), bits_of(round_trip(facts.format, row, fixed)))
            << facts.name << ", k = " << k << ", token " << token;
      }
    }
}

// The weight codec, one row at a time, where it has the same format.
TEST(Activations, BlocksAreThoseOfTheWeightFormats) {
  const std::pair<ActivationFormat, const char*> twins[] = {
      {kInt8G32, "int8_g32"},   {kInt8G128, "int8_g128"}, {kInt4G64, "int4_g64"},
      {kMxfp8, "mxfp8_e4m3fn"}, {kMxfp4, "mxfp4"},        {kNvfp4, "nvfp4"},
      {kInt4G32, "int4_g32"},   {kFp8Token, "fp8_e4m3fn"}};
  for (const auto& [format, name] : twins) {
    const WeightFormat weight = parse_weight_format(name).value();
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const std::vector<float> x = rows_of(6, 144, seed);
      const std::vector<float> row(x.begin() + static_cast<int64_t>(seed) * 144,
                                   x.begin() + static_cast<int64_t>(seed + 1) * 144);
      const auto want =
          decode_rows(encode_rows(weight, {.scale = plain_rule(weight)}, 1, 144, row.data()));
      EXPECT_EQ(bits_of(round_trip(format, row)), bits_of(want.value())) << name;
    }
  }
}

TEST(Activations, HandWorkedRows) {
  using Row = std::vector<float>;
  // s = 10 / 10: 10 saturates at 7, -8.6 at -8; -3.5 ties to -4, 2.5 to 2.
  EXPECT_EQ(round_trip(kInt4Token, {10, -8.6F, -3.5F, 2.5F, .4F}), (Row{7, -8, -4, 2, 0}));
  // s = .5: 100 saturates at 127 / 2, -70 at -128 / 2; -.25 ties to 0.
  EXPECT_EQ(round_trip(kInt8Static, {100, -70, -.25F, .8F}, .5F), (Row{63.5F, -64, 0, 1}));
  // s = 1 / 4: x / s = 2000 saturates at 448; 17.9 lies nearer 18 than 16 (steps of 2).
  EXPECT_EQ(round_trip(kFp8Static, {500, 17.9F / 4}, .25F), (Row{112, 4.5F}));
  // 2^(2 - 2): 5 ties to 4, 2.5 to 2, .75 to 1; 7.9 saturates (rule floor).
  EXPECT_EQ(round_trip(kMxfp4, {7.9F, 5, 2.5F, .75F}), (Row{6, 4, 2, 1}));
  // 2^(8 - 8): steps of 32 from 256 on.
  EXPECT_EQ(round_trip(kMxfp8, {300, 1.06F}), (Row{288, 1}));
  // t = 6 / 2688; the first block's scale is E4M3(1 / t) * t = 448 t = 1; the second's: 1.5 / 6 / t
  // = 112, exact, so s = 112 t = .25.
  Row row(32, 0.0F);
  row[0] = 6;
  row[1] = 2.6F;
  row[16] = 1.5F;
  row[17] = -.3F;
  const TokenCodes token = encode_token(kNvfp4, 0, 32, row.data());
  EXPECT_EQ(token.token_scale, 6.0F / 2688);
  EXPECT_EQ(token.stored, (std::vector<uint32_t>{kE4m3LargestCode, encode_fp8_e4m3fn(112)}));
  const Row values = decode_token(kNvfp4, token);
  EXPECT_FLOAT_EQ(values[0], 6);
  EXPECT_FLOAT_EQ(values[1], 3);
  EXPECT_FLOAT_EQ(values[16], 1.5F);
  EXPECT_FLOAT_EQ(values[17], -.25F);
}

TEST(Activations, AStaticScaleMapsTheLargestMagnitudeToTheLargestCode) {
  EXPECT_EQ(static_scale(kInt8Static, 254), 2.0F);
  EXPECT_EQ(static_scale(kFp8Static, 896), 2.0F);
  EXPECT_EQ(static_scale(kInt8Static, 0), 0x1p-126F);
}

TEST(Activations, StoredBitsCountScales) {
  EXPECT_EQ(stored_bits_per_token(kBf16, 576), 576 * 16);
  EXPECT_EQ(stored_bits_per_token(kInt8Token, 576), 576 * 8 + 32);
  EXPECT_EQ(stored_bits_per_token(kInt8Static, 576), 576 * 8);
  EXPECT_EQ(stored_bits_per_token(kInt4G128, 576), 576 * 4 + 5 * 16);
  EXPECT_EQ(stored_bits_per_token(kMxfp4, 576), 576 * 4 + 18 * 8);
  EXPECT_EQ(stored_bits_per_token(kNvfp4, 576), 576 * 4 + 36 * 8 + 32);
}

}  // namespace
}  // namespace dovetail::formats
