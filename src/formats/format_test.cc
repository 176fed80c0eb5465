#include "formats/format.h"

#include <gtest/gtest.h>

#include <set>

namespace dovetail::formats {
namespace {

WeightFormat weight(std::string_view name) {
  const auto format = parse_weight_format(name);
  EXPECT_TRUE(format.has_value()) << name;
  return format.value_or(WeightFormat{});
}

TEST(FormatNames, EveryFormatReadsBackFromItsName) {
  std::set<std::string> names;
  for (const WeightFormat& format : all_weight_formats()) {
    const std::string name = format_name(format);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(weight(name), format) << name;
  }
  // bf16; int 2..8, ternary, two fp8 in 7 granules; qoq of 3 widths in 3 groups, nf and lut of 2 in
  // 4; six MX; nvfp4.
  EXPECT_EQ(names.size(), 1U + (7 * 2 + 1 + 2) * 7 + 3 * 3 + 2 * 2 * 4 + 6 + 1);
  EXPECT_EQ(format_name(all_weight_formats().front()), "bf16");
  for (const char* name : {"bf16", "int8_token", "fp8_token"})
    EXPECT_EQ(format_name(parse_activation_format(name).value()), name);
  for (const char* name : {"bf16", "int8", "int4"})
    EXPECT_EQ(format_name(parse_kv_format(name).value()), name);
}

TEST(FormatNames, NamesMeanWhatTheySay) {
  EXPECT_EQ(weight("int5_asym_g64"), (WeightFormat{.element = Element::kInt,
                                                   .bits = 5,
                                                   .asymmetric = true,
                                                   .scale = ScaleType::kFp16,
                                                   .group_size = 64}));
  EXPECT_EQ(weight("int8"), int_format(8, false, 0));
  EXPECT_EQ(weight("int7_tensor").group_rows, 0);
  EXPECT_EQ(weight("fp8_e5m2_b128").group_rows, 128);
  EXPECT_EQ(weight("fp8_e5m2_b128").group_size, 128);
  EXPECT_EQ(weight("nvfp4").group_size, 16);
  EXPECT_EQ(weight("mxfp4").group_size, 32);
  EXPECT_EQ(weight("mxint8").scale, ScaleType::kE8m0);
  EXPECT_EQ(weight("int4_qoq_g64").scale, ScaleType::kUint8);
}

TEST(FormatNames, EveryFormatButBf16HasSparseForms) {
  for (WeightFormat format : all_weight_formats()) {
    for (const int64_t of : {4, 8}) {
      format.kept = of / 2;
      format.of = of;
      const std::string name = format_name(format);
      const auto parsed = parse_weight_format(name);
      EXPECT_EQ(parsed.has_value(), format.element != Element::kBf16) << name;
      EXPECT_EQ(is_legal(format), parsed.has_value()) << name;
      if (parsed.has_value()) {
        EXPECT_EQ(*parsed, format) << name;
      }
    }
    format.kept = 1;
    EXPECT_FALSE(is_legal(format));
  }
  EXPECT_EQ(format_name(weight("int4_g128_2:4")), "int4_g128_2:4");
}

TEST(FormatNamesError, UnknownNamesAreRefusedWithTheNearestLegalOne) {
  const auto typo = parse_weight_format("int4g128");
  ASSERT_FALSE(typo.has_value());
  EXPECT_EQ(typo.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(
      typo.error().message.starts_with("weight format = \"int4g128\", want bf16, int{2..8}"))
      << typo.error().message;
  EXPECT_TRUE(typo.error().message.ends_with("(did you mean int4_g128?)"));
  for (const char* name : {"", "int9", "int4_g8", "int4_asym_g", "INT4", "int4_g128 ", "fp8",
                           "int4_3:4", "bf16_2:4", "nf4", "int8_qoq_g128", "mxfp4_g32"})
    EXPECT_FALSE(parse_weight_format(name).has_value()) << name;
  EXPECT_EQ(parse_activation_format("int8").error().message,
            "activation format = \"int8\", want one of bf16, int8_token, fp8_token, int4_token, "
            "int8_static, fp8_static, int8_g128, int8_g64, int8_g32, int4_g128, int4_g64, "
            "int4_g32, mxfp8, mxfp4, nvfp4");
  EXPECT_EQ(parse_kv_format("int9").error().message,
            "kv format = \"int9\", want one of bf16, int8, int4, int3, int2, fp8, nvfp4, int8_c32, "
            "int8_c64, "
            "int8_c128, int4_c32, int4_c64, int4_c128, int3_c32, int3_c64, int3_c128, int2_c32, "
            "int2_c64, int2_c128 (did you mean int8?)");
}

TEST(StoredBits, HandWorkedRows) {
  EXPECT_EQ(stored_bits_per_row(weight("bf16"), 576), 576 * 16);
  EXPECT_EQ(stored_bits_per_row(weight("int4_g128"), 576), 576 * 4 + 5 * 16);
  EXPECT_EQ(stored_bits_per_row(weight("int4_asym_g128"), 576), 576 * 4 + 5 * (16 + 4));
  EXPECT_EQ(stored_bits_per_row(weight("int3_asym"), 576), 576 * 3 + 16 + 3);
  EXPECT_EQ(stored_bits_per_row(weight("fp8_e4m3fn"), 576), 576 * 8 + 32);
  EXPECT_EQ(stored_bits_per_row(weight("mxfp4"), 80), 80 * 4 + 3 * 8);
  EXPECT_EQ(stored_bits_per_row(weight("nvfp4"), 80), 80 * 4 + 5 * 8);
  EXPECT_EQ(stored_bits_per_row(weight("int4_g32"), 0), 0);
  EXPECT_EQ(stored_bits_per_row(weight("int4_tensor"), 576), 576 * 4);
  EXPECT_EQ(stored_bits_per_row(weight("fp8_e4m3fn_b128"), 576), 576 * 8 + 2);  // 5 * 32 / 128
  EXPECT_EQ(stored_bits_per_row(weight("int4_qoq_g128"), 576), 576 * 4 + 5 * (8 + 4) + 16);
  EXPECT_EQ(stored_bits_per_row(weight("ternary_g64"), 576), 116 * 8 + 9 * 16);  // five a byte
  EXPECT_EQ(stored_bits_per_row(weight("mxfp6_e3m2"), 64), 64 * 6 + 2 * 8);
  EXPECT_EQ(stored_bits_per_row(weight("int4_g64_2:4"), 64), 32 * 4 + 64 + 16);
  EXPECT_EQ(stored_bits_per_row(weight("int4_4:8"), 70), (32 + 4) * 4 + 70 + 16);
  EXPECT_EQ(element_bits(ActivationFormat::kBf16), 16);
  EXPECT_EQ(element_bits(ActivationFormat::kInt8Token), 8);
  EXPECT_EQ(element_bits(ActivationFormat::kFp8Token), 8);
  EXPECT_EQ(element_bits(ActivationFormat::kInt4G64), 4);
}

}  // namespace
}  // namespace dovetail::formats
