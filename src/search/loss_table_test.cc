#include "search/loss_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace dovetail::search {
namespace {

using ::testing::HasSubstr;

// One layer, three linear treatments, two of kv: loss[s][t] = 10 s + t, bf16 0.
LossTable small_table() {
  LossTable table{.num_layers = 1, .menu = {}, .loss = {}};
  table.menu.linear.resize(3);
  table.menu.kv.resize(2);
  for (int64_t s = 0; s < table.num_sites(); ++s) {
    std::vector<double> row;
    for (int64_t t = 0; t < table.menu.size(site_kind(table, s)); ++t) {
      row.push_back(t == 0 ? 0.0 : static_cast<double>(10 * s + t));
    }
    table.loss.push_back(row);
  }
  return table;
}

TEST(LossTable, CorrectnessKindsFollowTheSiteOrder) {
  const LossTable table = small_table();
  EXPECT_EQ(site_kind(table, 0), recipe::SiteKind::kAttnQkv);
  EXPECT_EQ(site_kind(table, 4), recipe::SiteKind::kKv);
  EXPECT_EQ(site_kind(table, 5), recipe::SiteKind::kHead);
  EXPECT_TRUE(check_loss_table(table).has_value());
}

TEST(LossTable, CorrectnessFrozenAllowsOneTreatmentPerSite) {
  const LossTable table = small_table();
  const std::vector<int32_t> choice = {0, 1, 2, 1, 1, 2};
  const LossTable only = frozen(table, choice);
  EXPECT_EQ(total_loss(table, choice), 0 + 11 + 22 + 31 + 41 + 52);
  EXPECT_EQ(total_loss(only, choice), total_loss(table, choice));
  for (size_t s = 0; s < choice.size(); ++s) {
    for (size_t t = 0; t < only.loss[s].size(); ++t) {
      EXPECT_EQ(std::isfinite(only.loss[s][t]), static_cast<int32_t>(t) == choice[s]);
    }
  }
  EXPECT_TRUE(check_loss_table(only).has_value());
  EXPECT_TRUE(std::isinf(total_loss(only, {1, 1, 2, 1, 1, 2})));
}

TEST(LossTable, ErrorNamesTheEntry) {
  LossTable table = small_table();
  table.loss[3][1] = -1;
  auto status = check_loss_table(table);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.error().message, HasSubstr("loss[3][1] = -1"));
  table = small_table();
  table.loss[4].push_back(1);
  EXPECT_THAT(check_loss_table(table).error().message, HasSubstr("the menu of kv"));
  table = small_table();
  table.loss[5].assign(3, kForbidden);
  EXPECT_THAT(check_loss_table(table).error().message, HasSubstr("forbids every"));
  table = small_table();
  table.loss.pop_back();
  EXPECT_THAT(check_loss_table(table).error().message, HasSubstr("want 6"));
}

}  // namespace
}  // namespace dovetail::search
