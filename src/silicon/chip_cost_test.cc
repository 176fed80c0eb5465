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
