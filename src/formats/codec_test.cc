#include "formats/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/random.h"
#include "formats/element.h"

namespace dovetail::formats {
namespace {

WeightFormat weight(std::string_view name) {
  return parse_weight_format(name).value();
}

// Oracle of the bit stream: a text of '0' and '1' in stream order.
std::string stream_text(const std::vector<uint16_t>& codes, int64_t bits) {
  std::string text;
  for (const uint16_t code : codes)
    for (int64_t i = 0; i < bits; ++i) text += (code >> i & 1) != 0 ? '1' : '0';
  while (text.size() % 8 != 0) text += '0';
  return text;
}

TEST(PackCodes, EveryWidthAndOddCountMatchesTheTextOfBitsAndComesBack) {
  Random random(3);
  for (int64_t bits = 1; bits <= 16; ++bits)
    for (const int64_t count : {0, 1, 2, 3, 7, 8, 9, 31, 64, 65}) {
      std::vector<uint16_t> codes;
      for (int64_t i = 0; i < count; ++i)
        codes.push_back(static_cast<uint16_t>(random.below(int64_t{1} << bits)));
      const std::string text = stream_text(codes, bits);
      const std::vector<uint8_t> stream = pack_codes(codes, bits);
      ASSERT_EQ(stream.size() * 8, text.size());
      for (size_t i = 0; i < text.size(); ++i)
        ASSERT_EQ(stream[i / 8] >> (i % 8) & 1, text[i] - '0') << bits << " bits, bit " << i;
      ASSERT_EQ(unpack_codes(stream, bits, count).value(), codes) << bits;
    }
}

TEST(PackCodesError, WrongLengthsAreRefused) {
  EXPECT_EQ(unpack_codes({1, 2}, 3, 3).value(), (std::vector<uint16_t>{1, 0, 0}));
  EXPECT_EQ(unpack_codes({1}, 3, 3).error().message,
            "packed stream of 3 codes of 3 bits has 1 bytes, want 2");
  EXPECT_FALSE(unpack_codes({1, 2}, 0, 3).has_value());
  EXPECT_FALSE(unpack_codes({1, 2}, 17, 1).has_value());
  EXPECT_FALSE(unpack_codes({}, 3, -1).has_value());
  EXPECT_FALSE(unpack_codes({}, 16, int64_t{1} << 62).has_value());
}

TEST(Codec, HandWorkedInt4Group) {
  // absmax 3.5, scale 3.5 / 7 = .5 = FP16 0x3800; codes w / .5 with ties to even.
  const std::vector<float> w = {3.5F, -3.5F, .25F, .75F, -1, 0};
  const PackedRows packed = encode_rows(weight("int4_g32"), ScaleRule::kAbsmax, 1, 6, w.data());
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{0x00, 0x38}));
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0x97, 0x20, 0x0E}));  // 7 -7, 0 2, -2 0
  EXPECT_TRUE(packed.zeros.empty());
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{3.5F, -3.5F, 0, 1, -1, 0}));
}

TEST(Codec, HandWorkedInt2AsymmetricGroup) {
  // Range -1..2, scale 3 / 3 = 1, zero point 1.
  const std::vector<float> w = {-1, 2, .4F, .6F, 1.5F};
  const PackedRows packed =
      encode_rows(weight("int2_asym_g32"), ScaleRule::kAbsmax, 1, 5, w.data());
  EXPECT_EQ(packed.zeros, (std::vector<uint8_t>{1}));
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{0x00, 0x3C}));
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0b10'01'11'00, 0b11}));  // 0 3 1 2 3
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{-1, 2, 0, 1, 2}));
}

TEST(Codec, HandWorkedMxfp4AndNvfp4Blocks) {
  // mxfp4: absmax 7 lies in [4, 8): scale 1 (code 127); 7 saturates at 6.
  const std::vector<float> w = {7, -5, .3F, -.1F};
  const PackedRows mx = encode_rows(weight("mxfp4"), ScaleRule::kAbsmax, 1, 4, w.data());
  EXPECT_EQ(mx.scales, (std::vector<uint8_t>{127}));
  EXPECT_EQ(mx.payload, (std::vector<uint8_t>{0xE7, 0x81}));
  EXPECT_EQ(decode_rows(mx).value(), (std::vector<float>{6, -4, .5F, 0}));
  // nvfp4: tensor scale 5376 / 2688 = 2; block scale (5376 / 6) / 2 = 448.
  const std::vector<float> v = {5376, -896, 2000, 0};
  const PackedRows nv = encode_rows(weight("nvfp4"), ScaleRule::kAbsmax, 1, 4, v.data());
  EXPECT_EQ(nv.tensor_scale, 2.0F);
  EXPECT_EQ(nv.scales, (std::vector<uint8_t>{kE4m3LargestCode}));
  EXPECT_EQ(decode_rows(nv).value(), (std::vector<float>{5376, -896, 1792, 0}));
}

TEST(Codec, HandWorkedFp8Row) {
  const std::vector<float> w = {896, -2, .001F};  // scale 2
  const PackedRows packed = encode_rows(weight("fp8_e4m3fn"), ScaleRule::kAbsmax, 1, 3, w.data());
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{0, 0, 0, 0x40}));
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0x7E, 0xB8, 0x00}));
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{896, -2, 0}));
}

TEST(Codec, SizesAreTheStoredBits) {
  for (const WeightFormat& format : all_weight_formats())
    for (const int64_t k : {1, 33, 576}) {
      const std::vector<float> w(static_cast<size_t>(8 * k), 1.0F);
      const PackedRows packed = encode_rows(format, ScaleRule::kAbsmax, 8, k, w.data());
      const auto bytes = static_cast<int64_t>(packed.payload.size() + packed.scales.size());
      const int64_t zero_bits = static_cast<int64_t>(packed.zeros.size()) * format.bits;
      EXPECT_EQ(bytes * 8 + zero_bits, 8 * stored_bits_per_row(format, k)) << format_name(format);
    }
}

TEST(Codec, ZerosStayZerosAndEmptyShapesWork) {
  for (const WeightFormat& format : all_weight_formats())
    for (const ScaleRule rule : {ScaleRule::kAbsmax, ScaleRule::kMse}) {
      const std::vector<float> w = {0.0F, -0.0F, 0.0F};
      const PackedRows packed = encode_rows(format, rule, 1, 3, w.data());
      const std::vector<float> values = decode_rows(packed).value();
      EXPECT_EQ(values, (std::vector<float>(3, 0.0F)));
      for (const uint8_t byte : packed.scales) EXPECT_EQ(byte, 0) << format_name(format);
      for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{0, 5}, {5, 0}, {0, 0}})
        EXPECT_TRUE(decode_rows(encode_rows(format, rule, rows, k, w.data())).value().empty());
    }
}

TEST(Codec, ScalesOutsideFp16AreHeldAtItsEnds) {
  const std::vector<float> huge = {1e30F, -1e30F, 1};
  const auto largest =
      decode_rows(encode_rows(weight("int4_g32"), ScaleRule::kAbsmax, 1, 3, huge.data()));
  EXPECT_EQ(largest.value(), (std::vector<float>{7 * kFp16Max, -8 * kFp16Max, 0}));
  const std::vector<float> tiny = {0x1p-23F, -0x1p-24F, 0};
  const auto smallest =
      decode_rows(encode_rows(weight("int4_g32"), ScaleRule::kAbsmax, 1, 3, tiny.data()));
  EXPECT_EQ(smallest.value(), tiny);  // 2 and -1 steps of 2^-24
}

TEST(Codec, EveryIntegerCodeDecodes) {
  for (const int64_t bits : {2, 3, 4, 5, 6, 8})
    for (const bool asymmetric : {false, true})
      for (int64_t zero = 0; zero < (asymmetric ? int64_t{1} << bits : 1); ++zero) {
        std::vector<uint16_t> codes;
        for (uint16_t code = 0; code < 1 << bits; ++code) codes.push_back(code);
        PackedRows packed{
            .format = {.family = WeightFamily::kInt, .bits = bits, .asymmetric = asymmetric},
            .rows = 1,
            .k = int64_t{1} << bits,
            .payload = pack_codes(codes, bits),
            .scales = {0x00, 0x40}};  // FP16 2
        if (asymmetric) packed.zeros = {static_cast<uint8_t>(zero)};
        const std::vector<float> values = decode_rows(packed).value();
        for (int64_t code = 0; code < 1 << bits; ++code) {
          const int64_t half = int64_t{1} << (bits - 1);
          const int64_t steps = asymmetric ? code - zero : (code + half) % (2 * half) - half;
          ASSERT_EQ(values[static_cast<size_t>(code)], static_cast<float>(2 * steps));
        }
      }
}

TEST(CodecError, PackedRowsThatDoNotFitAreRefused) {
  const std::vector<float> w(2 * 40, 1.0F);
  const PackedRows good = encode_rows(weight("int3_asym_g32"), ScaleRule::kMse, 2, 40, w.data());
  ASSERT_TRUE(decode_rows(good).has_value());
  const auto message = [&](auto&& spoil) {
    PackedRows bad = good;
    spoil(bad);
    const auto decoded = decode_rows(bad);
    return decoded.has_value() ? std::string("no error") : decoded.error().message;
  };
  EXPECT_EQ(message([](PackedRows& p) { p.payload.pop_back(); }),
            "packed int3_asym_g32 of 2 x 40: payload has 29 bytes, want 30");
  EXPECT_EQ(message([](PackedRows& p) { p.scales.push_back(0); }),
            "packed int3_asym_g32 of 2 x 40: scales has 9 bytes, want 8");
  EXPECT_EQ(message([](PackedRows& p) { p.zeros.clear(); }),
            "packed int3_asym_g32 of 2 x 40: zeros has 0 bytes, want 4");
  EXPECT_EQ(message([](PackedRows& p) { p.zeros[1] = 8; }),
            "packed int3_asym_g32: zero point = 8, want 0..7");
  EXPECT_NE(message([](PackedRows& p) { p.rows = -2; }), "no error");
  EXPECT_NE(message([](PackedRows& p) { p.rows = p.k = int64_t{1} << 62; }), "no error");
  EXPECT_EQ(message([](PackedRows& p) { p.format.bits = 7; }),
            "packed format int7_asym_g32 (7 bits, group 32) is not a legal one");
}

}  // namespace
}  // namespace dovetail::formats
