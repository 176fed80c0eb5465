#include "search/price_master.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace dovetail::search {
namespace {

// Oracle for one limit: the best mixture of two columns, by trying all pairs.
double value_by_pairs(const std::vector<PriceColumn>& columns, double limit) {
  double best = std::numeric_limits<double>::infinity();
  for (const PriceColumn& a : columns) {
    if (a.use[0] <= limit) best = std::min(best, a.cost);
    for (const PriceColumn& b : columns) {
      if (a.use[0] > limit || b.use[0] <= limit) continue;
      const double share = (limit - a.use[0]) / (b.use[0] - a.use[0]);
      best = std::min(best, a.cost + share * (b.cost - a.cost));
    }
  }
  return best;
}

TEST(PriceMaster, MatchesTheBestMixtureOfTwo) {
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    PriceMaster master;
    master.reset(1, {1, 0, 0}, 1e5);
    std::vector<PriceColumn> columns = {{.cost = 3, .use = {0.9, 0, 0}}};
    master.add(columns[0]);
    for (int k = 0; k < 12; ++k) {
      columns.push_back({.cost = 3 * random.uniform(), .use = {2 * random.uniform(), 0, 0}});
      master.add(columns.back());
      if (k % 3 == 0) master.solve();
    }
    master.solve();
    EXPECT_NEAR(master.value(), value_by_pairs(columns, 1), 1e-9);
  }
}

// With more limits: the prices prove the value from below, the mixture from above.
TEST(PriceMaster, PricesAndMixtureAgree) {
  Random random(6);
  for (int i = 0; i < 300; ++i) {
    PriceMaster master;
    master.reset(3, {1, 1, 1}, 1e5);
    std::vector<PriceColumn> columns = {{.cost = 5, .use = {0.2, 0.2, 0.2}}};
    for (int k = 0; k < 20; ++k) {
      columns.push_back(
          {.cost = 3 * random.uniform(),
           .use = {2 * random.uniform(), 2 * random.uniform(), 2 * random.uniform()}});
    }
    for (const PriceColumn& column : columns) master.add(column);
    master.solve();
    double from_below = std::numeric_limits<double>::infinity();
    for (const PriceColumn& column : columns) {
      double priced = column.cost;
      for (size_t l = 0; l < 3; ++l) {
        EXPECT_GE(master.prices()[l], 0);
        priced += master.prices()[l] * (column.use[l] - 1);
      }
      from_below = std::min(from_below, priced);
    }
    double cost = 0;
    double weight = 0;
    Use use = {};
    for (const PriceMaster::Weighted& w : master.basis()) {
      const PriceColumn& column = columns[static_cast<size_t>(w.column)];
      EXPECT_GE(w.weight, 0);
      weight += w.weight;
      cost += w.weight * column.cost;
      for (size_t l = 0; l < 3; ++l) use[l] += w.weight * column.use[l];
    }
    EXPECT_NEAR(weight, 1, 1e-9);
    for (const double u : use) EXPECT_LE(u, 1 + 1e-9);
    EXPECT_NEAR(cost, from_below, 1e-8);
    EXPECT_NEAR(master.value(), cost, 1e-9);
  }
}

TEST(PriceMaster, WithoutFeasibleColumnsTheArtificialOneRemains) {
  PriceMaster master;
  master.reset(1, {1, 0, 0}, 1e5);
  master.add({.cost = 1, .use = {2, 0, 0}});
  master.solve();
  EXPECT_GT(master.value(), 1e4);
}

}  // namespace
}  // namespace dovetail::search
