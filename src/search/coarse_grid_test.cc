#include "search/coarse_grid.h"

#include <gtest/gtest.h>

#include <set>

#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

TEST(CoarseGrid, CorrectnessItsChipsAreChipsOfTheSpace) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Space space = synthetic::random_space(seed);
    space.clock_mhz = {600, 700, 800, 900, 1000};
    for (const int64_t most : {1, 7, 60, 1000, 1'000'000}) {
      const CoarseGrid grid = coarse_grid(space, most);
      // Format sets stay, whatever is asked.
      EXPECT_LE(num_chips(grid.space), std::max<int64_t>(most, 2));
      std::set<int64_t> seen;
      for (int64_t i = 0; i < num_chips(grid.space); ++i) {
        const int64_t index = whole_index(grid, space, i);
        chip::Chip chip = chip_at(grid.space, i);
        chip.name = chip_at(space, index).name;
        EXPECT_EQ(to_json(chip), to_json(chip_at(space, index)));
        EXPECT_TRUE(seen.insert(index).second);
      }
    }
    EXPECT_EQ(num_chips(coarse_grid(space, num_chips(space)).space), num_chips(space));
  }
}

TEST(CoarseGrid, CorrectnessKeepsBothEndsOfAList) {
  Space space = synthetic::random_space(1);
  space.clock_mhz = {600, 650, 700, 750, 800, 850, 900, 950, 1000};
  const CoarseGrid grid = coarse_grid(space, num_chips(space) / 4);
  ASSERT_GE(grid.space.clock_mhz.size(), 2U);
  EXPECT_LT(grid.space.clock_mhz.size(), space.clock_mhz.size());
  EXPECT_EQ(grid.space.clock_mhz.front(), 600);
  EXPECT_EQ(grid.space.clock_mhz.back(), 1000);
}

}  // namespace
}  // namespace dovetail::search
