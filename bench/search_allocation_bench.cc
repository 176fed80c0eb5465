// Times of the allocation, one core: whole fronts, one chip inside enumeration, closing one point.
#include <benchmark/benchmark.h>

#include "search/allocation.h"
#include "search/allocation_cases.h"
#include "search/chip_allocator.h"

namespace dovetail::search {
namespace {

constexpr double kMib = 1024.0 * 1024.0;
constexpr int64_t kNumChips =
    64;  // measured in turn, so that no branch predictor learns one by heart

// 30 layers x 5 sites x 30 treatments.
AllocationProblem front_problem(bool realistic, uint64_t seed) {
  Random random(seed);
  AllocationProblem problem;
  problem.option_begin.push_back(0);
  for (int site = 0; site < 150; ++site) {
    const double scale = std::exp(2 * random.uniform());
    for (int64_t t = 0; t < kCaseLinearTreatments; ++t) {
      const double bits = case_bits(t);
      problem.cost.push_back(realistic ? scale * (bits + 2 * random.uniform()) : random.uniform());
      problem.loss.push_back(realistic ? std::exp2(-2 * bits) * (1 + random.uniform())
                                       : random.uniform());
    }
    problem.option_begin.push_back(static_cast<int32_t>(problem.cost.size()));
  }
  problem.sram_bytes.assign(problem.cost.size(), 0);
  problem.dram_bytes.assign(problem.cost.size(), 0);
  return problem;
}

void front(benchmark::State& state, bool realistic) {
  std::vector<AllocationProblem> problems;
  for (uint64_t i = 0; i < 16; ++i) problems.push_back(front_problem(realistic, i));
  size_t i = 0;
  int64_t num_points = 0;
  for (auto _ : state) {
    const LagrangianFront answer = lagrangian_front(problems[i++ % problems.size()]);
    num_points += static_cast<int64_t>(answer.points.size());
    benchmark::DoNotOptimize(num_points);
  }
  state.counters["points"] =
      benchmark::Counter(static_cast<double>(num_points), benchmark::Counter::kAvgIterations);
}
BENCHMARK_CAPTURE(front, random, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(front, realistic, true)->Unit(benchmark::kMicrosecond);

struct Chips {
  LossTable losses;
  ResidencyLevels levels;
  std::vector<silicon::CostTable> tables;
};

Chips make_chips(const model::ModelShape& shape, double sram_mib) {
  Random random(7);
  Chips chips{case_losses(shape, random), residency_levels(shape), {}};
  for (int64_t i = 0; i < kNumChips; ++i) {
    chips.tables.push_back(case_costs(shape, sram_mib * kMib, random));
  }
  return chips;
}

// args: shared SRAM in MiB, number of loss caps.
void allocate_chip(benchmark::State& state, const model::ModelShape& shape) {
  const Chips chips = make_chips(shape, static_cast<double>(state.range(0)));
  std::vector<double> caps = {0.1, 0.3, 0.03};
  caps.resize(static_cast<size_t>(state.range(1)));
  ChipAllocator allocator(chips.losses, chips.levels, caps);
  std::vector<ChipAllocation> results;
  double gap = 0;
  int64_t count = 0;
  for (auto _ : state) {
    const auto chip = static_cast<size_t>(count++ % kNumChips);
    allocator.allocate(chips.tables[chip], Metric::kLatency, results);
    gap += 1 - results[0].bound / results[0].cost;
  }
  state.counters["gap_percent"] = 100 * gap / static_cast<double>(count);
}
BENCHMARK_CAPTURE(allocate_chip, smollm2, smollm2_shape())
    ->Unit(benchmark::kMicrosecond)
    ->ArgNames({"sram_mib", "caps"})
    ->ArgsProduct({{0, 1, 8, 32, 128}, {1, 3}});
BENCHMARK_CAPTURE(allocate_chip, llama_3_8b, llama8b_shape())
    ->Unit(benchmark::kMicrosecond)
    ->ArgNames({"sram_mib", "caps"})
    ->ArgsProduct({{4, 128}, {1, 3}});

void bound_chip(benchmark::State& state) {
  const Chips chips = make_chips(smollm2_shape(), static_cast<double>(state.range(0)));
  ChipAllocator allocator(chips.losses, chips.levels, {});
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        allocator.bound(chips.tables[i++ % chips.tables.size()], Metric::kLatency, 0.1));
  }
}
BENCHMARK(bound_chip)->Unit(benchmark::kMicrosecond)->ArgName("sram_mib")->Arg(0)->Arg(8);

// Closing to 0.1 %: time per problem, and the slowest of the chips.
void close_point(benchmark::State& state, const model::ModelShape& shape) {
  const Chips chips = make_chips(shape, static_cast<double>(state.range(0)));
  std::vector<AllocationProblem> problems;
  for (const silicon::CostTable& table : chips.tables) {
    auto made = make_problem(table, Metric::kLatency, chips.losses, chips.levels, 0.1);
    problems.push_back(std::move(made->problem));
  }
  size_t i = 0;
  double worst_gap = 0;
  for (auto _ : state) {
    const auto answer = solve_allocation(problems[i++ % problems.size()], {.max_gap_frac = 1e-3});
    worst_gap = std::max(worst_gap, answer->gap_frac);
  }
  state.counters["worst_gap_percent"] = 100 * worst_gap;
}
BENCHMARK_CAPTURE(close_point, smollm2, smollm2_shape())
    ->Unit(benchmark::kMillisecond)
    ->ArgName("sram_mib")
    ->Arg(0)
    ->Arg(1)
    ->Arg(8)
    ->Arg(32)
    ->Arg(128);
BENCHMARK_CAPTURE(close_point, llama_3_8b, llama8b_shape())
    ->Unit(benchmark::kMillisecond)
    ->ArgName("sram_mib")
    ->Arg(4)
    ->Arg(128);

}  // namespace
}  // namespace dovetail::search

BENCHMARK_MAIN();
