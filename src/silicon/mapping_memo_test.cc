#include "silicon/mapping_memo.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/random.h"
#include "silicon/random_points.h"

namespace dovetail::silicon {
namespace {

using testing::pick;

struct Case {
  MapperProblem problem;
  MapperRoom room;
};

// Few values of each, so that many cases share a list.
Case random_case(Random& random) {
  return {.problem = {.m = pick<int64_t>(random, {1, 7, 64}),
                      .n = pick<int64_t>(random, {5, 48}),
                      .tile_cycles = pick<double>(random, {4, 8}),
                      .weight_row_bytes = pick<double>(random, {24, 40.5}),
                      .input_row_bytes = pick<double>(random, {16, 32}),
                      .inputs_in_dram = random.below(2) == 0,
                      .weights_in_sram = random.below(2) == 0,
                      .decodes = random.below(2) == 0,
                      .other_dram_bytes = pick<double>(random, {0, 100}),
                      .other_sram_bytes = pick<double>(random, {0, 100})},
          .room = {.cores = pick<int64_t>(random, {1, 2, 4}),
                   .rows = pick<int64_t>(random, {1, 4}),
                   .cols = pick<int64_t>(random, {2, 4}),
                   .block_tiles = pick<int64_t>(random, {1, 6, 1000}),
                   .hides_drain = random.below(2) == 0,
                   .weight_buffer = pick<double>(random, {0, 90, 100, 700, 3000}),
                   .input_buffer = pick<double>(random, {0, 70, 80, 1000}),
                   .hold = pick<double>(random, {-100, 0, 50, 300, 900, 5000}),
                   .block_fill_cycles = pick<double>(random, {0, 5})}};
}

void expect_same(const MappingList& list, const std::vector<MappedCost>& set) {
  constexpr size_t kLanes = MappingGroup::kLanes;
  ASSERT_EQ(list.count, (set.size() + kLanes - 1) / kLanes);
  for (size_t i = 0; i < list.count * kLanes; ++i) {
    const MappingGroup& group = list.groups[i / kLanes];
    const MappingCost& cost = set[std::min(i, set.size() - 1)].cost;
    ASSERT_EQ(group.compute_cycles[i % kLanes], cost.compute_cycles);
    ASSERT_EQ(group.m_blocks[i % kLanes], cost.m_blocks);
    ASSERT_EQ(group.decoded_rows[i % kLanes], cost.decoded_rows);
    ASSERT_EQ(group.dram_bytes[i % kLanes], cost.dram_bytes);
    ASSERT_EQ(group.sram_bytes[i % kLanes], cost.sram_bytes);
  }
}

TEST(MappingMemo, GivesTheListsOfTheRoomAsItIs) {
  Random random(1);
  MappingMemo memo(size_t{64} << 20);
  OwnLists own;
  std::vector<MappedCost> set;
  constexpr int kCases = 100000;
  for (int i = 0; i < kCases; ++i) {
    const Case c = random_case(random);
    pareto_mappings(c.problem, c.room, set);
    expect_same(memo.list(c.problem, c.room, own), set);
    if (HasFatalFailure()) FAIL() << i;
  }
  EXPECT_TRUE(own.empty());
  EXPECT_LT(memo.size(), kCases);  // it remembers some
}

TEST(MappingMemo, AUsefulRoomIsSharedByRoomsThatAllowTheSame) {
  const MapperProblem problem = {
      .m = 1, .n = 8, .tile_cycles = 1, .weight_row_bytes = 10, .input_row_bytes = 10};
  MapperRoom room = {.rows = 4, .cols = 4, .block_tiles = 1, .weight_buffer = 41, .hold = 7};
  const MapperRoom small = useful_room(problem, room);
  EXPECT_EQ(small.weight_buffer, 40);  // one tile
  EXPECT_EQ(small.hold, 0);            // one block of tokens: nothing passes twice
  room.weight_buffer = 1e6;
  room.block_tiles = 100;
  EXPECT_EQ(useful_room(problem, room).weight_buffer, 80);  // two tiles are all
  EXPECT_EQ(useful_room(problem, room).block_tiles, 2);
}

TEST(MappingMemo, AFullMemoGivesListsAwayAndKeepsWhatItHas) {
  Random random(2);
  MappingMemo memo(size_t{2} << 20);
  OwnLists own;
  std::vector<MappedCost> set;
  std::vector<std::pair<Case, MappingList>> given;
  for (int i = 0; i < 60000; ++i) {
    const Case c = random_case(random);
    given.emplace_back(c, memo.list(c.problem, c.room, own));
  }
  ASSERT_FALSE(own.empty());
  ASSERT_GT(memo.size(), 0U);
  for (const auto& [c, list] : given) {
    pareto_mappings(c.problem, c.room, set);
    expect_same(list, set);
    if (HasFatalFailure()) return;
  }
}

TEST(MappingMemo, ThreadsShareIt) {
  MappingMemo memo(size_t{64} << 20);
  const auto work = [&memo] {
    Random random(3);
    OwnLists own;
    for (int i = 0; i < 20000; ++i) {
      const Case c = random_case(random);
      ASSERT_GT(memo.list(c.problem, c.room, own).count, 0U);
    }
  };
  std::thread other(work);
  work();
  other.join();
  MappingMemo alone(size_t{64} << 20);
  Random random(3);
  OwnLists own;
  for (int i = 0; i < 20000; ++i) {
    const Case c = random_case(random);
    alone.list(c.problem, c.room, own);
  }
  EXPECT_EQ(memo.size(), alone.size());
}

}  // namespace
}  // namespace dovetail::silicon
