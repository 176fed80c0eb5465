#include "search/enumerate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "search/budget_screen.h"
#include "search/chip_questions.h"
#include "search/synthetic_case.h"
#include "silicon/estimate.h"

namespace dovetail::search {
namespace {

using ::testing::HasSubstr;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

synthetic::Model make_model(uint64_t seed) {
  auto model =
      synthetic::make_model(synthetic::small_shape(6),
                            {.name = "chat", .prompt_tokens = 48, .output_tokens = 12, .batch = 1},
                            synthetic::small_menu(), seed);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(*model);
}

std::vector<Scenario> four_scenarios() {
  return {{{Metric::kLatency, Scale::kNone}, 0.05},
          {{Metric::kLatency, Scale::kArea}, 0.05},
          {{Metric::kLatency, Scale::kArea}, 0.5},
          {{Metric::kEnergy, Scale::kNone}, 0.2}};
}

// Every chip of the space, one by one, each limit spelled out: no block, bound or ranking.
CostRange best_by_brute_force(const Product& product, const Space& space, const Budget& budget,
                              const Scenario& scenario) {
  CostRange best{kInfinity, kInfinity};
  ChipAllocator allocator(product.losses, residency_levels(product.costs->shape()),
                          {scenario.max_loss});
  for (int64_t index = 0; index < num_chips(space); ++index) {
    const chip::Chip chip = chip_at(space, index);
    if (!chip::check_chip(chip).has_value()) continue;
    const silicon::ChipLimits limits = product.costs->limits(chip).value();
    const double power_w = limits.peak_power_mw / 1e3;
    if (limits.area_mm2 > budget.max_area_mm2 * static_cast<double>(limits.num_chips) ||
        power_w > budget.max_peak_power_w ||
        limits.die_peak_power_mw / 1e3 / limits.area_mm2 > budget.max_power_density_w_per_mm2 ||
        limits.dram_gb_per_s > budget.max_dram_gb_per_s) {
      continue;
    }
    silicon::CostTable table;
    EXPECT_TRUE(product.costs->fill_table(chip, table).has_value());
    std::vector<ChipAllocation> found;
    allocator.allocate(table, scenario.objective.metric, found);
    if (!found[0].feasible) continue;
    const double scale = scenario.objective.scale == Scale::kArea ? limits.area_mm2 : 1.0;
    const double fixed = fixed_cost(table, scenario.objective.metric);
    best.lower = std::min(best.lower, scale * (found[0].bound + fixed));
    best.upper = std::min(best.upper, scale * (found[0].cost + fixed));
  }
  return best;
}

TEST(Enumerate, CorrectnessFindsTheBestOfAllChips) {
  const synthetic::Model model = make_model(1);
  for (uint64_t seed = 31; seed <= 34; ++seed) {
    const Space space = synthetic::random_space(seed);
    const Budget budget = synthetic::edge_budget();
    const auto result = enumerate({model.product}, space, budget, four_scenarios(),
                                  {.top_k = 4, .max_gap_frac = 1e-3}, {});
    ASSERT_TRUE(result.has_value()) << result.error().message;
    for (const ScenarioResult& scenario : result->scenarios) {
      ASSERT_TRUE(scenario.feasible);
      const CostRange best = best_by_brute_force(model.product, space, budget, scenario.scenario);
      EXPECT_LE(scenario.best.objective, best.upper * (1 + 1e-9));
      EXPECT_GE(scenario.best.objective, best.lower * (1 - 1e-9));
      EXPECT_LE(best.upper, best.lower * 1.02);  // else the two lines above say little
      EXPECT_LE(scenario.best.gap_frac, 0.01);
      EXPECT_LE(total_loss(model.product.losses, scenario.best.treatments[0]),
                scenario.scenario.max_loss * (1 + 1e-9));
      double last = scenario.best.objective;
      for (const Candidate& next : scenario.runners_up) {
        EXPECT_GE(next.objective, last);
        last = next.objective;
      }
    }
  }
}

// Nine heads: three chips can share the model, two cannot.
TEST(Enumerate, CorrectnessChoosesHowManyChipsShareTheModel) {
  const synthetic::Model model = make_model(1);
  Space space = synthetic::random_space(32);
  space.tensor_parallel = {1, 2, 3};
  space.link_kind = "c2c";
  space.links = 1;
  Budget budget = synthetic::edge_budget();
  budget.max_peak_power_w = budget.max_sustained_power_w = 60;
  budget.max_dram_gb_per_s = 160;
  const auto result = enumerate({model.product}, space, budget, four_scenarios(),
                                {.top_k = 4, .max_gap_frac = 1e-3}, {});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_TRUE(result->stats.exact);
  EXPECT_GT(result->stats.rejected.at("tensor_parallel"), 0);
  int shared = 0;
  for (const ScenarioResult& scenario : result->scenarios) {
    ASSERT_TRUE(scenario.feasible);
    const CostRange best = best_by_brute_force(model.product, space, budget, scenario.scenario);
    EXPECT_LE(scenario.best.objective, best.upper * (1 + 1e-9));
    EXPECT_GE(scenario.best.objective, best.lower * (1 - 1e-9));
    shared += scenario.best.chip.scale_up.tensor_parallel == 3 ? 1 : 0;
  }
  EXPECT_GE(shared, 1);  // the quickest is three chips
  EXPECT_LE(shared, 3);  // the least energy is not
  const auto alone = enumerate({model.product}, synthetic::random_space(32), budget,
                               four_scenarios(), {.top_k = 4, .max_gap_frac = 1e-3}, {});
  ASSERT_TRUE(alone.has_value());
  EXPECT_LT(result->scenarios[0].best.objective, alone->scenarios[0].best.objective);
}

TEST(Enumerate, CorrectnessFrontCoversEveryChip) {
  const synthetic::Model model = make_model(2);
  const Space space = synthetic::random_space(41);
  const EnumerateParams params = {.front_epsilon_frac = 0.02};
  const auto result = enumerate({model.product}, space, synthetic::edge_budget(),
                                {{{Metric::kLatency, Scale::kArea}, 0.2}}, params, {});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  ASSERT_GT(result->front.size(), 2U);
  for (size_t i = 1; i < result->front.size(); ++i) {
    EXPECT_GT(result->front[i].candidate.limits.area_mm2,
              result->front[i - 1].candidate.limits.area_mm2);
  }
  for (int64_t index = 0; index < num_chips(space); index += 11) {
    const chip::Chip chip = chip_at(space, index);
    const BudgetScreen screen(*model.costs, space, synthetic::edge_budget());
    if (screen.classify_exactly(split_index(screen.lengths(), index)).value() != Limit::kNone)
      continue;
    const auto point =
        solve_on_chip({model.product}, chip, {{Metric::kLatency, Scale::kNone}, 0.2}, 1e-3);
    ASSERT_TRUE(point.has_value());
    if (!(point->metric < kInfinity)) continue;
    EXPECT_TRUE(std::ranges::any_of(result->front, [&](const FrontEntry& entry) {
      return entry.candidate.limits.area_mm2 <= point->limits.area_mm2 * 1.02 &&
             entry.candidate.metric <= point->metric * 1.02 * 1.01;
    })) << chip.name;
  }
}

TEST(Enumerate, CorrectnessPricesOfAllParts) {
  const synthetic::Model model = make_model(3);
  const auto result =
      enumerate({model.product}, synthetic::random_space(51), synthetic::edge_budget(),
                four_scenarios(), {.top_k = 2, .keep_front = false}, {});
  ASSERT_TRUE(result.has_value());
  for (const ScenarioResult& scenario : result->scenarios) {
    ASSERT_TRUE(scenario.feasible);
    const Candidate& best = scenario.best;
    const recipe::Recipe recipe =
        recipe::make_recipe(model.costs->shape(), model.product.losses.menu, best.treatments[0]);
    const auto report = silicon::estimate_cost(
        best.chip, model.costs->technology(), model.costs->shape(), model.costs->workload(), recipe,
        {best.resident_frac[0].begin(), best.resident_frac[0].end()});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    const bool latency = scenario.scenario.objective.metric == Metric::kLatency;
    const double slow = latency ? report->latency_ns : report->energy_pj;
    EXPECT_NEAR(best.metric, slow, 1e-4 * slow);
    EXPECT_TRUE(report->fits) << fmt::format("SRAM {} of {}, DRAM {} of {}",
                                             report->sram_bytes_needed, report->sram_bytes,
                                             report->dram_bytes_needed, report->dram_bytes);
    EXPECT_LE(report->sustained_power_mw, 4000);
  }
}

TEST(Enumerate, CorrectnessSeveralProductsAddUpOnOneChip) {
  const synthetic::Model model = make_model(4);
  std::vector<Product> products = {model.product, model.product};
  products[0].weight = 0.25;
  products[1].weight = 0.75;
  const Space space = synthetic::random_space(61);
  const std::vector<Scenario> scenario = {{{Metric::kLatency, Scale::kArea}, 0.1}};
  const auto both = enumerate(products, space, synthetic::edge_budget(), scenario,
                              {.top_k = 2, .keep_front = false}, {});
  const auto one = enumerate({model.product}, space, synthetic::edge_budget(), scenario,
                             {.top_k = 2, .keep_front = false}, {});
  ASSERT_TRUE(both.has_value() && one.has_value());
  // The same model twice, with weights that add to one, is the model itself.
  EXPECT_NEAR(both->scenarios[0].best.objective, one->scenarios[0].best.objective,
              2e-3 * one->scenarios[0].best.objective);
  EXPECT_EQ(both->scenarios[0].best.allocations.size(), 2U);
}

// Every chip on its own, every product on its own: each keeps its own loss below the cap, and their
// metrics count by weight.
TEST(Enumerate, CorrectnessTwoProductsEqualBruteForce) {
  const synthetic::Model chat = make_model(8);
  auto reader = synthetic::make_model(
      synthetic::small_shape(3),
      {.name = "reader", .prompt_tokens = 256, .output_tokens = 2, .batch = 1},
      synthetic::small_menu(), 9);
  ASSERT_TRUE(reader.has_value());
  Space space = synthetic::random_space(62);
  space.rows = {1, 4, 16};
  space.vector_lanes.resize(1);
  space.decoder_values_per_cycle.resize(1);
  space.accumulator_kib = {16};
  space.activation_buffer_kib = {32};
  space.sram_mib = {0.25};  // far from holding a model: such chips close at once
  const Budget budget = synthetic::edge_budget();
  const BudgetScreen screen(*chat.costs, space, budget);
  for (const double weight : {0.001, 1000.0}) {
    std::vector<Product> products = {chat.product, reader->product};
    products[1].weight = weight;
    const Scenario scenario = {{Metric::kLatency, Scale::kArea}, 0.1};
    const auto found =
        enumerate(products, space, budget, {scenario}, {.top_k = 2, .keep_front = false}, {});
    ASSERT_TRUE(found.has_value()) << found.error().message;
    double best = kInfinity;
    for (int64_t index = 0; index < num_chips(space); ++index) {
      if (screen.classify_exactly(split_index(screen.lengths(), index)).value() != Limit::kNone) {
        continue;
      }
      double sum = 0;
      for (const Product& product : products) {
        const auto own = solve_on_chip({product}, chip_at(space, index), scenario, 1e-3);
        ASSERT_TRUE(own.has_value());
        sum += own->objective;
      }
      best = std::min(best, sum);
    }
    const Candidate& answer = found->scenarios[0].best;
    EXPECT_NEAR(answer.objective, best, 2e-3 * best) << "weight " << weight;
    for (size_t p = 0; p < products.size(); ++p) {
      EXPECT_LE(total_loss(products[p].losses, answer.treatments[p]), 0.1 * (1 + 1e-9));
    }
  }
}

TEST(Enumerate, CorrectnessInfeasibleIsExplained) {
  const synthetic::Model model = make_model(5);
  const Space space = synthetic::random_space(71);
  Budget tiny = synthetic::edge_budget();
  tiny.max_area_mm2 = 0.5;
  const std::vector<Scenario> scenario = {{{Metric::kLatency, Scale::kNone}, 0.1}};
  const auto no_area =
      enumerate({model.product}, space, tiny, scenario, {.top_k = 2, .keep_front = false}, {});
  ASSERT_TRUE(no_area.has_value()) << no_area.error().message;
  EXPECT_FALSE(no_area->scenarios[0].feasible);
  EXPECT_EQ(no_area->stats.num_in_budget, 0);
  EXPECT_THAT(no_area->infeasible_reason, HasSubstr("area"));
  EXPECT_THAT(no_area->infeasible_reason, HasSubstr("exceeds"));

  Space integers_only = space;
  integers_only.format_sets = {synthetic::make_set("i4", {{"int4", "int8"}})};
  const auto no_loss = enumerate({model.product}, integers_only, synthetic::edge_budget(),
                                 {{{Metric::kLatency, Scale::kNone}, 1e-9}}, {}, {});
  ASSERT_TRUE(no_loss.has_value()) << no_loss.error().message;
  EXPECT_FALSE(no_loss->scenarios[0].feasible);
  EXPECT_GT(no_loss->stats.rejected.at("loss"), 0);

  Budget no_power = synthetic::edge_budget();
  no_power.max_sustained_power_w = 1e-4;
  const auto hot = enumerate({model.product}, space, no_power, scenario, {.top_k = 2}, {});
  ASSERT_TRUE(hot.has_value()) << hot.error().message;
  EXPECT_FALSE(hot->scenarios[0].feasible);
  EXPECT_GT(hot->stats.rejected.at("sustained_power"), 0);
}

TEST(Enumerate, ErrorNamesTheArgument) {
  const synthetic::Model model = make_model(6);
  const Space space = synthetic::random_space(1);
  const Budget budget = synthetic::edge_budget();
  EXPECT_THAT(enumerate({}, space, budget, four_scenarios(), {}, {}).error().message,
              HasSubstr("products is empty"));
  EXPECT_THAT(enumerate({model.product}, space, budget, {}, {}, {}).error().message,
              HasSubstr("scenarios is empty"));
  EXPECT_THAT(
      enumerate({model.product}, space, budget, four_scenarios(), {.top_k = 0}, {}).error().message,
      HasSubstr("top_k = 0"));
  Product broken = model.product;
  broken.losses.loss.pop_back();
  EXPECT_THAT(enumerate({broken}, space, budget, four_scenarios(), {}, {}).error().message,
              HasSubstr("product \"small\""));
}

// Everything of a result but times, as text.
std::string digest(const EnumerateResult& result) {
  std::string text = fmt::format("{} {} {}\n", result.stats.num_in_budget, result.stats.num_pruned,
                                 result.stats.num_allocated);
  for (const ScenarioResult& scenario : result.scenarios) {
    text += fmt::format("{} {}", scenario.best.chip_index, scenario.best.objective);
    for (const Candidate& next : scenario.runners_up) text += fmt::format(" {}", next.chip_index);
    text += "\n";
  }
  for (const FrontEntry& entry : result.front) {
    text += fmt::format("{} {}\n", entry.candidate.chip_index, entry.candidate.metric);
  }
  return text;
}

std::string digest_of_a_run() {
  const synthetic::Model model = make_model(7);
  const auto result = enumerate({model.product}, synthetic::random_space(81),
                                synthetic::edge_budget(), four_scenarios(), {.top_k = 4}, {});
  EXPECT_TRUE(result.has_value());
  return result.has_value() ? digest(*result) : "";
}

// Run by the next test in a process of its own.
TEST(Enumerate, DISABLED_PrintDigest) {
  std::printf("<<%s>>", digest_of_a_run().c_str());
}

TEST(Enumerate, CorrectnessDoesNotDependOnTheNumberOfThreads) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::array<std::string, 2> outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string command = fmt::format(
        "DOVETAIL_THREADS={} '{}' --gtest_also_run_disabled_tests "
        "--gtest_filter=Enumerate.DISABLED_PrintDigest",
        i == 0 ? 1 : 4, self);
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::array<char, 4096> buffer{};
    while (fgets(buffer.data(), static_cast<int>(buffer.size()), pipe) != nullptr) {
      outputs[i] += buffer.data();
    }
    EXPECT_EQ(pclose(pipe), 0);
    const size_t begin = outputs[i].find("<<");
    const size_t end = outputs[i].find(">>");
    ASSERT_NE(end, std::string::npos) << outputs[i];
    outputs[i] = outputs[i].substr(begin, end - begin);
  }
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_GT(outputs[0].size(), 40U);
}

}  // namespace
}  // namespace dovetail::search
