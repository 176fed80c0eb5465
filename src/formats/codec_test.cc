#include "formats/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/random.h"
#include "formats/element.h"
#include "formats/int_range.h"

namespace dovetail::formats {
namespace {

constexpr Rounding kAbsmax{.scale = ScaleRule::kAbsmax};
constexpr Rounding kFloor{.scale = ScaleRule::kFloor};

WeightFormat weight(std::string_view name) {
  return parse_weight_format(name).value();
}

Rounding plain(const WeightFormat& format) {
  return {.scale = plain_rule(format)};
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
  const PackedRows packed = encode_rows(weight("int4_g32"), kAbsmax, 1, 6, w.data());
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{0x00, 0x38}));
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0x97, 0x20, 0x0E}));  // 7 -7, 0 2, -2 0
  EXPECT_TRUE(packed.zeros.empty());
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{3.5F, -3.5F, 0, 1, -1, 0}));
}

TEST(Codec, HandWorkedInt2AsymmetricGroup) {
  // Range -1..2, scale 3 / 3 = 1, zero point 1.
  const std::vector<float> w = {-1, 2, .4F, .6F, 1.5F};
  const PackedRows packed = encode_rows(weight("int2_asym_g32"), kAbsmax, 1, 5, w.data());
  EXPECT_EQ(packed.zeros, (std::vector<uint8_t>{1}));
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{0x00, 0x3C}));
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0b10'01'11'00, 0b11}));  // 0 3 1 2 3
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{-1, 2, 0, 1, 2}));
}

TEST(Codec, HandWorkedMxfp4AndNvfp4Blocks) {
  // mxfp4: absmax 7 lies in [4, 8): scale 1 (code 127); 7 saturates at 6.
  const std::vector<float> w = {7, -5, .3F, -.1F};
  const PackedRows mx = encode_rows(weight("mxfp4"), kFloor, 1, 4, w.data());
  EXPECT_EQ(mx.scales, (std::vector<uint8_t>{127}));
  EXPECT_EQ(mx.payload, (std::vector<uint8_t>{0xE7, 0x81}));
  EXPECT_EQ(decode_rows(mx).value(), (std::vector<float>{6, -4, .5F, 0}));
  // nvfp4: tensor scale 5376 / 2688 = 2; block scale (5376 / 6) / 2 = 448.
  const std::vector<float> v = {5376, -896, 2000, 0};
  const PackedRows nv = encode_rows(weight("nvfp4"), kAbsmax, 1, 4, v.data());
  EXPECT_EQ(nv.tensor_scale, 2.0F);
  EXPECT_EQ(nv.scales, (std::vector<uint8_t>{kE4m3LargestCode}));
  EXPECT_EQ(decode_rows(nv).value(), (std::vector<float>{5376, -896, 1792, 0}));
}

TEST(Codec, HandWorkedFp8Row) {
  const std::vector<float> w = {896, -2, .001F};  // scale 2
  const PackedRows packed = encode_rows(weight("fp8_e4m3fn"), kAbsmax, 1, 3, w.data());
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{0, 0, 0, 0x40}));
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0x7E, 0xB8, 0x00}));
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{896, -2, 0}));
}

TEST(Codec, HandWorkedTernaryRow) {
  // absmax 2: scale 2; -2 0 2 .5 -1.5 | 1 -> -1 0 1 0 -1 | 0 (a tie to even).
  const std::vector<float> w = {-2, 0, 2, .5F, -1.5F, 1};
  const PackedRows packed = encode_rows(weight("ternary"), kAbsmax, 1, 6, w.data());
  EXPECT_EQ(packed.payload, (std::vector<uint8_t>{0 + 3 * 1 + 9 * 2 + 27 * 1 + 81 * 0, 1}));
  EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>{-2, 0, 2, 0, -2, 0}));
}

TEST(Codec, HandWorkedTwoLevelRow) {
  // Row scale 119 / 119 = 1. Group 1: -4..11, u = 15 / 15 = 1, zero point 4. Group 2: 0..119,
  // u = round(119 / 15) = 8, zero point 0.
  std::vector<float> w(64, 0.0F);
  w[0] = -4;
  w[1] = 11;
  w[2] = 3.4F;
  w[32] = 119;
  w[33] = 60;
  const PackedRows packed = encode_rows(weight("int4_qoq_g32"), kAbsmax, 1, 64, w.data());
  EXPECT_EQ(packed.row_scales, (std::vector<uint16_t>{encode_fp16(1)}));
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{1, 8}));
  EXPECT_EQ(packed.zeros, (std::vector<uint8_t>{4, 0}));
  const std::vector<float> values = decode_rows(packed).value();
  EXPECT_EQ((std::vector<float>{values[0], values[1], values[2], values[32], values[33]}),
            (std::vector<float>{-4, 11, 3, 120, 64}));  // 60 / 8 = 7.5, a tie to even
}

TEST(Codec, TwoLevelProductsFitInt8) {
  Random random(4);
  for (const char* name : {"int2_qoq_g32", "int3_qoq_g64", "int4_qoq_g128"})
    for (int round = 0; round < 50; ++round) {
      std::vector<float> w;
      for (int i = 0; i < 256; ++i)
        w.push_back(static_cast<float>((random.uniform() - .4) * std::exp2(random.uniform() * 6)));
      for (const Rounding& rounding : {kAbsmax, Rounding{}}) {
        const PackedRows packed = encode_rows(weight(name), rounding, 1, 256, w.data());
        const float row_scale = decode_fp16(packed.row_scales[0]);
        const std::vector<float> values = decode_rows(packed).value();
        for (const float value : values) ASSERT_LE(std::fabs(value / row_scale), 127.001F) << name;
      }
    }
}

TEST(Codec, HandWorkedMxint8Block) {
  // absmax 1.5: scale 2^0; values are multiples of 2^-6 up to 127 of them.
  const std::vector<float> w = {1.5F, -1.5F, 1.0F / 128, 3.0F / 128, .3F};
  const PackedRows packed = encode_rows(weight("mxint8"), kFloor, 1, 5, w.data());
  EXPECT_EQ(packed.scales, (std::vector<uint8_t>{127}));
  EXPECT_EQ(decode_rows(packed).value(),
            (std::vector<float>{1.5F, -1.5F, 0, 2.0F / 64, 19.0F / 64}));  // ties to even
}

TEST(Codec, HandWorkedNormalFloatGroup) {
  // absmax 127: scale 1, so x is in units of levels; 15 lies between 10 and 20.
  std::vector<float> w(16, 0.0F);
  w[0] = 127;
  w[1] = -127;
  w[2] = 15;
  w[3] = 15.01F;
  w[4] = -17.6F;
  const PackedRows packed = encode_rows(weight("nf4_g16"), kAbsmax, 1, 16, w.data());
  const std::vector<float> values = decode_rows(packed).value();
  EXPECT_EQ((std::vector<float>{values[0], values[1], values[2], values[3], values[4], values[5]}),
            (std::vector<float>{127, -127, 10, 20, -23, 0}));  // code 8 of 8 and 9 is even
}

TEST(Codec, SparseRowsKeepTheLargestOfEveryFour) {
  const std::vector<float> w = {1, -3, 2, .5F, 4, 4, 4, 4, -1, 0};
  const PackedRows packed = encode_rows(weight("int8_2:4"), kAbsmax, 1, 10, w.data());
  EXPECT_EQ(packed.mask, (std::vector<uint8_t>{0b0011'0110, 0b11}));
  EXPECT_EQ(packed.payload.size(), 6U);
  const std::vector<float> values = decode_rows(packed).value();
  for (const size_t dropped : {0U, 3U, 6U, 7U, 9U}) EXPECT_EQ(values[dropped], 0.0F);
  for (const size_t kept : {1U, 2U, 4U, 5U, 8U}) EXPECT_NEAR(values[kept], w[kept], .02F);
  // Importance moves the choice: column 0 counts a hundred times.
  const std::vector<float> importance = {100, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const auto weighted = sparsified(weight("int8_2:4"), 1, 10, w.data(), importance.data());
  EXPECT_EQ(std::vector<float>(weighted.begin(), weighted.begin() + 4),
            (std::vector<float>{1, -3, 0, 0}));
}

TEST(Codec, BlocksAndTensorsShareOneScale) {
  std::vector<float> w(130 * 130, .01F);
  w[0] = 7;                 // of block (0, 0)
  w[129 * 130 + 129] = 70;  // of block (1, 1)
  const PackedRows blocks = encode_rows(weight("int4_b128"), kAbsmax, 130, 130, w.data());
  EXPECT_EQ(unpack_scales(blocks).scale[0], 1);
  EXPECT_EQ(unpack_scales(blocks).scale[3], 10);
  EXPECT_EQ(blocks.scales.size(), 4U * 2);
  const PackedRows tensor = encode_rows(weight("int4_tensor"), kAbsmax, 130, 130, w.data());
  EXPECT_EQ(unpack_scales(tensor).scale, (std::vector<float>{10}));
  EXPECT_EQ(decode_rows(tensor).value()[0], 10);  // 7 / 10 rounds to 1
}

TEST(Codec, SizesAreTheStoredBits) {
  for (WeightFormat format : all_weight_formats())
    for (const int64_t of : {0, 4, 8})
      for (const int64_t k : {1, 33, 576}) {
        if (of > 0 && format.element == Element::kBf16) continue;
        format.kept = of / 2;
        format.of = of;
        constexpr int64_t kRows = 128;
        const std::vector<float> w(static_cast<size_t>(kRows * k), 1.0F);
        const PackedRows packed = encode_rows(format, plain(format), kRows, k, w.data());
        const auto bytes =
            static_cast<int64_t>(packed.payload.size() + packed.mask.size() + packed.scales.size() +
                                 2 * packed.row_scales.size());
        int64_t bits = bytes * 8 + static_cast<int64_t>(packed.zeros.size()) * format.bits;
        if (format.group_rows == 0)
          bits -= scale_bits(format) + (format.asymmetric ? format.bits : 0);
        const int64_t counted = kRows * stored_bits_per_row(format, k);
        // A row's share of a block's scale is rounded up.
        EXPECT_LE(bits, counted) << format_name(format);
        EXPECT_GT(bits, counted - (format.group_rows == kRows ? kRows : 1)) << format_name(format);
      }
}

TEST(Codec, ZerosStayZerosAndEmptyShapesWork) {
  for (const WeightFormat& format : all_weight_formats())
    for (const ScaleRule rule : legal_rules(format))
      for (const ZeroBlock zero_block : {ZeroBlock::kSmallest, ZeroBlock::kOne}) {
        const Rounding rounding{.scale = rule, .zero_block = zero_block};
        const std::vector<float> w = {0.0F, -0.0F, 0.0F};
        const PackedRows packed = encode_rows(format, rounding, 1, 3, w.data());
        EXPECT_EQ(decode_rows(packed).value(), (std::vector<float>(3, 0.0F)));
        const MatrixScales scales = unpack_scales(packed);
        for (const float scale : scales.scale) {
          const bool two_level = format.scale == ScaleType::kUint8;
          if (zero_block == ZeroBlock::kOne && !two_level) {
            EXPECT_EQ(scale, scale_unit(format)) << format_name(format);
          } else if (zero_block == ZeroBlock::kSmallest) {
            EXPECT_LE(scale, 0x1p-127F) << format_name(format);
          }
        }
        for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{0, 5}, {5, 0}, {0, 0}})
          EXPECT_TRUE(
              decode_rows(encode_rows(format, rounding, rows, k, w.data())).value().empty());
      }
}

TEST(Codec, ScalesAndCodesApartGiveTheSameBytes) {
  Random random(5);
  std::vector<float> w;
  for (int i = 0; i < 4 * 100; ++i) w.push_back(static_cast<float>(random.uniform() - .5));
  for (const WeightFormat& format : all_weight_formats()) {
    const PackedRows whole = encode_rows(format, Rounding{}, 4, 100, w.data());
    const MatrixScales scales = scales_of(format, Rounding{}, 4, 100, w.data());
    const PackedRows parts = encode_with(format, Ties::kEven, scales, 4, 100, w.data());
    EXPECT_EQ(parts.payload, whole.payload) << format_name(format);
    EXPECT_EQ(parts.scales, whole.scales) << format_name(format);
    EXPECT_EQ(unpack_scales(whole), scales) << format_name(format);
    // What was decoded encodes to itself under the same scales.
    const std::vector<float> values = decode_rows(whole).value();
    EXPECT_EQ(decode_rows(encode_with(format, Ties::kEven, scales, 4, 100, values.data())).value(),
              values)
        << format_name(format);
  }
}

TEST(Codec, ScalesOutsideFp16AreHeldAtItsEnds) {
  const std::vector<float> huge = {1e30F, -1e30F, 1};
  const auto largest = decode_rows(encode_rows(weight("int4_g32"), kAbsmax, 1, 3, huge.data()));
  EXPECT_EQ(largest.value(), (std::vector<float>{7 * kFp16Max, -8 * kFp16Max, 0}));
  const std::vector<float> tiny = {0x1p-23F, -0x1p-24F, 0};
  const auto smallest = decode_rows(encode_rows(weight("int4_g32"), kAbsmax, 1, 3, tiny.data()));
  EXPECT_EQ(smallest.value(), tiny);  // 2 and -1 steps of 2^-24
}

TEST(Codec, EveryIntegerCodeDecodes) {
  for (int64_t bits = 2; bits <= 8; ++bits)
    for (const bool asymmetric : {false, true})
      for (int64_t zero = 0; zero < (asymmetric ? int64_t{1} << bits : 1); ++zero) {
        std::vector<uint16_t> codes;
        for (uint16_t code = 0; code < 1 << bits; ++code) codes.push_back(code);
        PackedRows packed{.format = int_format(bits, asymmetric, 0),
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
  const PackedRows good = encode_rows(weight("int3_asym_g32"), Rounding{}, 2, 40, w.data());
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
  EXPECT_EQ(message([](PackedRows& p) { p.format.bits = 9; }),
            "packed format int9_asym_g32 (9 bits, group 32) is not a legal one");
  EXPECT_EQ(message([](PackedRows& p) { p.mask.push_back(1); }),
            "packed int3_asym_g32 of 2 x 40: mask has 1 bytes, want 0");
}

TEST(CodecError, CodesThatMeanNothingAreRefused) {
  const std::vector<float> w(40, 1.0F);
  PackedRows ternary = encode_rows(weight("ternary"), kAbsmax, 1, 40, w.data());
  ternary.payload[3] = 243;
  EXPECT_EQ(decode_rows(ternary).error().message,
            "packed ternary: byte 3 of the payload is 243, want 0..242");
  PackedRows sparse = encode_rows(weight("int4_2:4"), kAbsmax, 1, 40, w.data());
  sparse.mask[1] = 0b0111'0011;
  EXPECT_EQ(decode_rows(sparse).error().message,
            "packed int4_2:4: the mask keeps 3 of elements 12..15 of row 0, want 2");
  PackedRows table = encode_rows(weight("lut4_g32"), kAbsmax, 1, 40, w.data());
  table.levels.pop_back();
  EXPECT_EQ(decode_rows(table).error().message,
            "packed lut4_g32 of 1 x 40: levels has 15 bytes, want 16");
}

}  // namespace
}  // namespace dovetail::formats
