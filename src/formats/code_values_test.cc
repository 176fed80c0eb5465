#include "formats/code_values.h"

#include <gtest/gtest.h>

#include "formats/codec.h"
#include "formats/quantize.h"

namespace dovetail::formats {
namespace {

std::vector<float> of(std::string_view name) {
  return code_values(parse_weight_format(name).value());
}

TEST(CodeValues, AreThoseOfTheSpecifications) {
  EXPECT_EQ(of("int2_g64"), (std::vector<float>{-2, -1, 0, 1}));
  EXPECT_EQ(of("int2_asym_g64"), (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(of("ternary"), (std::vector<float>{-1, 0, 1}));
  EXPECT_EQ(of("mxfp4"),
            (std::vector<float>{-6, -4, -3, -2, -1.5F, -1, -.5F, 0, .5F, 1, 1.5F, 2, 3, 4, 6}));
  EXPECT_EQ(of("fp8_e4m3fn").size(), 253U);  // 2 x 126 magnitudes and one zero
  EXPECT_EQ(of("fp8_e4m3fn").back(), 448.0F);
  EXPECT_EQ(of("mxint8").size(), 255U);
  EXPECT_EQ(of("nf4_g64").size(), 16U);
  EXPECT_TRUE(of("bf16").empty());
}

// Every value of the list, and none beside them, is what rounding of a fine grid gives.
TEST(CodeValues, AreWhatRoundingGives) {
  for (const WeightFormat& format : all_weight_formats()) {
    if (format.element == Element::kBf16) continue;
    const Levels fitted = format.element == Element::kTable ? normal_levels(format.bits) : Levels{};
    const std::vector<float> values = code_values(format, fitted);
    const int64_t k = std::ssize(values);
    MatrixScales scales{.row_groups = 1,
                        .groups = num_groups(format, k),
                        .stored = {},
                        .scale = std::vector<float>(static_cast<size_t>(num_groups(format, k)), 1),
                        .levels = fitted};
    scales.stored.resize(scales.scale.size());
    if (format.asymmetric) scales.zero.assign(scales.scale.size(), 0);
    std::vector<float> nudged = values;
    for (size_t i = 1; i < nudged.size(); ++i) {
      EXPECT_LT(values[i - 1], values[i]) << format_name(format);
      nudged[i] -= .3F * (values[i] - values[i - 1]);
    }
    std::vector<float> rounded(values.size());
    round_rows(format, Ties::kEven, scales, 1, k, nudged.data(), rounded.data());
    EXPECT_EQ(rounded, values) << format_name(format);
  }
}

}  // namespace
}  // namespace dovetail::formats
