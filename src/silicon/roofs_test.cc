#include "silicon/roofs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/paths.h"
#include "model/model.h"
#include "silicon/estimate.h"

namespace dovetail::silicon {
namespace {

class RoofsTest : public ::testing::Test {
 protected:
  CostReport report(const chip::Chip& chip, const std::string& treatment) {
    const auto technology = Technology::load(data_folder() + "/technology");
    const auto shape = model::load_shape(data_folder() + "/models/llama-3-8b/config.json");
    const auto recipe = recipe::parse_uniform_recipe(*shape, treatment);
    auto made = estimate_cost(chip, *technology, *shape,
                              {.name = "w", .prompt_tokens = 256, .output_tokens = 8}, *recipe, {});
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return std::move(*made);
  }
};

// No op may pass under a roof: not more bytes or products in its time than the roofs allow.
TEST_F(RoofsTest, NoOpIsAboveARoof) {
  for (const char* name : {"reference_edge", "reference_cloud"}) {
    const auto chip = chip::load_chip(data_file("chips", name).value());
    ASSERT_TRUE(chip.has_value());
    const CostReport made = report(*chip, "int4_g128+a:int8_token");
    double most_gmacs = 0;
    for (const auto& [pair, gmacs] : made.roofs.gmacs_per_s)
      most_gmacs = std::max(most_gmacs, gmacs);
    double nearest_dram = 0;
    for (const OpReport& op : made.ops) {
      const double gb_per_s = op.cost.dram_bytes / op.cost.latency_ns;
      EXPECT_LE(gb_per_s, made.roofs.dram_gb_per_s * (1 + 1e-9)) << name << " " << op.name;
      EXPECT_LE(op.cost.macs / op.cost.latency_ns, most_gmacs * (1 + 1e-9))
          << name << " " << op.name;
      nearest_dram = std::max(nearest_dram, gb_per_s / made.roofs.dram_gb_per_s);
    }
    EXPECT_GT(nearest_dram, 0.8) << name << ": decode should come near the roof";
  }
}

TEST_F(RoofsTest, ProductsPerSecondAreCountedByHand) {
  chip::Chip chip = chip::load_chip(data_file("chips", "reference_edge").value()).value();
  chip.cores = 3;
  chip.clock_mhz = 500;
  chip.units.resize(1);
  chip.units[0].rows = 2;
  chip.units[0].cols = 8;
  chip.units[0].depth = 16;
  chip.units[0].pairs = {{.weight = "int9", .activation = "int8", .macs_per_cycle_rel = 1},
                         {.weight = "int5", .activation = "int8", .macs_per_cycle_rel = 2}};
  const CostReport made = report(chip, "int4_g128+a:int8_token+kv:int8+q:int8_token+head:int8");
  EXPECT_DOUBLE_EQ(made.roofs.gmacs_per_s.at("int9 x int8"), 3 * 2 * 8 * 16 * 0.5);
  EXPECT_DOUBLE_EQ(made.roofs.gmacs_per_s.at("int5 x int8"), 3 * 2 * 8 * 16 * 0.5 * 2);
  EXPECT_EQ(made.roofs.gmacs_per_s.size(), 2U);
}

}  // namespace
}  // namespace dovetail::silicon
