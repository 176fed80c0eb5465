#include "search/space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "search/space_axes.h"

namespace dovetail::search {
namespace {

using ::testing::HasSubstr;

constexpr const char* kSpaceText = R"(
nodes = ["n7", "n5"]
clock_mhz = [500, 1000]
cores = [1, 2]
rows = [8]
cols = [8, 16, 32]
depth = [16]
vector_lanes = [16, 32]
decoder_values_per_cycle = [64]
weight_buffer_kib = [32, 64]
activation_buffer_kib = [32]
accumulator_kib = [16]
sram_mib = [0, 0.5, 4]
dram_kinds = ["lpddr5"]
dram_channels = [2, 4]
dram_capacity_gib = 4
[[format_sets]]
name = "w8a8"
pairs = [{ weight = "int8", activation = "int8" }]
[[format_sets]]
name = "w4w8"
pairs = [{ weight = "int4", activation = "int8" }, { weight = "int8", activation = "int8" }]
)";

Space small_space() {
  const auto space = read_config_text<Space>(kSpaceText, "space");
  EXPECT_TRUE(space.has_value()) << space.error().message;
  return space.value_or(Space{});
}

TEST(Space, CorrectnessEveryIndexIsADifferentChip) {
  const Space space = small_space();
  ASSERT_TRUE(check_space(space).has_value());
  ASSERT_EQ(num_chips(space), 2 * 2 * 2 * 3 * 2 * 2 * 3 * 2 * 2);
  std::set<std::string> seen;
  for (int64_t index = 0; index < num_chips(space); ++index) {
    chip::Chip chip = chip_at(space, index);
    EXPECT_EQ(chip.name, "c" + std::to_string(index));
    chip.name.clear();
    seen.insert(to_json(chip).dump());
    const AxisValues lengths = axis_lengths(space);
    EXPECT_EQ(join_index(lengths, split_index(lengths, index)), index);
  }
  EXPECT_EQ(static_cast<int64_t>(seen.size()), num_chips(space));
}

TEST(Space, CorrectnessInnerAxesVaryFirst) {
  const Space space = small_space();
  const chip::Chip first = chip_at(space, 0);
  const chip::Chip second = chip_at(space, 1);
  EXPECT_EQ(first.weight_buffer_kib, 32);
  EXPECT_EQ(second.vector_lanes, 32);
  EXPECT_EQ(first.weight_buffer_kib, second.weight_buffer_kib);
  EXPECT_EQ(chip_at(space, num_chips(space) - 1).node, "n5");
  EXPECT_EQ(first.units.at(0).format_set, "w8a8");
}

TEST(Space, CorrectnessChipsThatShareAModelHaveLinksAndOneAloneHasNone) {
  Space space = small_space();
  const int64_t before = num_chips(space);
  space.tensor_parallel = {1, 8};
  EXPECT_THAT(check_space(space).error().message,
              HasSubstr("links = 0, want at least 1 where tensor_parallel is 8"));
  space.links = 6;
  space.link_kind = "c2c";
  ASSERT_TRUE(check_space(space).has_value());
  ASSERT_EQ(num_chips(space), 2 * before);
  EXPECT_EQ(most_tensor_parallel(space), 8);
  int64_t shared = 0;
  for (int64_t index = 0; index < num_chips(space); ++index) {
    const chip::Chip chip = chip_at(space, index);
    EXPECT_TRUE(chip::check_chip(chip).has_value());
    EXPECT_EQ(chip.scale_up.links, chip.scale_up.tensor_parallel > 1 ? 6 : 0);
    EXPECT_EQ(chip.scale_up.link_kind, "c2c");
    shared += chip.scale_up.tensor_parallel == 8 ? 1 : 0;
  }
  EXPECT_EQ(shared, before);
}

TEST(Space, ErrorNamesListAndEntry) {
  Space space = small_space();
  space.cols.push_back(16);
  EXPECT_THAT(check_space(space).error().message, HasSubstr("cols[3] = 16 stands twice"));
  space = small_space();
  space.rows.clear();
  EXPECT_THAT(check_space(space).error().message, HasSubstr("rows is empty"));
  space = small_space();
  space.depth = {0};
  EXPECT_THAT(check_space(space).error().message, HasSubstr("depth[0] = 0, want >= 1"));
  space = small_space();
  space.format_sets[1].pairs.clear();
  EXPECT_THAT(check_space(space).error().message, HasSubstr("\"w4w8\": pairs is empty"));
  space = small_space();
  space.format_sets[1].name = "w8a8";
  EXPECT_THAT(check_space(space).error().message, HasSubstr("stands twice"));
  space = small_space();
  for (auto* list : {&space.rows, &space.cols, &space.depth, &space.cores, &space.vector_lanes,
                     &space.weight_buffer_kib}) {
    list->clear();
    for (int64_t i = 1; i <= 1024; ++i) list->push_back(i);
  }
  EXPECT_THAT(check_space(space).error().message, HasSubstr("more than"));
}

}  // namespace
}  // namespace dovetail::search
