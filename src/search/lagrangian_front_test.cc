#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "search/allocation.h"
#include "search/allocation_cases.h"

namespace dovetail::search {
namespace {

// Oracle: all choices as (loss, cost) points.
std::vector<FrontPoint> all_points(const AllocationProblem& p) {
  std::vector<FrontPoint> points = {{0, 0}};
  for (size_t s = 0; s + 1 < p.option_begin.size(); ++s) {
    std::vector<FrontPoint> longer;
    for (const FrontPoint& point : points) {
      for (auto j = static_cast<size_t>(p.option_begin[s]);
           j < static_cast<size_t>(p.option_begin[s + 1]); ++j) {
        longer.push_back({point.loss + p.loss[j], point.cost + p.cost[j]});
      }
    }
    points = std::move(longer);
  }
  return points;
}

double lagrangian(const std::vector<FrontPoint>& points, double price) {
  double least = std::numeric_limits<double>::infinity();
  for (const FrontPoint& point : points) least = std::min(least, point.cost + price * point.loss);
  return least;
}

void expect_steps_rebuild_points(const AllocationProblem& p, const LagrangianFront& front) {
  ASSERT_EQ(front.points.size(), front.steps.size() + 1);
  std::vector<int32_t> choice = front.cheapest_choice;
  for (size_t i = 0; i < front.points.size(); ++i) {
    if (i > 0) choice[static_cast<size_t>(front.steps[i - 1].site)] = front.steps[i - 1].option;
    double loss = 0;
    double cost = 0;
    for (size_t s = 0; s < choice.size(); ++s) {
      loss += p.loss[static_cast<size_t>(p.option_begin[s] + choice[s])];
      cost += p.cost[static_cast<size_t>(p.option_begin[s] + choice[s])];
    }
    EXPECT_NEAR(front.points[i].loss, loss, 1e-12 * (1 + loss));
    EXPECT_NEAR(front.points[i].cost, cost, 1e-12 * (1 + cost));
  }
}

TEST(LagrangianFront, IsTheHullOfAllChoices) {
  Random random(3);
  for (int i = 0; i < 400; ++i) {
    const AllocationProblem problem =
        random_problem({.num_sites = static_cast<int32_t>(1 + random.below(5)),
                        .max_options = static_cast<int32_t>(1 + random.below(11)),
                        .correlated = i % 2 == 0,
                        .whole_numbers = i % 3 == 0},
                       random);
    const LagrangianFront front = lagrangian_front(problem);
    expect_steps_rebuild_points(problem, front);
    const std::vector<FrontPoint> points = all_points(problem);
    // The same least value at every price, from far below the flattest step to far above.
    for (double price = 1e-4; price < 1e4; price *= 1.3) {
      EXPECT_NEAR(lagrangian(front.points, price), lagrangian(points, price),
                  1e-9 * (1 + lagrangian(points, price)))
          << "problem " << i << " price " << price;
    }
    for (size_t k = 1; k < front.points.size(); ++k) {
      EXPECT_LT(front.points[k].loss, front.points[k - 1].loss);
      EXPECT_GT(front.points[k].cost, front.points[k - 1].cost);
    }
  }
}

TEST(LagrangianFront, BoundIsNeverAboveTheBestChoiceAndTouchesHullPoints) {
  Random random(4);
  for (int i = 0; i < 200; ++i) {
    const AllocationProblem problem =
        random_problem({.num_sites = 4, .max_options = 6, .whole_numbers = i % 3 == 0}, random);
    const LagrangianFront front = lagrangian_front(problem);
    const std::vector<FrontPoint> points = all_points(problem);
    const double least = front.points.back().loss;
    EXPECT_TRUE(std::isinf(front_bound(front, least * 0.99 - 0.01)));
    for (const FrontPoint& point : front.points) {
      EXPECT_NEAR(front_bound(front, point.loss), point.cost, 1e-9 * (1 + point.cost));
    }
    for (int k = 0; k <= 20; ++k) {
      const double cap = least + (front.points.front().loss * 1.1 - least) * k / 20;
      double best = std::numeric_limits<double>::infinity();
      for (const FrontPoint& point : points) {
        if (point.loss <= cap) best = std::min(best, point.cost);
      }
      EXPECT_LE(front_bound(front, cap), best * (1 + 1e-9));
    }
  }
}

}  // namespace
}  // namespace dovetail::search
