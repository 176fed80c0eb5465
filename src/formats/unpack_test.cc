#include "formats/unpack.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/random.h"

namespace dovetail::formats {
namespace {

// Every code of every format, NaN and infinity included: random payloads against the golden codec.
TEST(UnpackRows, RandomBytesDecodeAsTheCodecDecodesThem) {
  Random random(1);
  for (WeightFormat format : all_weight_formats())
    for (const int64_t of : {0, 4})
      for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{5, 33}, {3, 256}, {130, 129}}) {
        if (of > 0 && format.element == Element::kBf16) continue;
        format.kept = of / 2;
        format.of = of;
        std::vector<float> w;
        for (int64_t i = 0; i < rows * k; ++i) w.push_back(static_cast<float>(random.uniform()));
        PackedRows packed = encode_rows(format, {.scale = plain_rule(format)}, rows, k, w.data());
        const bool ternary = format.element == Element::kTernary;
        for (uint8_t& byte : packed.payload)
          byte = static_cast<uint8_t>(random.below(ternary ? 243 : 256));
        const auto golden = decode_rows(packed);
        const auto quick = unpack_rows(packed);
        ASSERT_TRUE(golden.has_value() && quick.has_value());
        for (size_t i = 0; i < golden->size(); ++i)
          ASSERT_EQ(std::bit_cast<uint32_t>((*quick)[i]), std::bit_cast<uint32_t>((*golden)[i]))
              << format_name(format) << " element " << i;
      }
}

TEST(UnpackRows, RefusesWhatTheCodecRefuses) {
  const std::vector<float> w(40, 1.0F);
  PackedRows packed =
      encode_rows(parse_weight_format("int4_g32").value(), Rounding{}, 1, 40, w.data());
  packed.payload.pop_back();
  EXPECT_EQ(unpack_rows(packed).error().message, decode_rows(packed).error().message);
}

}  // namespace
}  // namespace dovetail::formats
