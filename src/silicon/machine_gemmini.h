// How long Gemmini takes for a program of tiles: T1 of a machine that is not ours, for calibration.
//
// Three units work on two tiles at once: loads, the array, stores. Per tile
//
//   load    = max(bus beats, round trips * request_latency + activations * activation) + zero rows
//   execute = blocks * max(pairs * pair_issue, rows + pairs * pair_overhead)
//   store   = bus beats + activations * activation + same_line * same_line_store
//
// and the tiles follow each other as the unrollers let them: a load begins when the tile before is
// loaded, the tile before that has left its half of the buffers, and the core has issued it
// (tile_issue a tile); the array begins when its tile is loaded (a matrix product's array follows
// its loads block by block) and stores when it is done. A tile larger than half of the scratchpad
// holds the next tile's loads back for a part of its execution; one larger than half of the
// accumulator waits for the stores before it. The pipeline's fill and drain follow from this.
#pragma once

#include <cstdint>
#include <vector>

#include "silicon/calibration_fit.h"
#include "silicon/machine_gemmini_commands.h"

namespace dovetail::silicon {

// The eight fitted parameters, in this order: name, unit, mechanism, bounds.
enum class GemminiParameter : uint8_t {
  kRequestLatency,
  kActivation,
  kPairIssue,
  kPairOverhead,
  kSameLineStore,
  kTileIssue,
  kStart,
  kOverflowWait,
};
[[nodiscard]] const std::vector<FitParameter>& gemmini_parameters();

struct GemminiLatency {
  double cycles = 0;  // from the first command to the last store
  // What each unit works in all, overlapped or not. The largest binds.
  double load_cycles = 0;
  double execute_cycles = 0;
  double store_cycles = 0;
  double issue_cycles = 0;

  // "load", "execute", "store" or "issue".
  [[nodiscard]] const char* binding() const;
};

// `values` as gemmini_parameters() orders them. The program has at least one tile.
[[nodiscard]] GemminiLatency estimate_gemmini_latency(const GemminiMachine& machine,
                                                      const GemminiProgram& program,
                                                      const std::vector<double>& values);

}  // namespace dovetail::silicon
