#include "silicon/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <queue>
#include <tuple>

#include "base/random.h"

namespace dovetail::silicon {
namespace {

// When the last micro-batch leaves the last stage. Stages serve in order of arrival; a micro-batch
// begins its next round, at the first stage, when it has left the last. rounds[r][s]: time of
// stage s, of at most eight, in round r.
double walk(const std::vector<std::vector<double>>& rounds, int64_t micro_batches) {
  using Arrival = std::tuple<double, int64_t, size_t, size_t>;  // time, micro-batch, round, stage
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals;
  for (int64_t j = 0; j < micro_batches; ++j) arrivals.emplace(0.0, j, 0, 0);
  const size_t stages = rounds[0].size();
  std::array<double, 8> free_at{};
  double end = 0;
  while (!arrivals.empty()) {
    const auto [time, micro_batch, round, stage] = arrivals.top();
    arrivals.pop();
    const double left = std::max(time, free_at[stage]) + rounds[round][stage];
    free_at[stage] = left;
    end = std::max(end, left);
    if (stage + 1 < stages) {
      arrivals.emplace(left, micro_batch, round, stage + 1);
    } else if (round + 1 < rounds.size()) {
      arrivals.emplace(left, micro_batch, round + 1, 0);
    }
  }
  return end;
}

TEST(PhaseRuns, AreThoseOfAScheduleOfEqualStages) {
  constexpr double kPrefill = 7;  // of a stage
  constexpr double kStep = 0.25;
  for (int64_t stages = 1; stages <= 6; ++stages) {
    for (int64_t micro_batches = 1; micro_batches <= 13; ++micro_batches) {
      const auto width = static_cast<size_t>(stages);
      const auto pass = static_cast<double>(stages);
      const double prefill = prefill_runs(stages, micro_batches).latency * pass * kPrefill;
      const double step = decode_runs(stages, micro_batches).latency * pass * kStep;
      std::vector<std::vector<double>> rounds(1, std::vector<double>(width, kPrefill));
      EXPECT_DOUBLE_EQ(walk(rounds, micro_batches), prefill);
      for (int64_t steps = 1; steps <= 20; ++steps) {
        rounds.emplace_back(width, kStep);
        EXPECT_NEAR(walk(rounds, micro_batches), prefill + static_cast<double>(steps) * step, 1e-9)
            << stages << " " << micro_batches << " " << steps;
      }
    }
  }
}

// Steps that grow with the context leave gaps that add up to at most one pass's growth.
TEST(PhaseRuns, AreCloseForStepsThatGrow) {
  for (int64_t stages = 1; stages <= 5; ++stages) {
    for (int64_t micro_batches = 1; micro_batches <= 9; ++micro_batches) {
      const auto width = static_cast<size_t>(stages);
      const auto pass = static_cast<double>(stages);
      std::vector<std::vector<double>> rounds(1, std::vector<double>(width, 7.0));
      double closed = prefill_runs(stages, micro_batches).latency * pass * 7.0;
      for (int64_t i = 0; i < 50; ++i) {
        const double step = 1 + 0.01 * static_cast<double>(i);
        rounds.emplace_back(width, step);
        closed += decode_runs(stages, micro_batches).latency * pass * step;
      }
      const double literal = walk(rounds, micro_batches);
      EXPECT_GE(literal, closed * (1 - 1e-12)) << stages << " " << micro_batches;
      EXPECT_LE(literal, closed + pass * 0.49 + 1e-9) << stages << " " << micro_batches;
    }
  }
}

// What a stage does not work on while the phase lasts it waits for.
TEST(PhaseRuns, WorkAndWaitingFillAllStages) {
  for (int64_t stages = 1; stages <= 8; ++stages) {
    for (int64_t micro_batches = 1; micro_batches <= 20; ++micro_batches) {
      for (const PhaseRuns& runs :
           {prefill_runs(stages, micro_batches), decode_runs(stages, micro_batches)}) {
        EXPECT_EQ(runs.work, static_cast<double>(micro_batches));
        EXPECT_GE(runs.waiting, 0);
        EXPECT_NEAR(runs.work + runs.waiting, static_cast<double>(stages) * runs.latency, 1e-12);
        const double full = static_cast<double>(std::min(stages, micro_batches));
        const double more = full_over_mean(runs, stages, micro_batches);
        EXPECT_GE(more, 1 - 1e-12);
        EXPECT_NEAR(full / more, runs.work / runs.latency, 1e-12);
      }
    }
  }
  const PhaseRuns alone = prefill_runs(1, 1);
  EXPECT_EQ(std::tuple(alone.latency, alone.work, alone.waiting), std::tuple(1.0, 1.0, 0.0));
}

StageCosts random_costs(Random& random, int64_t layers) {
  StageCosts costs;
  for (int64_t i = 0; i < layers; ++i) costs.layers.push_back(0.5 + random.uniform());
  costs.first = random.uniform();
  costs.last = 3 * random.uniform();
  costs.between = 0.2 * random.uniform();
  return costs;
}

// The least over every way to cut the layers.
double least_by_trying(const StageCosts& costs, std::vector<int64_t>& counts, int64_t stages,
                       int64_t left) {
  if (stages == 1) {
    counts.push_back(left);
    const double largest = costs.largest(counts);
    counts.pop_back();
    return largest;
  }
  double least = 1e30;
  for (int64_t count = 1; count <= left - stages + 1; ++count) {
    counts.push_back(count);
    least = std::min(least, least_by_trying(costs, counts, stages - 1, left - count));
    counts.pop_back();
  }
  return least;
}

TEST(BestPartition, IsTheBestOfAll) {
  Random random(5);
  for (int i = 0; i < 300; ++i) {
    const int64_t layers = 1 + random.below(9);
    const int64_t stages = 1 + random.below(layers);
    const StageCosts costs = random_costs(random, layers);
    const std::vector<int64_t> found = best_partition(costs, stages);
    ASSERT_EQ(std::ssize(found), stages);
    EXPECT_EQ(std::accumulate(found.begin(), found.end(), int64_t{0}), layers);
    EXPECT_GE(*std::ranges::min_element(found), 1);
    std::vector<int64_t> counts;
    const double least = least_by_trying(costs, counts, stages, layers);
    EXPECT_NEAR(costs.largest(found), least, 1e-12);
    EXPECT_GE(least, costs.total(stages) / static_cast<double>(stages) - 1e-12);
  }
}

// The formulas that an uneven pipeline is reported with: exact in prefill, and per decode step once
// the stages are full.
TEST(StageCosts, LargestStageDecidesTheSchedule) {
  Random random(6);
  for (int i = 0; i < 100; ++i) {
    const int64_t stages = 1 + random.below(5);
    const int64_t micro_batches = 1 + random.below(9);
    const auto parts = static_cast<double>(micro_batches);
    std::vector<double> times;
    for (int64_t s = 0; s < stages; ++s) times.push_back(0.5 + random.uniform());
    const double total = std::accumulate(times.begin(), times.end(), 0.0);
    const double largest = *std::ranges::max_element(times);
    const std::vector<std::vector<double>> once(1, times);
    EXPECT_NEAR(walk(once, micro_batches), total + (parts - 1) * largest, 1e-9);
    const std::vector<std::vector<double>> some(100, times);
    const std::vector<std::vector<double>> more(200, times);
    EXPECT_NEAR(walk(more, micro_batches) - walk(some, micro_batches),
                100 * std::max(total, parts * largest), 1e-6);
  }
}

}  // namespace
}  // namespace dovetail::silicon
