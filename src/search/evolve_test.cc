#include "search/evolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include <fmt/format.h>

#include "search/baselines.h"
#include "search/coarse_grid.h"
#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

using ::testing::HasSubstr;
constexpr double kCap = 0.2;

synthetic::Model make_model(uint64_t seed) {
  auto model =
      synthetic::make_model(synthetic::small_shape(2),
                            {.name = "chat", .prompt_tokens = 48, .output_tokens = 12, .batch = 1},
                            synthetic::small_menu(), seed);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(*model);
}

// Some ten thousand chips: too many for the evaluations of these tests, few enough to know.
Space wide_space(uint64_t seed) {
  Space space = synthetic::random_space(seed);
  space.clock_mhz = {500, 800, 1000};
  space.sram_mib = {0.125, 0.25, 0.5};  // far from holding a model: such chips are solved at once
  space.cores = {1, 2};
  space.rows = {1, 2, 4};
  return space;
}

Space space_of_one() {
  Space space = coarse_grid(synthetic::random_space(1), 1).space;
  space.format_sets.resize(1);  // which the grid keeps
  return space;
}

const std::vector<SweepTarget>& two_targets() {
  static const std::vector<SweepTarget> targets = {{0, Scale::kArea}, {1, Scale::kNone}};
  return targets;
}

std::unique_ptr<ChipQuestions> two_questions(const Product& product) {
  return joint_questions({product}, {{Metric::kLatency, kCap}, {Metric::kLatency, kCap / 4}});
}

constexpr SweepParams kSweep = {.top_k = 4, .keep_front = false};
constexpr EvolveParams kShort = {.evaluations = 1500, .seed = 3, .max_grid_chips = 500};

TEST(Evolve, CorrectnessComesCloseToTheBestAndNeverBelow) {
  const synthetic::Model model = make_model(1);
  const auto questions = two_questions(model.product);
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    const Space space = wide_space(seed);
    const auto exact =
        sweep(*questions, space, synthetic::edge_budget(), two_targets(), kSweep, {});
    const auto evolved =
        evolve(*questions, space, synthetic::edge_budget(), two_targets(), kSweep, kShort, {});
    ASSERT_TRUE(exact.has_value()) << exact.error().message;
    ASSERT_TRUE(evolved.has_value()) << evolved.error().message;
    for (size_t t = 0; t < two_targets().size(); ++t) {
      const double best = exact->targets[t].ranking.at(0).value();
      const double found = evolved->found.targets[t].ranking.at(0).value();
      EXPECT_GE(found, best) << "seed " << seed << ", target " << t;
      EXPECT_LE(found, 1.03 * best) << "seed " << seed << ", target " << t;
    }
    EXPECT_LT(evolved->found.stats.num_allocated, num_chips(space) / 2);
  }
}

TEST(Evolve, CorrectnessStopsWhenTheEvaluationsAreUsedUp) {
  const synthetic::Model model = make_model(2);
  const auto questions = two_questions(model.product);
  const auto evolved = evolve(*questions, wide_space(4), synthetic::edge_budget(), two_targets(),
                              kSweep, kShort, {});
  ASSERT_TRUE(evolved.has_value()) << evolved.error().message;
  ASSERT_FALSE(evolved->log.empty());
  std::array<int64_t, 2> last{};
  std::array<double, 2> least{kImpossible, kImpossible};
  for (const EvolveLine& line : evolved->log) {
    const auto q = static_cast<size_t>(line.question);
    EXPECT_GE(line.num_priced, last[q]);
    EXPECT_LE(line.least_metric, least[q]);
    last[q] = line.num_priced;
    least[q] = line.least_metric;
  }
  for (const int64_t priced : last) {
    EXPECT_GT(priced, kShort.evaluations / 10);
    EXPECT_LE(priced, kShort.evaluations);
  }
}

TEST(Evolve, CorrectnessSameSeedSameLogOtherSeedAnother) {
  const synthetic::Model model = make_model(3);
  const auto questions = two_questions(model.product);
  const Space space = wide_space(5);
  const auto run = [&](int64_t seed) {
    EvolveParams params = kShort;
    params.seed = seed;
    const auto evolved =
        evolve(*questions, space, synthetic::edge_budget(), two_targets(), kSweep, params, {});
    EXPECT_TRUE(evolved.has_value());
    return evolved->log;
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

// Run by the next test in a process of its own.
TEST(Evolve, DISABLED_PrintLog) {
  const synthetic::Model model = make_model(3);
  const auto questions = two_questions(model.product);
  const auto evolved = evolve(*questions, wide_space(5), synthetic::edge_budget(), two_targets(),
                              kSweep, kShort, {});
  ASSERT_TRUE(evolved.has_value());
  std::string text;
  for (const EvolveLine& line : evolved->log) {
    text += fmt::format("{} {} {};", line.question, line.num_priced, line.least_metric);
  }
  for (const SweepEntry& entry : evolved->found.targets[0].ranking) {
    text += fmt::format("{} ", entry.chip_index);
  }
  std::printf("<<%s>>", text.c_str());
}

TEST(Evolve, CorrectnessDoesNotDependOnTheNumberOfThreads) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::array<std::string, 2> outputs;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string command = fmt::format(
        "DOVETAIL_THREADS={} '{}' --gtest_also_run_disabled_tests "
        "--gtest_filter=Evolve.DISABLED_PrintLog",
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
  EXPECT_GT(outputs[0].size(), 100U);
}

TEST(Evolve, ErrorNamesTheArgument) {
  const synthetic::Model model = make_model(4);
  const auto questions = two_questions(model.product);
  const auto message = [&](const Space& space, const EvolveParams& params) {
    const auto failed =
        evolve(*questions, space, synthetic::edge_budget(), two_targets(), kSweep, params, {});
    EXPECT_FALSE(failed.has_value());
    return failed.has_value() ? std::string() : failed.error().message;
  };
  EXPECT_THAT(message(wide_space(1), {.evaluations = 100}), HasSubstr("evaluations = 100, want"));
  EXPECT_THAT(message(wide_space(1), {.seed = -1}), HasSubstr("seed = -1, want"));
  EXPECT_THAT(message(space_of_one(), {}), HasSubstr("a single chip"));
}

// As a study asks: the method goes through enumerate and the baselines, and the stated gap holds.
TEST(Evolve, CorrectnessTheStatedGapCoversTheExactAnswer) {
  const synthetic::Model model = make_model(5);
  const Space space = wide_space(6);
  const std::vector<Scenario> scenarios = {{{Metric::kLatency, Scale::kArea}, kCap},
                                           {{Metric::kLatency, Scale::kPrice}, kCap},
                                           {{Metric::kLatency, Scale::kNone}, kCap / 4}};
  EnumerateParams params{.top_k = 2, .keep_front = false};
  const auto exact =
      enumerate({model.product}, space, synthetic::edge_budget(), scenarios, params, {});
  params.method = {.method = "auto", .max_exact_chips = 1000, .evaluations = 400, .seed = 1};
  const auto heuristic =
      enumerate({model.product}, space, synthetic::edge_budget(), scenarios, params, {});
  ASSERT_TRUE(exact.has_value() && heuristic.has_value());
  EXPECT_TRUE(exact->stats.exact);
  EXPECT_FALSE(heuristic->stats.exact);
  EXPECT_EQ(heuristic->stats.seeds, std::vector<int64_t>{1});
  EXPECT_GT(heuristic->stats.evaluations, 100);
  EXPECT_GT(heuristic->stats.bound_gap_frac, 0);
  EXPECT_LT(heuristic->stats.bound_gap_frac, 1);
  for (size_t i = 0; i < scenarios.size(); ++i) {
    const double best = exact->scenarios[i].best.objective;
    const double found = heuristic->scenarios[i].best.objective;
    EXPECT_GE(found, best * (1 - params.max_gap_frac));
    EXPECT_GE(best, found * (1 - heuristic->stats.bound_gap_frac));
  }
}

TEST(Evolve, CorrectnessBaselinesGetTheSameMethod) {
  const synthetic::Model model = make_model(6);
  Space space = wide_space(7);
  space.format_sets = {synthetic::make_set("i9+bf16", {{"int9", "int8"}, {"bf16", "bf16"}})};
  const Scenario scenario = {{Metric::kLatency, Scale::kArea}, kCap};
  const std::vector<chip::Chip> references = {chip_at(space, num_chips(space) - 1)};
  EnumerateParams params{.top_k = 2, .keep_front = false};
  const auto exact = solve_baselines({model.product}, space, synthetic::edge_budget(), scenario,
                                     references, params, {});
  params.method.method = "nsga2";
  params.method.evaluations = 1000;
  const auto heuristic = solve_baselines({model.product}, space, synthetic::edge_budget(), scenario,
                                         references, params, {});
  ASSERT_TRUE(exact.has_value() && heuristic.has_value());
  for (size_t i = 0; i < exact->size(); ++i) {
    EXPECT_EQ((*exact)[i].feasible, (*heuristic)[i].feasible) << (*exact)[i].name;
    if (!(*exact)[i].feasible) continue;
    // The chip for the fixed recipe is the one that is searched; silicon first then chooses the
    // recipe again, which may turn a worse chip into a better point.
    if ((*exact)[i].name.starts_with("silicon")) continue;
    EXPECT_GE((*heuristic)[i].candidate.objective, (*exact)[i].candidate.objective * (1 - 1e-3));
    EXPECT_LE((*heuristic)[i].candidate.objective, (*exact)[i].candidate.objective * 1.03);
  }
}

TEST(Evolve, CorrectnessInfeasibleIsExplained) {
  const synthetic::Model model = make_model(7);
  Budget tiny = synthetic::edge_budget();
  tiny.max_area_mm2 = 0.5;
  EnumerateParams params;
  params.method = {.method = "nsga2", .evaluations = 400};
  const auto result = enumerate({model.product}, wide_space(1), tiny,
                                {{{Metric::kLatency, Scale::kNone}, kCap}}, params, {});
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_FALSE(result->scenarios[0].feasible);
  EXPECT_THAT(result->infeasible_reason, HasSubstr("area"));
}

}  // namespace
}  // namespace dovetail::search
