#include "search/chip_pricing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "search/allocation_cases.h"

namespace dovetail::search {
namespace {

// The least priced cost over the options that make_problem spells out, in double precision.
double priced_by_options(const ChipProblem& made, const ChipPrices& prices) {
  const AllocationProblem& p = made.problem;
  double sum = 0;
  for (size_t s = 0; s + 1 < p.option_begin.size(); ++s) {
    double least = 1e300;
    for (auto j = static_cast<size_t>(p.option_begin[s]);
         j < static_cast<size_t>(p.option_begin[s + 1]); ++j) {
      least = std::min(least, p.cost[j] + prices.loss * p.loss[j] + prices.sram * p.sram_bytes[j] +
                                  prices.dram * p.dram_bytes[j]);
    }
    sum += least;
  }
  return sum;
}

TEST(ChipPricing, FindsTheCheapestChoiceAtAnyPrices) {
  Random random(8);
  for (int i = 0; i < 120; ++i) {
    model::ModelShape shape = smollm2_shape();
    shape.num_layers = 1 + random.below(40);  // below, at and above whole vectors
    LossTable losses = case_losses(shape, random);
    for (auto& row : losses.loss) {
      for (size_t t = 1; t < row.size(); ++t) {
        if (random.uniform() < 0.1) row[t] = kForbidden;
      }
    }
    const ResidencyLevels levels = residency_levels(shape);
    const double mib = i % 4 == 0 ? 0 : 0.1 * std::exp(8 * random.uniform());
    const silicon::CostTable table = case_costs(shape, mib * 1024 * 1024, random);
    ChipPricing pricing(losses, levels);
    pricing.load(table, Metric::kLatency);
    ASSERT_TRUE(pricing.executable());
    const auto made = make_problem(table, Metric::kLatency, losses, levels, 1);
    ASSERT_TRUE(made.has_value());
    const ChipPrices prices{.loss = 1e7 * std::exp(4 * random.uniform()),
                            .sram = i % 3 == 0 ? 0 : 0.03 * random.uniform(),
                            .dram = i % 5 == 0 ? 0.01 * random.uniform() : 0};
    ChipChoice choice;
    ChipSums sums;
    const double priced = pricing.price(prices, choice, sums);
    const double expected = priced_by_options(*made, prices);
    EXPECT_NEAR(priced, expected, ChipPricing::kRounding * expected) << "case " << i;
    ChipSums added;
    for (int32_t s = 0; s < static_cast<int32_t>(choice.size()); ++s) {
      const ChipSums part = pricing.sums_of(s, choice[static_cast<size_t>(s)]);
      added.cost += part.cost;
      added.loss += part.loss;
      added.sram_bytes += part.sram_bytes;
    }
    EXPECT_NEAR(sums.cost, added.cost, 1e-9 * added.cost);
    EXPECT_NEAR(sums.loss, added.loss, 1e-9 * (1 + added.loss));
    EXPECT_NEAR(sums.sram_bytes, added.sram_bytes, 1e-6);
  }
}

TEST(ChipPricing, NearOptionsAreThoseWithinTheDistance) {
  Random random(9);
  const model::ModelShape shape = smollm2_shape();
  const LossTable losses = case_losses(shape, random);
  const ResidencyLevels levels = residency_levels(shape);
  const silicon::CostTable table = case_costs(shape, 8e6, random);
  ChipPricing pricing(losses, levels);
  pricing.load(table, Metric::kEnergy);
  const ChipPrices prices{.loss = 1e9, .sram = 5, .dram = 0};
  ChipChoice best;
  ChipSums sums;
  const double priced = pricing.price(prices, best, sums);
  const double distance = 1e-4 * priced;
  std::vector<NearOption> near;
  pricing.near_options(distance, best, near);
  size_t expected = 0;
  for (int32_t s = 0; s < pricing.num_sites(); ++s) {
    const auto priced_at = [&](int32_t t, double share) {
      const ChipSums at = pricing.sums_at(s, t, share);
      return at.cost + prices.loss * at.loss + prices.sram * at.sram_bytes;
    };
    const int32_t code = best[static_cast<size_t>(s)];
    const double least = priced_at(code / 2, code % 2 * pricing.largest_share(s, code / 2));
    const auto kind = pricing.kind_of(s);
    for (int32_t t = 0; t < static_cast<int32_t>(table.sites[kind].bytes.size()); ++t) {
      if (table.sites[kind].energy_pj[static_cast<size_t>(t)] >= silicon::kIllegal) continue;
      const double above =
          std::min(priced_at(t, 0), priced_at(t, pricing.largest_share(s, t))) - least;
      if (above <= distance) ++expected;
    }
  }
  EXPECT_GT(expected, static_cast<size_t>(pricing.num_sites()));
  EXPECT_NEAR(static_cast<double>(near.size()), static_cast<double>(expected),
              1);  // float rounding
}

}  // namespace
}  // namespace dovetail::search
