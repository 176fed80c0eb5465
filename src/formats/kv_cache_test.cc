#include "formats/kv_cache.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "base/random.h"
#include "formats/codec.h"
#include "formats/element.h"

namespace dovetail::formats {
namespace {

std::vector<float> drawn(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const double bell = random.uniform() + random.uniform() + random.uniform() - 1.5;
    // A channel of large values with an offset, as keys have; some zeros.
    values.push_back(
        random.below(20) == 0 ? 0.0F : static_cast<float>(i % 16 == 3 ? 12 + 3 * bell : bell));
  }
  return values;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

std::vector<float> decoded_row(const WeightFormat& format, const std::vector<float>& x) {
  return decode_rows(encode_rows(format, {.scale = plain_rule(format)}, 1,
                                 static_cast<int64_t>(x.size()), x.data()))
      .value();
}

TEST(KvFormats, NamesRoundTripInTheOrderOfTheEnumerators) {
  int index = 0;
  for (const KvFacts& facts : all_kv_formats()) {
    EXPECT_EQ(static_cast<int>(facts.format), index++);
    EXPECT_EQ(parse_kv_format(facts.name).value(), facts.format);
    EXPECT_EQ(format_name(facts.format), facts.name);
    EXPECT_EQ(facts.channel_tokens > 0, facts.name.find("_c") != std::string_view::npos);
  }
  EXPECT_EQ(index, static_cast<int>(KvFormat::kInt2C128) + 1);
  EXPECT_FALSE(parse_kv_format("int5").has_value());
}

TEST(KvFormats, StoredBitsCountScalesAndZeros) {
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kBf16, 64), 1024);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt8, 64), 512 + 16 + 8);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt4, 64), 256 + 16 + 4);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt2, 64), 128 + 16 + 2);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kFp8, 64), 512 + 32);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kNvfp4, 64), 256 + 4 * 8 + 32);
  // 64 channels, each 32 * 4 bits and 20 of scale and zero per 32 tokens.
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt4C32, 64), 64 * (32 * 4 + 20) / 32);
  // 16 * 18 / 128 bits of scales and zeros: 2.25 of a bit, rounded up.
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt2C128, 16), 32 + 3);
}

TEST(QuantizeKv, IsOneRowPerVector) {
  constexpr int64_t kVectors = 9;
  for (const KvFacts& facts : all_kv_formats()) {
    if (is_per_channel(facts.format)) continue;
    for (const int64_t head_dim : {3, 64, 80}) {
      const std::vector<float> x = drawn(kVectors * head_dim, static_cast<uint64_t>(head_dim));
      std::vector<float> found = x;
      quantize_kv(facts.format, kVectors, head_dim, found.data());
      std::vector<float> want;
      for (int64_t i = 0; i < kVectors; ++i) {
        const std::vector<float> vector(x.begin() + i * head_dim, x.begin() + (i + 1) * head_dim);
        const std::vector<float> row = decoded_row(facts.row, vector);
        want.insert(want.end(), row.begin(), row.end());
      }
      EXPECT_EQ(bits_of(found), bits_of(want)) << facts.name;
    }
  }
}

TEST(QuantizeKv, HandWorkedVector) {
  std::vector<float> x = {-1, 2, .5F, 0};  // scale FP16(3 / 15) = .199951171875, zero point 5
  quantize_kv(KvFormat::kInt4, 1, 4, x.data());
  const float s = .199951171875F;
  EXPECT_EQ(x, (std::vector<float>{-5 * s, 10 * s, 3 * s, 0}));  // .5 / s = 2.5006
}

TEST(QuantizeKeyGroup, RoundsEachChannelOverItsTokens) {
  constexpr int64_t kChannels = 300;  // more than are handled at once
  for (const KvFacts& facts : all_kv_formats()) {
    if (!is_per_channel(facts.format)) continue;
    const int64_t tokens = facts.channel_tokens;
    // (token, channel) and its transpose, one element wider, which must stay.
    const std::vector<float> x = drawn(tokens * kChannels, static_cast<uint64_t>(tokens));
    std::vector<float> wide(static_cast<size_t>(kChannels * (tokens + 1)), 77.0F);
    for (int64_t c = 0; c < kChannels; ++c)
      for (int64_t t = 0; t < tokens; ++t)
        wide[static_cast<size_t>(c * (tokens + 1) + t)] = x[static_cast<size_t>(t * kChannels + c)];
    std::vector<float> rows = x;
    quantize_key_group(facts.format, kChannels, kChannels, 1, rows.data());
    quantize_key_group(facts.format, kChannels, 1, tokens + 1, wide.data());
    for (int64_t c = 0; c < kChannels; ++c) {
      std::vector<float> channel, found, turned;
      for (int64_t t = 0; t < tokens; ++t) {
        channel.push_back(x[static_cast<size_t>(t * kChannels + c)]);
        found.push_back(rows[static_cast<size_t>(t * kChannels + c)]);
        turned.push_back(wide[static_cast<size_t>(c * (tokens + 1) + t)]);
      }
      const auto want = bits_of(decoded_row(facts.row, channel));
      ASSERT_EQ(bits_of(found), want) << facts.name << ", channel " << c;
      ASSERT_EQ(bits_of(turned), want) << facts.name << ", channel " << c;
      ASSERT_EQ(wide[static_cast<size_t>(c * (tokens + 1) + tokens)], 77.0F);
    }
  }
}

TEST(KeysPerChannel, AreExactUntilTheirGroupIsFull) {
  EXPECT_EQ(exact_from(KvFormat::kInt4, 5), 6);  // rounded as it enters
  EXPECT_EQ(exact_from(KvFormat::kInt4C32, 0), 0);
  EXPECT_EQ(exact_from(KvFormat::kInt4C32, 30), 0);
  EXPECT_EQ(exact_from(KvFormat::kInt4C32, 31), 32);  // its last token has come
  EXPECT_EQ(exact_from(KvFormat::kInt4C32, 32), 32);
  EXPECT_EQ(exact_from(KvFormat::kInt2C128, 300), 256);
}

}  // namespace
}  // namespace dovetail::formats
