#include "compress/code_ladder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/tiny_model.h"
#include "formats/quantize.h"
#include "formats/stored_scale.h"

namespace dovetail::compress {
namespace {

RoundedLinear rounded(const formats::WeightFormat& format, const model::Matrix& w) {
  RoundedLinear made{.format = format, .values = std::vector<float>(w.values.size()), .scales = {}};
  made.scales = formats::choose_scales(format, {}, w.rows, w.cols, w.values.data());
  formats::round_rows(format, formats::Ties::kEven, made.scales, w.rows, w.cols, w.values.data(),
                      made.values.data());
  return made;
}

std::vector<formats::WeightFormat> with_codes() {
  std::vector<formats::WeightFormat> all = formats::all_weight_formats();
  std::erase_if(all, [](const auto& format) { return format.element == formats::Element::kBf16; });
  for (const char* sparse : {"int4_g64_2:4", "mxfp4_4:8"})
    all.push_back(formats::parse_weight_format(sparse).value());
  return all;
}

TEST(CodeLadder, StandsAtItsStartForEveryFormat) {
  Random random(1);
  const model::Matrix w = random_matrix(20, 150, 1.0, random);
  for (const formats::WeightFormat& format : with_codes()) {
    const RoundedLinear start = rounded(format, w);
    const auto ladder = CodeLadder::make(start, w, .5, 1);
    ASSERT_TRUE(ladder.has_value()) << formats::format_name(format) << ladder.error().message;
    std::vector<float> values(w.values.size());
    ladder->write(values);
    EXPECT_EQ(values, start.values) << formats::format_name(format);
    EXPECT_EQ(ladder->scales(), start.scales) << formats::format_name(format);
  }
}

// After steps on gradients of chance: codes of the format, each at most one code from its start.
TEST(CodeLadder, WhatItWritesStaysInTheFormatAndInReach) {
  Random random(2);
  const model::Matrix w = random_matrix(20, 150, 1.0, random);
  for (const formats::WeightFormat& format : with_codes()) {
    const RoundedLinear start = rounded(format, w);
    CodeLadder ladder = CodeLadder::make(start, w, .5, 1).value();
    for (int i = 0; i < 3; ++i) ladder.step(random_values(20 * 150, 1.0, random), .3F, .02F);
    std::vector<float> values(w.values.size());
    ladder.write(values);
    EXPECT_NE(values, start.values) << formats::format_name(format);
    const auto packed =
        formats::encode_with(format, formats::Ties::kEven, ladder.scales(), 20, 150, values.data());
    EXPECT_EQ(formats::decode_rows(packed).value(), values) << formats::format_name(format);
    EXPECT_EQ(formats::unpack_scales(packed).scale, ladder.scales().scale);
    if (!formats::is_sparse(format)) continue;
    for (size_t i = 0; i < values.size(); ++i) EXPECT_TRUE(start.values[i] != 0 || values[i] == 0);
  }
}

// int3_g16: eight codes -4..3, one group a row of four weights.
TEST(CodeLadder, AStepGoesAgainstTheGradient) {
  const model::Matrix w{.rows = 1, .cols = 4, .values = {-.4F, .1F, .24F, .3F}};
  RoundedLinear start{
      .format = formats::parse_weight_format("int3_g16").value(),
      .values = {-.5F, .125F, .25F, .25F},
      .scales = {.row_groups = 1, .groups = 1, .stored = {0x3000}, .scale = {.125F}}};
  CodeLadder ladder = CodeLadder::make(start, w, .5, 1).value();
  // -.4 lies in the cell of -3, so -4 begins at the upper edge; .1, .24, .3 at -.2, -.08, +.4.
  std::vector<float> values(4);
  ladder.step({-1, 1, 1, -1}, .25F, 0);
  ladder.write(values);
  EXPECT_EQ(values, (std::vector<float>{-.375F, .125F, .25F, .375F}));
  ladder.step({1, 1, 1, -1}, .25F, 0);
  ladder.write(values);
  EXPECT_EQ(values, (std::vector<float>{-.5F, 0, .125F, .375F}));
  // The range ends at -4 and 3, and no code goes further than one from its start.
  for (int i = 0; i < 20; ++i) ladder.step({1, -1, 1, -1}, .25F, 0);
  ladder.write(values);
  EXPECT_EQ(values, (std::vector<float>{-.5F, .25F, .125F, .375F}));
  // Of the scale: sum of gradient times value is negative, so it grows; FP16 holds the result.
  ladder.step({-1, 1, 1, 1}, 0, .1F);
  ladder.step({1, -1, -1, -1}, 0, .01F);
  EXPECT_NE(ladder.scales().scale[0], .125F);
  EXPECT_EQ(ladder.scales().scale[0],
            formats::nearest_scale(start.format, 1, ladder.scales().scale[0]).scale);
}

TEST(CodeLadderError, ValuesThatAreNoCodesAndWrongSizesAreRefused) {
  Random random(3);
  const model::Matrix w = random_matrix(4, 32, 1.0, random);
  const auto format = formats::parse_weight_format("int4_g32").value();
  RoundedLinear start = rounded(format, w);
  start.values[33] += .4F * start.scales.scale[1];
  const auto found = CodeLadder::make(start, w, .5, 1);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(found.error().message.find("the value (1, 1) is"), std::string::npos)
      << found.error().message;
  EXPECT_EQ(
      CodeLadder::make({.format = format, .values = {}, .scales = {}}, w, .5, 1).error().message,
      "learned rounding: starts from 0 values and 0 scales, want 4 x 32 and 4");
}

}  // namespace
}  // namespace dovetail::compress
