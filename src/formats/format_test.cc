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
  EXPECT_EQ(names.size(), 1U + 6 * 2 * 4 + 3);
  EXPECT_EQ(format_name(all_weight_formats().front()), "bf16");
  for (const char* name : {"bf16", "int8_token", "fp8_token"})
    EXPECT_EQ(format_name(parse_activation_format(name).value()), name);
  for (const char* name : {"bf16", "int8", "int4"})
    EXPECT_EQ(format_name(parse_kv_format(name).value()), name);
}

TEST(FormatNames, NamesMeanWhatTheySay) {
  EXPECT_EQ(weight("int5_asym_g64"),
            (WeightFormat{
                .family = WeightFamily::kInt, .bits = 5, .asymmetric = true, .group_size = 64}));
  EXPECT_EQ(weight("int8"), (WeightFormat{.family = WeightFamily::kInt, .bits = 8}));
  EXPECT_EQ(weight("nvfp4").group_size, 16);
  EXPECT_EQ(weight("mxfp4").group_size, 32);
}

TEST(FormatNamesError, UnknownNamesAreRefusedWithTheNearestLegalOne) {
  const auto typo = parse_weight_format("int4g128");
  ASSERT_FALSE(typo.has_value());
  EXPECT_EQ(typo.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(typo.error().message,
            "weight format = \"int4g128\", want bf16, int{2,3,4,5,6,8}[_asym][_g{32,64,128}], "
            "fp8_e4m3fn, mxfp4 or nvfp4 (did you mean int4_g128?)");
  for (const char* name : {"", "int7", "int4_g16", "int4_asym_g", "INT4", "int4_g128 ", "fp8"})
    EXPECT_FALSE(parse_weight_format(name).has_value()) << name;
  EXPECT_EQ(parse_activation_format("int8").error().message,
            "activation format = \"int8\", want one of bf16, int8_token, fp8_token");
  EXPECT_EQ(parse_kv_format("int9").error().message,
            "kv format = \"int9\", want one of bf16, int8, int4 (did you mean int8?)");
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
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kBf16, 64), 1024);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt8, 64), 512 + 16 + 8);
  EXPECT_EQ(stored_bits_per_kv_vector(KvFormat::kInt4, 64), 256 + 16 + 4);
  EXPECT_EQ(element_bits(ActivationFormat::kBf16), 16);
  EXPECT_EQ(element_bits(ActivationFormat::kInt8Token), 8);
  EXPECT_EQ(element_bits(ActivationFormat::kFp8Token), 8);
}

}  // namespace
}  // namespace dovetail::formats
