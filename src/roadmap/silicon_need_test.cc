#include "roadmap/silicon_need.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "roadmap/roadmap_fixture.h"

namespace dovetail::roadmap {
namespace {

class SiliconNeedTest : public RoadmapTest {
 protected:
  // Treatments by menu index: 2 int8+a:int8_token, 3 int4_g32+a:int8_token, 5 int3_g32 (bf16
  // activations).
  static Point point_of(const std::vector<int32_t>& choice) {
    Answer answer = RoadmapTest::answer();
    answer.products[0].treatments = choice;
    return answer_point(*tables_, answer).value();
  }
  static SiliconNeed need_of(const std::string& name, const std::vector<int32_t>& choice) {
    const auto all = techniques_of(tables_->menu, tables_->rotations);
    return silicon_need(*tables_, point_of(choice), *std::ranges::find(all, name, &Technique::name))
        .value();
  }
};

TEST_F(SiliconNeedTest, APairThatOthersUseIsNotItsOwn) {
  const SiliconNeed need = need_of("int4_g32", {2, 3, 3, 2, 1, 2});
  ASSERT_EQ(need.pairs.size(), 1U);
  EXPECT_EQ(need.pairs[0].pair.weight, "int9");
  EXPECT_EQ(need.pairs[0].pair.activation, "int8");
  EXPECT_FALSE(need.pairs[0].own);
  EXPECT_TRUE(need.pairs[0].decoded);  // 4-bit codes at a 9-bit multiplier
  EXPECT_FALSE(need.chip_without.has_value());
}

TEST_F(SiliconNeedTest, ItsOwnPairsAreWorthTheAreaOfTheChipWithoutThem) {
  // Keys and values of 8 bits meet bf16 queries on the bf16 pair too, so the cache stays int8.
  const SiliconNeed need = need_of("a:int8_token", {5, 5, 2, 5, 1, 5});
  ASSERT_EQ(need.pairs.size(), 1U);
  EXPECT_TRUE(need.pairs[0].own);
  ASSERT_TRUE(need.chip_without.has_value());
  chip::Chip bf16_alone = small_chip();
  std::erase_if(bf16_alone.units[0].pairs,
                [](const chip::NativePair& pair) { return pair.activation == "int8"; });
  const auto& costs = tables_->products[0].by_rotation.at(recipe::Rotation::kNone).costs;
  const double slow = costs->limits(small_chip())->area_mm2 - costs->limits(bf16_alone)->area_mm2;
  EXPECT_GT(slow, 0);
  EXPECT_NEAR(need.own_area_mm2, slow, 1e-9);
}

TEST_F(SiliconNeedTest, WithoutItsOnlyPairThereIsNoChip) {
  Tables tables = *tables_;
  Answer answer = RoadmapTest::answer();
  answer.chip.units[0].pairs.erase(answer.chip.units[0].pairs.begin());  // bf16 alone
  answer.products[0].treatments = {5, 5, 5, 5, 1, 5};
  const auto all = techniques_of(tables.menu, tables.rotations);
  const auto point = answer_point(tables, answer);
  ASSERT_TRUE(point.has_value()) << point.error().message;
  const auto need = silicon_need(
      tables, *point, *std::ranges::find(all, std::string("int3_g32"), &Technique::name));
  ASSERT_TRUE(need.has_value());
  EXPECT_FALSE(need->chip_without.has_value());
}

TEST_F(SiliconNeedTest, ResidentBytesAreThoseOfItsSites) {
  Answer answer = RoadmapTest::answer();
  answer.chip.sram_mib = 8;
  answer.products[0].treatments = {2, 3, 2, 2, 1, 2};
  answer.products[0].resident_frac = {1, 1, 0, 0, 0, 0};
  const auto all = techniques_of(tables_->menu, tables_->rotations);
  const auto need =
      silicon_need(*tables_, answer_point(*tables_, answer).value(),
                   *std::ranges::find(all, std::string("int4_g32"), &Technique::name));
  ASSERT_TRUE(need.has_value());
  // What the slow sum over ops keeps in SRAM where its one site alone is resident.
  const auto report = silicon::estimate_cost(
      answer.chip, tables_->technology, shape(), workload(),
      recipe::make_recipe(shape(), tables_->menu, answer.products[0].treatments),
      {0, 1, 0, 0, 0, 0});
  ASSERT_TRUE(report.has_value());
  EXPECT_GT(need->resident_bytes, 576.0 * 576 * 4 / 8);
  EXPECT_NEAR(need->resident_bytes, report->sram_bytes_needed, 1);
}

TEST_F(SiliconNeedTest, WantedPairsAreDistinct) {
  const auto all = techniques_of(tables_->menu, tables_->rotations);
  EXPECT_EQ(
      wanted_pairs(*tables_, *std::ranges::find(all, std::string("int4_g32"), &Technique::name)),
      std::vector<std::string>{"int4_g32 x int8"});
}

}  // namespace
}  // namespace dovetail::roadmap
