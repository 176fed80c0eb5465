#include "compress/spread_rows.h"

#include <gtest/gtest.h>

namespace dovetail::compress {
namespace {

TEST(SpreadRows, AreTheEndsOfEqualStretches) {
  EXPECT_EQ(spread_rows(8, 4), (std::vector<int64_t>{1, 3, 5, 7}));
  EXPECT_EQ(spread_rows(7, 3), (std::vector<int64_t>{1, 3, 6}));
  EXPECT_EQ(spread_rows(5, 1), (std::vector<int64_t>{4}));
  EXPECT_EQ(spread_rows(3, 9), (std::vector<int64_t>{0, 1, 2}));
}

TEST(PickRows, TakesThemInOrder) {
  const model::Matrix from{.rows = 3, .cols = 2, .values = {1, 2, 3, 4, 5, 6}};
  const model::Matrix picked = pick_rows(from, {2, 0});
  EXPECT_EQ(picked.rows, 2);
  EXPECT_EQ(picked.cols, 2);
  EXPECT_EQ(picked.values, (std::vector<float>{5, 6, 1, 2}));
}

}  // namespace
}  // namespace dovetail::compress
