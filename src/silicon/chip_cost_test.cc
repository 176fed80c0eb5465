// Area, power and price of a chip.
#include <gtest/gtest.h>

#include <cmath>

#include "silicon/area.h"
#include "silicon/constants.h"
#include "silicon/power.h"
#include "silicon/price.h"
#include "silicon/technology.h"

namespace dovetail::silicon {
namespace {

Constants constants() {
  return *resolve_constants(*Technology::load("data/technology"));
}

Constants constants_with(const std::string& key, double value) {
  return *resolve_constants(Technology::load("data/technology")->with(key, value));
}

chip::Chip edge() {
  return *chip::load_chip("data/chips/reference_edge.toml");
}

TEST(ChipError, NamesFileKeyAndNearestOfAnUnknownNodeOrDramKind) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value());
  chip::Chip chip = *chip::load_chip("data/chips/reference_edge.toml");
  EXPECT_TRUE(check_known(chip, *technology, "a.toml").has_value());
  chip.dram.kind = "lpddr55";
  const auto dram = check_known(chip, *technology, "a.toml");
  ASSERT_FALSE(dram.has_value());
  EXPECT_TRUE(dram.error().message.starts_with("a.toml: dram.kind = \"lpddr55\", want one of "));
  EXPECT_NE(dram.error().message.find("(did you mean lpddr5"), std::string::npos);
  chip.node = "n77";
  const auto node = check_known(chip, *technology, "a.toml");
  ASSERT_FALSE(node.has_value());
  EXPECT_TRUE(node.error().message.starts_with("a.toml: node = \"n77\", want one of "));
}

SynthesizedSet set_of(double lane_um2, double register_bits) {
  return {.lane_um2 = lane_um2, .register_bits = register_bits};
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

TEST(ChipArea, PartsAddUpAndAreAllThere) {
  const auto area = estimate_area(constants(), edge());
  ASSERT_TRUE(area.has_value());
  const ChipArea& a = *area;
  for (const double part : {a.multipliers_mm2, a.registers_mm2, a.scale_units_mm2, a.decoder_mm2,
                            a.vector_mm2, a.buffers_mm2, a.control_mm2, a.sram_mm2, a.noc_mm2,
                            a.dram_phy_mm2, a.dram_controller_mm2, a.fixed_mm2, a.other_mm2}) {
    EXPECT_GT(part, 0);
  }
  EXPECT_NEAR(a.other_mm2 / a.total_mm2(), constants().other_frac, 1e-12);
  // Scale units, registers and accumulators are no rounding error beside the multipliers.
  EXPECT_GT((a.registers_mm2 + a.scale_units_mm2) / a.multipliers_mm2, 0.1);
}

TEST(ChipArea, GrowsWithEveryResourceAndShrinksWithTheNode) {
  const Constants c = constants();
  const double base = estimate_area(c, edge())->total_mm2();
  const auto grown = [&](auto change) {
    chip::Chip chip = edge();
    change(chip);
    return estimate_area(c, chip)->total_mm2();
  };
  EXPECT_GT(grown([](chip::Chip& x) { x.cores *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.units[0].depth *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.sram_mib *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.vector_lanes *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.decoder_values_per_cycle *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.weight_buffer_kib *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.dram.channels *= 2; }), base);
  EXPECT_GT(grown([](chip::Chip& x) { x.units[0].pairs.push_back({"fp8_e4m3fn", "fp8_e4m3fn"}); }),
            base);
  EXPECT_GT(grown([](chip::Chip& x) { x.node = "n16"; }), base);
  EXPECT_LT(grown([](chip::Chip& x) { x.node = "n5"; }), base);
  EXPECT_LT(estimate_area(constants_with("units.scale.multiply_um2", 100), edge())->total_mm2(),
            base);
}

// TPU v4i in the template's terms: 65,536 bf16 multipliers, 128 MiB, two HBM2 stacks, 7 nm.
// Published: under 400 mm2, matrix units 11 %, CMEM 28 %.
TEST(Calibration, TpuV4iAreaWithinAFifth) {
  chip::Chip chip = *chip::load_chip("data/chips/reference_cloud.toml");
  chip.node = "n7";
  chip.clock_mhz = 1050;
  chip.cores = 4;
  chip.units[0].rows = 128;  // systolic: every multiplier has an FP32 accumulator of its own
  chip.units[0].cols = 128;
  chip.units[0].depth = 1;
  chip.units[0].pairs = {{"bf16", "bf16"}};
  chip.weight_buffer_kib = chip.activation_buffer_kib = 2048;
  chip.sram_mib = 128;
  chip.dram.kind = "hbm2e";
  chip.dram.channels = 2;
  chip.vector_lanes = 2048;
  const auto area = estimate_area(constants(), chip);
  ASSERT_TRUE(area.has_value());
  EXPECT_NEAR(area->sram_mm2, 112, 0.2 * 112);
  const double matrix = area->multipliers_mm2 + area->registers_mm2 + area->scale_units_mm2;
  RecordProperty("matrix_mm2", std::to_string(matrix));
  RecordProperty("total_mm2", std::to_string(area->total_mm2()));
  EXPECT_GT(matrix, 20);
  EXPECT_LT(matrix, 44);
  EXPECT_LT(area->total_mm2(), 400);
  EXPECT_GT(area->total_mm2(), 240);
}

TEST(PeakPower, IsTheSumOfHandWorkedParts) {
  const Constants c = constants();
  chip::Chip chip = edge();
  chip.units[0].pairs = {{"int8", "int8"}};
  const ChipArea area = *estimate_area(c, chip);
  const ChipRates rates = *chip_rates(c, chip, area);
  const PeakPower power = *estimate_peak_power(c, chip, rates);
  // 4,096 lanes at 1 GHz, each the int8 energy at 1000 / 1050 of the nominal clock.
  const double scale = std::pow(1000.0 / 1050.0, c.clock_energy_exponent);
  const double mac_pj = c.lane_um2.at("int8_int8") * c.mac_energy_pj_per_um2 * scale;
  EXPECT_NEAR(power.multipliers_mw, 4096 * mac_pj, 1e-6);
  // 51.2 GB/s at 4.5 pJ/bit.
  EXPECT_NEAR(power.dram_mw, 51.2 * 8 * 4.5, 1e-6);
  EXPECT_GT(power.leakage_mw, 0);
  EXPECT_NEAR(power.total_mw() - power.die_mw(),
              power.dram_mw * (1 - c.dram.at("lpddr5").phy_energy_frac) + 4 * 15, 1e-6);
  EXPECT_NEAR(power.total_mw(),
              power.multipliers_mw + power.scale_units_mw + power.decoder_mw + power.vector_mw +
                  power.buffers_mw + power.sram_mw + power.dram_mw + power.leakage_mw,
              1e-9);
}

TEST(EnergyScale, FollowsTheClockDownToAFloor) {
  const Constants c = constants();
  const NodeConstants& n7 = c.nodes.at("n7");
  EXPECT_DOUBLE_EQ(energy_scale(c, n7, n7.nominal_clock_mhz), 1);
  EXPECT_GT(energy_scale(c, n7, 2 * n7.nominal_clock_mhz), 1.5);
  EXPECT_DOUBLE_EQ(energy_scale(c, n7, 100), energy_scale(c, n7, 50));
}

TEST(Price, MatchesTheWorkedDieOfThePublishedModel) {
  // N7, 100 mm2, 0.15 defects/cm2, alpha 3, wafer 9,346: yield 0.864, 16.9 USD (ttm-cas).
  const Constants c = constants_with("nodes.n7.defects_per_cm2", 0.15);
  const auto price = estimate_price(c, edge(), 100);
  ASSERT_TRUE(price.has_value());
  EXPECT_NEAR(price->yield_frac, 0.864, 5e-4);
  EXPECT_NEAR(price->die_usd, 16.9, 0.05);
  EXPECT_DOUBLE_EQ(price->dram_usd, 8 * c.dram.at("lpddr5").price_usd_per_gib);
  EXPECT_TRUE(std::isinf(estimate_price(c, edge(), 90000)->die_usd));
}

}  // namespace
}  // namespace dovetail::silicon
