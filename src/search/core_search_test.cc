#include "search/core_search.h"

#include <gtest/gtest.h>

namespace dovetail::search {
namespace {

CoreSearch two_sites(int chosen_first, int chosen_second) {
  CoreSearch core;
  core.reset(2, 1.0, {0.1, 0, 0}, {1, 1, 1});
  // Site 0: dear without use, cheap with much. Site 1: the same, smaller.
  core.add({.site = 0, .label = 0, .cost = 5, .reduced_cost = 0.2, .use = {0, 0, 0}},
           chosen_first == 0);
  core.add({.site = 1, .label = 2, .cost = 3, .reduced_cost = 0.1, .use = {0, 0, 0}},
           chosen_second == 0);
  core.add({.site = 0, .label = 1, .cost = 1, .reduced_cost = 0, .use = {0.8, 0, 0}},
           chosen_first == 1);
  core.add({.site = 1, .label = 3, .cost = 2, .reduced_cost = 0, .use = {0.6, 0, 0}},
           chosen_second == 1);
  return core;
}

std::vector<int32_t> labels(const CoreSearch& core) {
  std::vector<int32_t> result;
  core.visit_choice([&](const CoreOption& option) { result.push_back(option.label); });
  return result;
}

TEST(CoreSearch, TakesTheLargestSavingThatFits) {
  CoreSearch core = two_sites(0, 0);
  EXPECT_TRUE(core.feasible());
  core.improve(0, 0);
  EXPECT_EQ(labels(core), (std::vector<int32_t>{1, 2}));
  EXPECT_DOUBLE_EQ(core.cost(), 5);
}

TEST(CoreSearch, ExchangesTwoWhereOneDoesNotFit) {
  CoreSearch core = two_sites(0, 1);  // full enough that site 0 has no room
  core.improve(0, 0);
  EXPECT_EQ(labels(core), (std::vector<int32_t>{0, 3}));
  core.improve(0, 1);
  EXPECT_EQ(labels(core), (std::vector<int32_t>{1, 2}));
}

TEST(CoreSearch, StopsWhenGoodEnough) {
  CoreSearch core = two_sites(0, 1);
  core.improve(10, 5);
  EXPECT_EQ(labels(core), (std::vector<int32_t>{0, 3}));
}

TEST(CoreSearch, RepairsByTheLeastReducedCostPerViolation) {
  CoreSearch core = two_sites(1, 1);  // 1.5 of 1
  EXPECT_FALSE(core.feasible());
  EXPECT_TRUE(core.repair());
  EXPECT_EQ(labels(core), (std::vector<int32_t>{1, 2}));
}

TEST(CoreSearch, SaysWhenItCannotRepair) {
  CoreSearch core;
  core.reset(1, 0, {1.5, 0, 0}, {1, 1, 1});
  core.add({.site = 0, .label = 0, .cost = 1, .use = {0.1, 0, 0}}, true);
  core.add({.site = 0, .label = 1, .cost = 1, .use = {0, 0, 0}}, false);
  EXPECT_FALSE(core.repair());
}

}  // namespace
}  // namespace dovetail::search
