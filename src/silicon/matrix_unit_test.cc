#include "silicon/matrix_unit.h"

#include <gtest/gtest.h>

#include "silicon/technology.h"

namespace dovetail::silicon {
namespace {

Constants constants() {
  return *resolve_constants(*Technology::load("data/technology"));
}

SynthesizedSet set_of(double lane_um2, double register_bits) {
  return {.lane_um2 = lane_um2, .register_bits = register_bits, .depth_cells = 40};
}

TEST(UnitArea, RulesMatchHandWorkedSets) {
  Constants c = constants();
  c.sets = {{"int4_int8", set_of(20, 15)},
            {"fp8_e4m3fn_fp8_e4m3fn", set_of(50, 20)},
            {"bf16_bf16", set_of(130, 36)}};
  c.shared_frac = 0.25;
  c.shared_bf16_frac = 0.5;
  c.composed_overhead_frac = 0.1;
  chip::MatrixUnit unit;
  unit.pairs = {{"int4", "int8", 2}, {"fp8_e4m3fn", "fp8_e4m3fn"}, {"bf16", "bf16", 0.5}};
  const auto area = [&](const char* sharing) {
    unit.sharing = sharing;
    const auto found = unit_area(c, unit);
    EXPECT_TRUE(found.has_value());
    EXPECT_FALSE(found->synthesized);
    return *found;
  };
  // With throughput: 40, 50, 65; registers 30, 20, 18.
  EXPECT_DOUBLE_EQ(area("separate").lane_um2, 155);
  EXPECT_DOUBLE_EQ(area("composed").lane_um2, 65 * 1.2);
  EXPECT_DOUBLE_EQ(area("composed").register_bits, 30);
  // Half of the lanes have all three (130 + half of 90), half the first two (50 + a quarter of 40).
  EXPECT_DOUBLE_EQ(area("shared").lane_um2, (175 + 60) / 2.0);
  EXPECT_DOUBLE_EQ(area("shared").register_bits, (36 + 30) / 2.0);
  unit.pairs[2].macs_per_cycle_rel = 1;
  EXPECT_DOUBLE_EQ(area("shared").lane_um2, 175);
  unit.pairs.push_back({"int5", "int8"});
  EXPECT_EQ(unit_area(c, unit).error().message,
            "pair int5 x int8: not synthesised, no entry in data/technology/units.toml");
}

TEST(UnitArea, ASynthesizedSetIsLookedUpWhateverTheOrderOfItsPairs) {
  const Constants c = constants();
  chip::MatrixUnit unit;
  unit.pairs = {{"int9", "int8"}, {"bf16", "bf16", 0.5}};
  const UnitArea area = *unit_area(c, unit);
  EXPECT_TRUE(area.synthesized);
  EXPECT_EQ(area.lane_um2, c.sets.at("bf16_bf16@half+int9_int8").lane_um2);
  std::swap(unit.pairs[0], unit.pairs[1]);
  EXPECT_EQ(unit_area(c, unit)->lane_um2, area.lane_um2);
  // A narrower weight rides on the lanes of the wider one, so it changes nothing.
  unit.pairs.push_back({"int4", "int8"});
  EXPECT_EQ(unit_area(c, unit)->lane_um2, area.lane_um2);
  EXPECT_TRUE(unit_area(c, unit)->synthesized);
  unit.sharing = "separate";
  EXPECT_GT(unit_area(c, unit)->lane_um2, area.lane_um2);
}

// Every set of the shipped chips and classes was synthesised; the rule is for what people add.
TEST(UnitArea, ShippedChipsAreLookedUp) {
  const Constants c = constants();
  for (const char* name :
       {"edge", "edge_small", "edge_large", "cloud", "cloud_small", "cloud_large"}) {
    const auto chip = chip::load_chip(std::string("data/chips/reference_") + name + ".toml");
    ASSERT_TRUE(chip.has_value());
    for (const chip::MatrixUnit& unit : chip->units) {
      EXPECT_TRUE(unit_area(c, unit)->synthesized) << name;
    }
  }
}

TEST(UnitArea, GranuleUnitsTakeTurnsWhenTheGranuleIsLongerThanTheDepth) {
  chip::MatrixUnit unit;
  unit.depth = 16;
  unit.pairs = {{"int8", "int8"}};
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 0.5);
  unit.pairs.push_back({"fp4_e2m1", "fp8_e4m3fn", 2});  // 32 values a cycle, granules of 16
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 2);
  EXPECT_DOUBLE_EQ(conversions_per_dot(unit), 2);
}

TEST(UnitArea, Bf16ConvertsEveryCycleAndHasNoScales) {
  chip::MatrixUnit unit;
  unit.depth = 16;
  unit.pairs = {{"bf16", "bf16", 0.5}};
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 0);
  EXPECT_DOUBLE_EQ(conversions_per_dot(unit), 1);
  unit.pairs.push_back({"int8", "int8"});
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 0.5);
  EXPECT_DOUBLE_EQ(conversions_per_dot(unit), 1);
}

TEST(UnitArea, IntegersAgainstBf16AreScaledEveryDot) {
  chip::MatrixUnit unit;
  unit.depth = 16;
  unit.pairs = {{"int4", "bf16"}};
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 1);  // int4 x int8 would need one half
  EXPECT_DOUBLE_EQ(scaled_sums(unit, unit.pairs[0], 8, 1024), 64);
  unit.pairs = {{"int4", "int8"}};
  EXPECT_DOUBLE_EQ(scaled_sums(unit, unit.pairs[0], 8, 1024), 8);
  unit.pairs = {{"int4", "bf16"}};
  unit.depth = 64;  // two granules of 32 a dot
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 2);
  EXPECT_DOUBLE_EQ(scaled_sums(unit, unit.pairs[0], 8, 1024), 32);
  EXPECT_DOUBLE_EQ(scaled_sums(unit, unit.pairs[0], 64, 1024), 64);
}

TEST(UnitArea, ScaleUnitsFollowTheGranuleThatThePairStates) {
  chip::MatrixUnit unit;
  unit.depth = 16;
  unit.pairs = {{"int4", "int8", 1, 128}};
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 0.125);
  EXPECT_DOUBLE_EQ(conversions_per_dot(unit), 0.125);
  EXPECT_DOUBLE_EQ(reduction_per_cycle(unit, unit.pairs[0], 0), 16);
  EXPECT_DOUBLE_EQ(reduction_per_cycle(unit, unit.pairs[0], 128), 16);
  EXPECT_DOUBLE_EQ(reduction_per_cycle(unit, unit.pairs[0], 32), 4);  // waits for a scale unit
  unit.pairs[0].scale_granule = 8;
  EXPECT_DOUBLE_EQ(granule_units_per_dot(unit), 2);
  EXPECT_DOUBLE_EQ(reduction_per_cycle(unit, unit.pairs[0], 16), 16);
}

// Table "sets" of docs/units.md: fJ in the set over fJ alone.
TEST(SwitchedArea, IsWhatWasMeasuredInsideTheSet) {
  const Constants c = constants();
  const auto ratio = [&](const std::vector<chip::NativePair>& pairs, const char* sharing,
                         size_t i) {
    chip::MatrixUnit unit;
    unit.pairs = pairs;
    unit.sharing = sharing;
    return (*switched_um2(c, unit))[i] / *lane_um2_of(c, pairs[i]);
  };
  EXPECT_DOUBLE_EQ(ratio({{"int9", "int8"}}, "shared", 0), 1);
  EXPECT_NEAR(ratio({{"int9", "int8"}, {"bf16", "bf16"}}, "shared", 0), 166.60 / 119.10, 1e-3);
  // A pair that another holds takes no area but the energy of the lanes that it rides on.
  const std::vector<chip::NativePair> edge = {
      {"int4", "int8"}, {"int9", "int8"}, {"bf16", "bf16", 0.5}};
  EXPECT_NEAR(ratio(edge, "shared", 0), 118.15 / 66.04, 1e-3);
  EXPECT_NEAR(ratio({{"int4", "int8"}, {"int9", "int8"}}, "shared", 0), 92.06 / 66.04, 1e-3);
  EXPECT_NEAR(ratio({{"int9", "int8"}, {"bf16", "bf16"}}, "separate", 0), 151.75 / 119.10, 1e-3);
  EXPECT_NEAR(ratio({{"int4", "int8", 2}, {"int9", "int8"}}, "composed", 1), 142.14 / 119.10, 1e-3);
}

TEST(SwitchedArea, RuleMatchesHandWorkedSets) {
  Constants c = constants();
  c.sets = {{"int4_int8", set_of(20, 15)}, {"int9_fp8_e4m3fn", set_of(50, 20)}};
  c.lane_um2 = {{"int4_int8", 20}, {"int9_fp8_e4m3fn", 40}};
  c.shared_energy_rel.clear();
  c.shared_frac = 0.5;
  c.composed_overhead_frac = 0.1;
  c.shared_energy_um2_per_um2 = 0.4;
  c.separate_energy_um2_per_um2 = 0.1;
  c.composed_energy_um2_per_bit = 2;
  chip::MatrixUnit unit;
  unit.pairs = {{"int4", "int8", 2}, {"int9", "fp8_e4m3fn"}};
  const auto switched = [&](const char* sharing) {
    unit.sharing = sharing;
    return *switched_um2(c, unit);
  };
  // Lanes with throughput 40 and 50; shared 70, separate 90; registers 30.
  EXPECT_DOUBLE_EQ(switched("shared")[0], 20 + 0.4 * (70 - 40) / 2);
  EXPECT_DOUBLE_EQ(switched("shared")[1], 40 + 0.4 * (70 - 50));
  EXPECT_DOUBLE_EQ(switched("separate")[1], 40 + 0.1 * (90 - 50));
  EXPECT_DOUBLE_EQ(switched("composed")[0], 20);  // no flip-flop beyond its own
  EXPECT_DOUBLE_EQ(switched("composed")[1], 40 + 2.0 * (30 - 20));
}

TEST(SwitchedArea, Bf16SharesAConversionAmongTheProductsOfADot) {
  const Constants c = constants();
  chip::MatrixUnit unit;
  unit.pairs = {{"bf16", "bf16"}};
  const auto conversion = [&](int64_t depth) {
    unit.depth = depth;
    return (*switched_um2(c, unit))[0] - *lane_um2_of(c, unit.pairs[0]);
  };
  // 172 + 229 fJ a dot (tables of docs/units.md), 113 fJ for int8 x int8.
  EXPECT_NEAR(conversion(1) / *lane_um2_of(c, {"int8", "int8"}), (172 + 229) / 113.0, 0.15);
  EXPECT_NEAR(conversion(16), conversion(1) / 16, 1e-9);
  unit.pairs.push_back({"int8", "int8"});  // its granule of 32 cuts longer dots
  EXPECT_DOUBLE_EQ(elements_per_sum(unit, unit.pairs[0]), 16);
  unit.depth = 128;
  EXPECT_DOUBLE_EQ(elements_per_sum(unit, unit.pairs[0]), 32);
}

// No pair of a unit takes less than on a unit of its own, which the bound (T0) counts on.
TEST(SwitchedArea, IsNeverBelowThePairAlone) {
  const Constants c = constants();
  const std::vector<chip::NativePair> pairs = {
      {"int2", "int8"},     {"int4", "int8"},        {"int9", "int8"},
      {"int4", "bf16"},     {"bf16", "bf16"},        {"fp8_e4m3fn", "fp8_e4m3fn"},
      {"int4", "int4", 2},  {"fp4_e2m1", "int8", 2}, {"fp4_e2m1", "fp8_e4m3fn"},
      {"bf16", "bf16", 0.5}};
  chip::MatrixUnit unit;
  for (const chip::NativePair& first : pairs) {
    for (const chip::NativePair& second : pairs) {
      if (pair_key(first) == pair_key(second)) continue;
      for (const char* sharing : {"shared", "separate", "composed"}) {
        unit.sharing = sharing;
        unit.pairs = {first, second};
        const auto switched = switched_um2(c, unit);
        ASSERT_TRUE(switched.has_value()) << pair_key(first);
        EXPECT_GE((*switched)[0], *lane_um2_of(c, first))
            << pair_key(first) << " with " << pair_key(second) << " " << sharing;
      }
    }
  }
}

TEST(UnitTiming, CutsThePathIntoAsFewStagesAsTheClockNeeds) {
  Constants c = constants();
  c.cell_delay_ps = 25;
  c.register_overhead_ps = 50;
  c.accumulate_cells = 14;
  c.stage_register_frac = 0.5;
  NodeConstants node;
  node.delay_rel = 2;
  const UnitArea area = {.lane_um2 = 1, .register_bits = 20, .depth_cells = 72};
  // 18 cells a stage at most: 18 * 50 + 100 ps.
  EXPECT_DOUBLE_EQ(unit_timing(c, node, 100, area).reaches_ghz, 1);
  EXPECT_EQ(unit_timing(c, node, 100, area).stages, 1);
  EXPECT_EQ(unit_timing(c, node, 100, area).pipeline_bits, 0);
  EXPECT_EQ(unit_timing(c, node, 500, area).stages, 2);
  EXPECT_EQ(unit_timing(c, node, 1000, area).stages, 4);
  EXPECT_DOUBLE_EQ(unit_timing(c, node, 1000, area).pipeline_bits, 3 * 0.5 * 20);
  EXPECT_EQ(unit_timing(c, node, 3000, area).stages, 4);
  c.accumulate_cells = 38;  // the loop cannot be cut
  EXPECT_DOUBLE_EQ(unit_timing(c, node, 100, area).reaches_ghz, 0.5);
}

}  // namespace
}  // namespace dovetail::silicon
