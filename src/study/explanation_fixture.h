// A small study without a model, for shadow prices and tornado, and the slow way to their answers:
// every chip of the space solved on its own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/paths.h"
#include "base/test_folder.h"
#include "search/budget_check.h"
#include "search/synthetic_case.h"
#include "study/scenario.h"

namespace dovetail::study {

namespace synthetic = search::synthetic;

// The slow way closes every chip of the space, so not further than this.
inline constexpr double kGapFrac = 3e-3;
inline constexpr double kTolerance = 5e-3;
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

class ExplanationTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const auto seed = static_cast<uint64_t>(GetParam());
    auto technology = silicon::Technology::load(data_folder() + "/technology");
    ASSERT_TRUE(technology.has_value());
    state_.technology = *technology;
    folder_ = test_folder() / "explanation";
    std::filesystem::create_directories(folder_);
    auto memory = Memory::open((folder_ / "study.db").string(), (folder_ / "shared.db").string());
    ASSERT_TRUE(memory.has_value()) << memory.error().message;
    state_.memory = std::make_unique<Memory>(std::move(*memory));
    state_.config.space = synthetic::random_space(seed);
    state_.config.budget = synthetic::edge_budget();
    ProductState product;
    product.config.name = "p";
    product.shape = synthetic::small_shape(8);
    product.workload = {.name = "w", .prompt_tokens = 64, .output_tokens = 16};
    product.losses = synthetic::make_losses(product.shape, synthetic::small_menu(), seed);
    auto costs = silicon::CostModel::create(product.shape, product.workload, product.losses.menu,
                                            state_.technology);
    ASSERT_TRUE(costs.has_value());
    product.costs = std::make_unique<silicon::CostModel>(std::move(*costs));
    state_.products.push_back(std::move(product));
    answer_.objective = {search::Metric::kLatency, search::Scale::kNone};
    answer_.joint.settled.predicted_cap = 0.05;
    // A budget that binds: what the best chip needs, less a little.
    const double area = best_chip(state_.technology, state_.config.budget).limits.area_mm2;
    state_.config.budget.max_area_mm2 = area * 0.97;
    answer_.joint.settled.candidate = best_chip(state_.technology, state_.config.budget);
    answer_.joint.settled.feasible = std::isfinite(answer_.joint.settled.candidate.objective);
    ASSERT_TRUE(answer_.joint.settled.feasible);
  }

  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The slow way: no sweep, no pruning, no seeds.
  search::Candidate best_chip(const silicon::Technology& technology, const search::Budget& budget) {
    auto costs = silicon::CostModel::create(state_.products[0].shape, state_.products[0].workload,
                                            state_.products[0].losses.menu, technology);
    EXPECT_TRUE(costs.has_value());
    std::vector<search::Product> products = search_products(state_);
    products[0].costs = &*costs;
    search::Candidate best;
    best.objective = kInfinity;
    for (int64_t i = 0; i < search::num_chips(*state_.config.space); ++i) {
      const chip::Chip chip = search::chip_at(*state_.config.space, i);
      if (!chip::check_chip(chip).has_value()) continue;
      auto found = search::solve_on_chip(
          products, chip, {answer_.objective, answer_.joint.settled.predicted_cap}, kGapFrac);
      EXPECT_TRUE(found.has_value());
      if (!std::isfinite(found->objective) || found->objective >= best.objective) continue;
      const auto broken = search::broken_limit(products, *found, budget);
      EXPECT_TRUE(broken.has_value());
      if (!broken->empty()) continue;
      best = std::move(*found);
      best.chip_index = i;
    }
    return best;
  }

  std::filesystem::path folder_;
  StudyState state_;
  ScenarioAnswer answer_;
};

}  // namespace dovetail::study
