#include "formats/rounding.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dovetail::formats {
namespace {

TEST(Rounding, NamesComeBackAndOthersAreRefused) {
  for (const ScaleRule rule : {ScaleRule::kAbsmax, ScaleRule::kMse, ScaleRule::kFloor,
                               ScaleRule::kRceil, ScaleRule::kCeil, ScaleRule::kEven})
    EXPECT_EQ(parse_scale_rule(rule_name(rule)).value(), rule);
  for (const Ties ties : {Ties::kEven, Ties::kAway, Ties::kZero})
    EXPECT_EQ(parse_ties(rule_name(ties)).value(), ties);
  for (const ZeroBlock rule : {ZeroBlock::kSmallest, ZeroBlock::kOne})
    EXPECT_EQ(parse_zero_block(rule_name(rule)).value(), rule);
  EXPECT_EQ(
      parse_scale_rule("flor").error().message,
      "scale_rule = \"flor\", want one of absmax, mse, floor, rceil, ceil, even (did you mean "
      "floor?)");
  EXPECT_EQ(parse_ties("up").error().message, "ties = \"up\", want one of even, away, zero");
  EXPECT_FALSE(parse_zero_block("").has_value());
}

TEST(Rounding, PowersOfTwoHaveRulesOfTheirOwn) {
  for (const WeightFormat& format : all_weight_formats()) {
    const auto rules = legal_rules(format);
    EXPECT_EQ(rules.front(), plain_rule(format));
    EXPECT_TRUE(std::ranges::find(rules, ScaleRule::kMse) != rules.end());
    const bool powers = format.scale == ScaleType::kE8m0;
    EXPECT_EQ(std::ranges::find(rules, ScaleRule::kRceil) != rules.end(), powers);
    EXPECT_EQ(std::ranges::find(rules, ScaleRule::kAbsmax) != rules.end(), !powers);
  }
}

}  // namespace
}  // namespace dovetail::formats
