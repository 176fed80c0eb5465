#include "silicon/cost_json.h"

#include <gtest/gtest.h>

#include "base/paths.h"
#include "chip/chip.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::silicon {
namespace {

class CostJsonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto chip = chip::load_chip(data_file("chips", "reference_edge").value());
    const auto technology = Technology::load(data_folder() + "/technology");
    const auto shape = model::load_shape(data_folder() + "/models/llama-3-8b/config.json");
    ASSERT_TRUE(chip.has_value() && technology.has_value() && shape.has_value());
    const auto recipe = recipe::parse_uniform_recipe(*shape, "int4_g128+a:int8_token");
    ASSERT_TRUE(recipe.has_value());
    const auto report =
        estimate_cost(*chip, *technology, *shape,
                      {.name = "w", .prompt_tokens = 64, .output_tokens = 8}, *recipe, {});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    json_ = cost_to_json(*report);
  }
  Json json_;
};

double sum_of(const Json& parts, const std::string& unit, const std::string& total) {
  double sum = 0;
  for (const auto& [key, value] : parts.items()) {
    if (key.ends_with(unit) && key != total) sum += value.get<double>();
  }
  return sum;
}

TEST_F(CostJsonTest, PartsAddUpToTotals) {
  EXPECT_NEAR(sum_of(json_.at("area_parts"), "_mm2", "total_mm2"),
              json_.at("area_mm2").get<double>(), 1e-9 * json_.at("area_mm2").get<double>());
  EXPECT_NEAR(sum_of(json_.at("energy_parts"), "_pj", ""), json_.at("energy_pj").get<double>(),
              1e-9 * json_.at("energy_pj").get<double>());
}

TEST_F(CostJsonTest, OpsOfBothPhasesAddUpToTheLatency) {
  double latency_ns = 0;
  double prefill_ns = 0;
  for (const Json& op : json_.at("ops")) {
    latency_ns += op.at("latency_ns").get<double>();
    if (op.at("phase") == "prefill") prefill_ns += op.at("latency_ns").get<double>();
  }
  EXPECT_NEAR(latency_ns, json_.at("latency_ns").get<double>(), 1e-9 * latency_ns);
  EXPECT_NEAR(prefill_ns, json_.at("prefill_latency_ns").get<double>(), 1e-9 * prefill_ns);
}

TEST_F(CostJsonTest, EveryNumberSaysItsUnitAndTheBoundItsTier) {
  for (const auto& [key, value] : json_.items()) {
    if (!value.is_number()) continue;
    bool has_unit = false;
    for (const char* unit :
         {"_ns", "_pj", "_mw", "_mm2", "_bytes", "_per_s", "_per_token", "_count"}) {
      has_unit = has_unit || key.ends_with(unit);
    }
    EXPECT_TRUE(has_unit) << key;
  }
  EXPECT_EQ(json_.at("tiers").at("bound_latency_ns"), "bound");
}

}  // namespace
}  // namespace dovetail::silicon
