// The mapper: mappings priced per second, optimised sets per second, and its DRAM traffic on two
// GEMMs for which other tools' results are known (docs/cost_model.md).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "silicon/mapper.h"
#include "silicon/mapping_memo.h"

namespace dovetail::silicon {
namespace {

struct Shape {
  int64_t m, k, n;
};

// The linears of Llama-3-8B: a prompt of 2,048 tokens, one decoded token, 32 decoded at once.
std::vector<Shape> llama_linears(int64_t m) {
  return {{m, 4096, 6144}, {m, 4096, 4096}, {m, 4096, 28672}, {m, 14336, 4096}};
}

MapperProblem problem_of(const Shape& s, double weight_bits, bool spilled) {
  return {.m = s.m,
          .n = s.n,
          .tile_cycles = std::ceil(static_cast<double>(s.k) / 32),
          .weight_row_bytes = static_cast<double>(s.k) * weight_bits / 8,
          .input_row_bytes = static_cast<double>(s.k),
          .inputs_in_dram = spilled};
}

// An edge chip with 2 MiB of shared SRAM left for panels.
MapperRoom edge_room(int64_t cores, int64_t rows, int64_t cols) {
  const int64_t tiles = 16 * 256 / (rows * cols);
  return {.cores = cores,
          .rows = rows,
          .cols = cols,
          .block_tiles = tiles >= 2 ? tiles / 2 : 1,
          .hides_drain = tiles >= 2,
          .weight_buffer = 32 * 1024,
          .input_buffer = 32 * 1024,
          .hold = 2 * 1048576,
          .block_fill_cycles = 16};
}

void run(benchmark::State& state, int64_t m, bool spilled) {
  std::vector<MappedCost> set;
  int64_t mappings = 0;
  int64_t sets = 0;
  size_t kept = 0;
  for (auto _ : state) {
    for (const Shape& shape : llama_linears(m)) {
      for (const double bits : {4.25, 8.0}) {
        for (const MapperRoom& room :
             {edge_room(1, 16, 16), edge_room(2, 4, 32), edge_room(4, 8, 16)}) {
          mappings += pareto_mappings(problem_of(shape, bits, spilled), room, set);
          ++sets;
          kept += set.size();
          benchmark::DoNotOptimize(set.data());
        }
      }
    }
  }
  state.counters["mappings/s"] =
      benchmark::Counter(static_cast<double>(mappings), benchmark::Counter::kIsRate);
  state.counters["sets/s"] =
      benchmark::Counter(static_cast<double>(sets), benchmark::Counter::kIsRate);
  state.counters["kept"] = static_cast<double>(kept) / static_cast<double>(sets);
}
void prefill_spilled(benchmark::State& state) {
  run(state, 2048, true);
}
void prefill_on_chip(benchmark::State& state) {
  run(state, 2048, false);
}
void decode(benchmark::State& state) {
  run(state, 1, false);
}
void decode_batch_32(benchmark::State& state) {
  run(state, 32, false);
}
BENCHMARK(prefill_spilled);
BENCHMARK(prefill_on_chip);
BENCHMARK(decode);
BENCHMARK(decode_batch_32);

// Lists that a search asks for again: 1,000 rooms of prompts in DRAM.
void remembered_lists(benchmark::State& state) {
  static MappingMemo memo(size_t{64} << 20);
  std::vector<MapperRoom> rooms;
  for (int64_t i = 0; i < 1000; ++i) {
    MapperRoom room = edge_room(1 << i % 3, 8, 16);
    room.hold += static_cast<double>(i * 1024);
    rooms.push_back(room);
  }
  const MapperProblem problem = problem_of({2048, 4096, 14336}, 4.25, true);
  OwnLists own;
  int64_t lists = 0;
  for (auto _ : state) {
    for (const MapperRoom& room : rooms) {
      benchmark::DoNotOptimize(memo.list(problem, room, own).groups);
    }
    lists += static_cast<int64_t>(rooms.size());
  }
  state.counters["lists/s"] =
      benchmark::Counter(static_cast<double>(lists), benchmark::Counter::kIsRate);
}
BENCHMARK(remembered_lists);

// int8 with 8-bit partial sums in `memory` bytes, divided freely between sums, buffers and panels:
// least DRAM bytes over the compulsory ones.
double least_traffic(const Shape& s, int64_t memory) {
  double least = INFINITY;
  const double compulsory = static_cast<double>(s.m * s.k) + static_cast<double>(s.k * s.n) +
                            static_cast<double>(s.m * s.n);
  std::vector<MappedCost> set;
  constexpr int64_t kParts = 64;
  for (int64_t sums = 1; sums < kParts; ++sums) {
    for (int64_t hold = 0; hold + sums < kParts; ++hold) {
      const MapperProblem problem = {.m = s.m,
                                     .n = s.n,
                                     .tile_cycles = static_cast<double>(s.k),
                                     .weight_row_bytes = static_cast<double>(s.k),
                                     .input_row_bytes = static_cast<double>(s.k),
                                     .inputs_in_dram = true};
      const double rest = static_cast<double>(memory / kParts * (kParts - sums - hold));
      // Operands that do not stay need two slices of k of a block, a few KiB: the rest has them.
      const MapperRoom room = {.block_tiles = memory / kParts * sums,
                               .weight_buffer = rest / 4,
                               .input_buffer = rest / 4,
                               .hold = static_cast<double>(memory / kParts * hold)};
      pareto_mappings(problem, room, set);
      for (const MappedCost& mapped : set) {
        const double slices =
            2 * static_cast<double>(mapped.mapping.block_m + mapped.mapping.block_n);
        if (slices > rest) continue;
        least = std::min(least, mapped.cost.dram_bytes + static_cast<double>(s.m * s.n));
      }
    }
  }
  return least / compulsory;
}

void traffic_512_4096_4096(benchmark::State& state) {
  double ratio = 0;
  for (auto _ : state) ratio = least_traffic({512, 4096, 4096}, 512 * 1024);
  state.counters["over_compulsory"] = ratio;
}
void traffic_512_14336_4096(benchmark::State& state) {
  double ratio = 0;
  for (auto _ : state) ratio = least_traffic({512, 14336, 4096}, 512 * 1024);
  state.counters["over_compulsory"] = ratio;
}
BENCHMARK(traffic_512_4096_4096)->Unit(benchmark::kMillisecond)->Iterations(1);
BENCHMARK(traffic_512_14336_4096)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace dovetail::silicon

BENCHMARK_MAIN();
