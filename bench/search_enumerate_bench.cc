// Chips per second of the enumeration, on the space of studies/quickstart.toml or one like it.
//
// Run in the repository root; rates per core with DOVETAIL_THREADS=1. AllocateChips: items are
// chips with a T1 table and an allocation at so many caps (0: the table alone). ScreenAndPrune:
// `pruned_per_s` counts chips that pass area, power and capacity and are then pruned by bounds.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>

#include "search/baselines.h"
#include "search/block_walk.h"
#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

recipe::Workload chat() {
  return {.name = "chat_512_256", .prompt_tokens = 512, .output_tokens = 256, .batch = 1};
}

const synthetic::Model& model() {
  static const synthetic::Model shared =
      synthetic::make_model(synthetic::smollm2_shape(), chat(), synthetic::quickstart_menu(), 1)
          .value();
  return shared;
}

// 9.8 million chips, as the quickstart.
Space edge_space() {
  Space space;
  space.nodes = {"n7"};
  space.clock_mhz = {600, 800, 1000};
  space.cores = {1, 2, 4};
  space.format_sets = {
      synthetic::make_set("i5", {{"int5", "int8"}}),
      synthetic::make_set("i6", {{"int6", "int8"}}),
      synthetic::make_set("i9", {{"int9", "int8"}}),
      synthetic::make_set("i5+i9", {{"int5", "int8"}, {"int9", "int8"}}, "composed"),
      synthetic::make_set("i5+bf16", {{"int5", "int8"}, {"bf16", "bf16"}}),
      synthetic::make_set("i9+bf16", {{"int9", "int8"}, {"bf16", "bf16"}}),
      synthetic::make_set("bf16", {{"bf16", "bf16"}})};
  space.rows = {1, 2, 4, 8, 16};
  space.cols = {8, 16, 32, 64};
  space.depth = {16, 32, 64};
  space.vector_lanes = {16, 32, 64};
  space.decoder_values_per_cycle = {128, 512, 2048};
  space.weight_buffer_kib = {16, 32, 64};
  space.activation_buffer_kib = {16, 32, 64};
  space.accumulator_kib = {8, 16};
  space.sram_mib = {0.5, 1, 2, 4, 8, 16, 32, 48};
  space.dram_kinds = {"lpddr5"};
  space.dram_channels = {2, 4};
  space.dram_capacity_gib = 4;
  return space;
}

std::vector<Scenario> quickstart_scenarios() {
  std::vector<Scenario> scenarios;
  for (const double cap : {0.05, 0.15, 0.4}) {
    scenarios.push_back({{Metric::kLatency, Scale::kNone}, cap});
    scenarios.push_back({{Metric::kLatency, Scale::kArea}, cap});
  }
  return scenarios;
}

void count(benchmark::State& state, const EnumerateStats& stats) {
  state.counters["chips"] = static_cast<double>(stats.num_chips);
  state.counters["in_budget"] = static_cast<double>(stats.num_in_budget);
  state.counters["pruned"] = static_cast<double>(stats.num_pruned);
  state.counters["allocated"] = static_cast<double>(stats.num_allocated);
  state.counters["sweep_s"] = stats.seconds;
  state.counters["chips_per_s"] = static_cast<double>(stats.num_chips) / stats.seconds;
}

// Tables and allocations for one chip after the other, as the walk does them.
void AllocateChips(benchmark::State& state) {
  const Space space = edge_space();
  std::vector<JointQuestion> asked;
  for (const double cap : {0.15, 0.05, 0.4}) asked.push_back({Metric::kLatency, cap});
  asked.resize(static_cast<size_t>(std::max<int64_t>(state.range(0), 1)));
  const std::vector<uint8_t> wanted(asked.size(), 1);
  const auto questions = joint_questions({model().product}, asked);
  const auto solver = questions->make_solver();
  std::vector<silicon::CostTable> tables;
  std::vector<CostRange> ranges;
  std::vector<chip::Chip> chips;
  for (int64_t i = 0; std::ssize(chips) < 512; ++i) {
    chip::Chip chip = chip_at(space, num_chips(space) / 3 + i);
    if (chip::check_chip(chip).has_value()) chips.push_back(std::move(chip));
  }
  size_t next = 0;
  for (auto _ : state) {
    const chip::Chip& chip = chips[next++ % chips.size()];
    if (!fill_tables(questions->products(), chip, tables).has_value()) state.SkipWithError("table");
    if (state.range(0) != 0) solver->solve(tables, wanted, ranges);
    benchmark::DoNotOptimize(ranges);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(AllocateChips)->ArgName("caps")->Arg(0)->Arg(1)->Arg(3)->Unit(benchmark::kMicrosecond);

// The sweep as the quickstart runs it: three caps, two objectives, fronts.
void EnumerateQuickstart(benchmark::State& state) {
  const Space space = edge_space();
  EnumerateParams params;
  params.keep_front = state.range(0) != 0;
  for (auto _ : state) {
    const auto result = enumerate({model().product}, space, synthetic::edge_budget(),
                                  quickstart_scenarios(), params, {});
    if (!result.has_value()) {
      state.SkipWithError(result.error().message.c_str());
      break;
    }
    count(state, result->stats);
  }
}
BENCHMARK(EnumerateQuickstart)
    ->ArgName("front")
    ->Arg(0)
    ->Arg(1)
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

// One scenario whose answer is known early: nearly every chip is counted and pruned by bounds.
void ScreenAndPrune(benchmark::State& state) {
  const Space space = edge_space();
  const auto questions = joint_questions({model().product}, {{Metric::kLatency, 0.15}});
  for (auto _ : state) {
    const auto outcome = sweep(*questions, space, synthetic::edge_budget(), {{0, Scale::kArea}},
                               {.prune = true, .top_k = 1, .keep_front = false}, {});
    if (!outcome.has_value()) {
      state.SkipWithError(outcome.error().message.c_str());
      break;
    }
    count(state, outcome->stats);
    state.counters["bounds"] = static_cast<double>(outcome->num_bounds);
    state.counters["pruned_per_s"] =
        static_cast<double>(outcome->stats.num_pruned) / outcome->stats.seconds;
  }
}
BENCHMARK(ScreenAndPrune)->Iterations(1)->Unit(benchmark::kSecond);

void Baselines(benchmark::State& state) {
  const Space space = edge_space();
  const Scenario scenario = {{Metric::kLatency, Scale::kArea}, 0.15};
  const std::vector<chip::Chip> references = {chip_at(space, num_chips(space) - 1)};
  for (auto _ : state) {
    const auto results = solve_baselines({model().product}, space, synthetic::edge_budget(),
                                         scenario, references, {}, {});
    if (!results.has_value()) {
      state.SkipWithError(results.error().message.c_str());
      break;
    }
    for (const BaselineResult& result : *results) {
      state.counters[result.name] = result.feasible ? result.candidate.objective : -1;
    }
  }
}
BENCHMARK(Baselines)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace dovetail::search

BENCHMARK_MAIN();
