#include "silicon/machine_gemmini.h"

#include <algorithm>

#include "base/result.h"

namespace dovetail::silicon {
namespace {

struct TileCycles {
  double load = 0;
  double execute = 0;
  double store = 0;
  double load_hold = 0;  // of the execution before, that the next load must wait for
  bool waits_for_stores = false;
};

class Costs {
 public:
  Costs(const GemminiMachine& machine, const std::vector<double>& values)
      : machine_(machine), values_(values) {
    DOVETAIL_CHECK(values.size() == gemmini_parameters().size());
  }

  [[nodiscard]] double of(GemminiParameter parameter) const {
    return values_[static_cast<size_t>(parameter)];
  }

  [[nodiscard]] TileCycles tile(const TileCommands& t) const {
    const double activation = of(GemminiParameter::kActivation);
    TileCycles cycles;
    const double memory = t.fetch_round_trips * of(GemminiParameter::kRequestLatency) +
                          static_cast<double>(t.load_activations) * activation;
    cycles.load =
        std::max(static_cast<double>(t.load_beats), memory) + static_cast<double>(t.zero_rows);
    const auto pairs = static_cast<double>(t.pairs_per_block);
    const double rows =
        static_cast<double>(t.rows_per_block) + pairs * of(GemminiParameter::kPairOverhead);
    cycles.execute =
        static_cast<double>(t.blocks) * std::max(pairs * of(GemminiParameter::kPairIssue), rows);
    cycles.store = static_cast<double>(t.store_beats) +
                   static_cast<double>(t.store_activations) * activation +
                   static_cast<double>(t.store_same_line) * of(GemminiParameter::kSameLineStore);
    if (2 * t.scratchpad_bytes > machine_.scratchpad_bytes) {
      cycles.load_hold = of(GemminiParameter::kOverflowWait) * cycles.execute;
    }
    cycles.waits_for_stores = 2 * t.accumulator_rows > machine_.accumulator_rows;
    return cycles;
  }

 private:
  const GemminiMachine& machine_;
  const std::vector<double>& values_;
};

// Ends of the last tiles on each unit.
struct Clocks {
  double issued = 0;
  double loaded = 0;
  double executed = 0;
  double stored = 0;
  double done = 0;         // the last tile, stores included
  double done_before = 0;  // the one before

  void run(const TileCycles& tile, double tile_issue, bool is_matmul) {
    issued += tile_issue;
    double load_start = std::max({loaded, done_before, issued});
    if (tile.load_hold > 0) {
      load_start = std::max(load_start, executed - tile.execute + tile.load_hold);
    }
    loaded = load_start + tile.load;
    double execute_start = std::max(executed, is_matmul ? load_start : loaded);
    if (tile.waits_for_stores) execute_start = std::max(execute_start, stored);
    executed = execute_start + tile.execute;
    if (is_matmul) executed = std::max(executed, loaded);
    stored = std::max(executed, stored) + tile.store;
    done_before = done;
    done = stored;
  }
};

}  // namespace

const std::vector<FitParameter>& gemmini_parameters() {
  static const std::vector<FitParameter> parameters = {
      {.name = "request_latency_cycles",
       .unit = "cycles",
       .mechanism =
           "round trip of a memory request that reads a line first in its tile; 16 requests "
           "and 2 move commands are in flight, so short commands wait more",
       .start = 80,
       .low = 10,
       .high = 400},
      {.name = "activation_cycles",
       .unit = "cycles",
       .mechanism = "opening a DRAM row on a cache miss or the write-back of a dirty line",
       .start = 20,
       .low = 0,
       .high = 100},
      {.name = "pair_issue_cycles",
       .unit = "cycles",
       .mechanism = "preload and compute pair through the reservation station: 8 pairs share the "
                    "latency of the array, so short pairs are issue-bound",
       .start = 8,
       .low = 4,
       .high = 30},
      {.name = "pair_overhead_cycles",
       .unit = "cycles",
       .mechanism = "gap between two pairs where the array is busy",
       .start = 0.5,
       .low = 0,
       .high = 5},
      {.name = "same_line_store_cycles",
       .unit = "cycles",
       .mechanism = "a store to the line of the store before waits for it in the cache: partial "
                    "lines of narrow outputs",
       .start = 20,
       .low = 0,
       .high = 100},
      {.name = "tile_issue_cycles",
       .unit = "cycles",
       .mechanism = "the core computes a tile's addresses and issues its loop commands",
       .start = 300,
       .low = 0,
       .high = 600},
      {.name = "start_cycles",
       .unit = "cycles",
       .mechanism = "configuration and cold instruction cache before the first tile, fence after "
                    "the last",
       .start = 1000,
       .low = 0,
       .high = 10000},
      {.name = "overflow_wait_frac",
       .unit = "1",
       .mechanism = "share of a tile's execution that the next tile's loads wait for if the tile "
                    "exceeds half of the scratchpad",
       .start = 0.5,
       .low = 0,
       .high = 1}};
  return parameters;
}

const char* GemminiLatency::binding() const {
  const double most = std::max({load_cycles, execute_cycles, store_cycles, issue_cycles});
  if (most == execute_cycles) return "execute";
  if (most == load_cycles) return "load";
  return most == store_cycles ? "store" : "issue";
}

GemminiLatency estimate_gemmini_latency(const GemminiMachine& machine,
                                        const GemminiProgram& program,
                                        const std::vector<double>& values) {
  const Costs costs(machine, values);
  std::vector<TileCycles> cycles;
  for (const TileCommands& kind : program.kinds) cycles.push_back(costs.tile(kind));
  const double tile_issue = costs.of(GemminiParameter::kTileIssue);
  GemminiLatency latency;
  Clocks clocks;
  for (const int32_t kind : program.sequence) {
    const TileCycles& tile = cycles[static_cast<size_t>(kind)];
    clocks.run(tile, tile_issue, program.is_matmul);
    latency.load_cycles += tile.load;
    latency.execute_cycles += tile.execute;
    latency.store_cycles += tile.store;
    latency.issue_cycles += tile_issue;
  }
  latency.cycles = clocks.done + costs.of(GemminiParameter::kStart);
  return latency;
}

}  // namespace dovetail::silicon
