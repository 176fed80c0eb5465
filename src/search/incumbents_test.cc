#include "search/incumbents.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/random.h"

namespace dovetail::search {
namespace {

std::vector<SweepEntry> random_entries(uint64_t seed, int64_t count) {
  Random random(seed);
  std::vector<SweepEntry> entries;
  for (int64_t i = 0; i < count; ++i) {
    SweepEntry entry{.chip_index = i};
    // Few distinct values, so that ties happen.
    entry.area_mm2 = 1.0 + static_cast<double>(random.below(60)) * 0.05;
    entry.upper = (10.0 + static_cast<double>(random.below(40))) / entry.area_mm2;
    entry.lower = entry.upper * (0.9 + 0.1 * random.uniform());
    entry.factor = entry.area_mm2;
    entries.push_back(entry);
  }
  return entries;
}

std::vector<int64_t> indices(const std::vector<SweepEntry>& entries) {
  std::vector<int64_t> result;
  for (const SweepEntry& entry : entries) result.push_back(entry.chip_index);
  return result;
}

TEST(Ranking, CorrectnessEqualsSortingWhateverTheOrder) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::vector<SweepEntry> entries = random_entries(seed, 200);
    std::vector<SweepEntry> sorted = entries;
    std::ranges::sort(sorted, better);
    Ranking forward(7);
    Ranking pruned(7);
    for (const SweepEntry& entry : entries) forward.add(entry);
    std::ranges::reverse(entries);
    for (const SweepEntry& entry : entries) {
      if (!pruned.closed_to(entry.factor * entry.lower, entry.area_mm2)) pruned.add(entry);
    }
    sorted.resize(7);
    EXPECT_EQ(indices(forward.entries()), indices(sorted));
    EXPECT_EQ(indices(pruned.entries()), indices(sorted));
  }
}

TEST(Ranking, CorrectnessImpossibleEntriesStayOut) {
  Ranking ranking(2);
  ranking.add({.chip_index = 1, .upper = std::numeric_limits<double>::infinity()});
  EXPECT_TRUE(ranking.entries().empty());
  EXPECT_FALSE(ranking.closed_to(1e30, 1));
  EXPECT_TRUE(ranking.closed_to(std::numeric_limits<double>::infinity(), 1));
}

// By definition, from all entries at once.
std::vector<int64_t> staircase_by_definition(const std::vector<SweepEntry>& entries,
                                             double epsilon) {
  const auto cell = [epsilon](double value) {
    return static_cast<int64_t>(std::floor(std::log(value) / std::log1p(epsilon)));
  };
  std::vector<std::tuple<int64_t, int64_t>> kept;
  for (const SweepEntry& a : entries) {
    bool beaten = false;
    for (const SweepEntry& b : entries) {
      const bool same = cell(a.area_mm2) == cell(b.area_mm2) && cell(a.upper) == cell(b.upper);
      beaten = beaten ||
               (!same && cell(b.area_mm2) <= cell(a.area_mm2) && cell(b.upper) <= cell(a.upper));
      beaten = beaten || (same && std::make_tuple(b.upper, b.area_mm2, b.chip_index) <
                                      std::make_tuple(a.upper, a.area_mm2, a.chip_index));
    }
    if (!beaten) kept.emplace_back(cell(a.area_mm2), a.chip_index);
  }
  std::ranges::sort(kept);
  std::vector<int64_t> result;
  for (const auto& [column, index] : kept) result.push_back(index);
  return result;
}

TEST(Staircase, CorrectnessEqualsTheDefinitionWithAndWithoutPruning) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    std::vector<SweepEntry> entries = random_entries(seed, 150);
    const std::vector<int64_t> wanted = staircase_by_definition(entries, 0.05);
    ASSERT_GT(wanted.size(), 2U);
    Staircase all(1.0, 4.0, 0.05);
    Staircase pruned(1.0, 4.0, 0.05);
    for (const SweepEntry& entry : entries) all.add(entry);
    std::ranges::reverse(entries);
    int64_t skipped = 0;
    for (const SweepEntry& entry : entries) {
      if (pruned.closed_to(entry.lower, entry.area_mm2)) {
        ++skipped;
      } else {
        pruned.add(entry);
      }
    }
    EXPECT_EQ(indices(all.entries()), wanted);
    EXPECT_EQ(indices(pruned.entries()), wanted);
    EXPECT_GT(skipped, 0);
  }
}

}  // namespace
}  // namespace dovetail::search
