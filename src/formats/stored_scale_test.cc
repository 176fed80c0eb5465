#include "formats/stored_scale.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "formats/element.h"

namespace dovetail::formats {
namespace {

StoredScale nearest(std::string_view format, float outer, float wanted) {
  return nearest_scale(parse_weight_format(format).value(), outer, wanted);
}

// No code of the scale's type lies nearer; found by looking at all of them.
TEST(StoredScale, NoCodeIsNearer) {
  Random random(3);
  for (int i = 0; i < 300; ++i) {
    const auto wanted = static_cast<float>(std::exp(20 * random.uniform() - 12));
    const auto off = [&](float scale) { return std::fabs(scale - wanted); };
    const StoredScale fp16 = nearest("int4_g64", 1, wanted);
    const StoredScale e4m3 = nearest("nvfp4", .01F, wanted);
    const StoredScale whole = nearest("int4_qoq_g64", .02F, wanted);
    EXPECT_EQ(fp16.scale, decode_fp16(static_cast<uint16_t>(fp16.stored)));
    EXPECT_EQ(e4m3.scale, decode_fp8_e4m3fn(static_cast<uint8_t>(e4m3.stored)) * .01F);
    EXPECT_EQ(whole.scale, static_cast<float>(whole.stored) * .02F);
    for (int code = 1; code <= 0x7BFF; ++code)
      ASSERT_LE(off(fp16.scale), off(decode_fp16(static_cast<uint16_t>(code))));
    for (int code = 1; code <= kE4m3LargestCode; ++code)
      ASSERT_LE(off(e4m3.scale),
                off(decode_fp8_e4m3fn(static_cast<uint8_t>(code)) * .01F) * 1.00001F);
    for (int code = 1; code <= 255; ++code)
      ASSERT_LE(off(whole.scale), off(static_cast<float>(code) * .02F) * 1.00001F);
    EXPECT_EQ(nearest("fp8_e4m3fn", 1, wanted).scale, wanted);
    const float power = nearest("mxfp4", 1, wanted).scale;
    EXPECT_LE(std::fabs(std::log2(power / wanted)), .5F + 1e-6F);
    EXPECT_EQ(power, std::exp2(std::round(std::log2(power))));
  }
}

TEST(StoredScale, SignAndEnds) {
  EXPECT_EQ(nearest("int3_g64", 1, -.5F).scale, -.5F);
  EXPECT_EQ(nearest("int3_asym_g64", 1, -.5F).scale, .5F);
  EXPECT_EQ(nearest("int3_g64", 1, 1e-30F).scale, 0x1p-24F);
  EXPECT_EQ(nearest("int3_g64", 1, 1e9F).scale, 65504.0F);
  EXPECT_EQ(nearest("nvfp4", 1, 1e9F).scale, 448.0F);
  EXPECT_EQ(nearest("mxint8", 1, .25F).scale, .25F);
  EXPECT_EQ(nearest("mxint8", 1, .25F).stored, 131U);  // 2^(131 - 127) steps of 2^-6
}

}  // namespace
}  // namespace dovetail::formats
