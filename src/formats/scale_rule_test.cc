#include "formats/scale_rule.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dovetail::formats {
namespace {

TEST(ScaleRule, EveryGridStartsAtAbsmaxAndFitsTheRank) {
  for (const WeightFormat& format : all_weight_formats()) {
    const auto& factors = scale_factors(format);
    const auto& steps = scale_code_steps(format);
    const std::string name = format_name(format);
    EXPECT_LE(factors.size() + steps.size(), static_cast<size_t>(kMaxCandidates)) << name;
    if (format.element == Element::kBf16) {
      EXPECT_TRUE(factors.empty() && steps.empty());
      continue;
    }
    ASSERT_NE(factors.empty(), steps.empty()) << name;
    if (!factors.empty()) {
      EXPECT_EQ(factors.front(), 1.0F) << name;
    } else {
      EXPECT_EQ(steps.front(), 0) << name;
      EXPECT_TRUE(std::find(steps.begin(), steps.end(), -1) != steps.end()) << name;
    }
  }
}

TEST(ScaleRule, IntegerGridsReachDeeperForFewerBitsAndWholeRows) {
  float group_end = 0;
  float row_end = 0;
  for (int64_t bits = 2; bits <= 8; ++bits) {
    const auto group = scale_factors(int_format(bits, false, 64));
    const auto row = scale_factors(int_format(bits, false, 0));
    EXPECT_TRUE(std::is_sorted(group.rbegin(), group.rend()));
    EXPECT_LT(row.back(), group.back());
    EXPECT_GT(group.back(), group_end);
    EXPECT_GT(row.back(), row_end);
    group_end = group.back();
    row_end = row.back();
  }
}

}  // namespace
}  // namespace dovetail::formats
