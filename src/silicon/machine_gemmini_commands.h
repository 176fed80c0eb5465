// The commands that a mapped layer sends to Gemmini, counted exactly, tile by tile.
//
// Walks the DRAM loops of a mapping as the measured program does and, inside every tile, the loops
// of the hardware's own unrollers (ucb-bar/gemmini, LoopConv.scala and LoopMatmul.scala): which
// rows each move-in reads, which 16 x 16 blocks are preloaded, how many rows each compute feeds,
// what is moved out. Every tile loads its inputs and weights anew: nothing stays in the scratchpad
// from one tile to the next. Partial sums stay in the accumulator; only a tile that ends a
// reduction stores.
//
// Each request is followed to the cache line: first touch of a line in the tile or not, hit or miss
// in the last-level cache, DRAM row opened or not. That is a simulation of a cache of published
// size, without a fitted parameter.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "silicon/machine_gemmini_mapping.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

// What is published of the machine, data/machines/gemmini.toml. Positive.
struct GemminiMachine {
  int64_t dim = 16;  // array rows = columns
  int64_t min_pair_cycles = 4;
  int64_t scratchpad_bytes = 262144;
  int64_t accumulator_rows = 1024;
  int64_t request_bytes = 64;
  int64_t bus_bytes = 16;
  int64_t requests_in_flight = 16;
  int64_t commands_in_flight = 2;
  int64_t cache_bytes = 4 << 20;
  int64_t cache_ways = 8;
  int64_t line_bytes = 64;
  int64_t dram_row_bytes = 8192;
  int64_t dram_banks = 8;
};

// From constants "gemmini.*". Errors: kNotFound naming the key; kInvalidArgument if a value is no
// whole number of at least 1.
[[nodiscard]] Result<GemminiMachine> gemmini_machine(const Technology& machines);

// One tile. Counts are exact.
struct TileCommands {
  // Move-in of inputs and weights.
  int64_t load_commands = 0;
  int64_t load_lines = 0;  // cache lines asked for, a line counted as often as it is asked for
  int64_t load_bytes = 0;
  int64_t load_beats = 0;  // bus cycles of the data
  int64_t zero_rows = 0;   // padding rows, written without a memory request
  // Requests that wait for memory, in units of one round trip: a command with r requests takes
  // max(1 / commands in flight, r / requests in flight) of it. Only first touches of a line count.
  double fetch_round_trips = 0;
  int64_t load_activations = 0;  // DRAM rows opened while loading

  // Preload and compute pairs.
  int64_t blocks = 0;           // weight blocks of dim x dim
  int64_t pairs_per_block = 0;  // computes a block
  int64_t rows_per_block =
      0;  // rows fed a block; the first pair feeds dim rows, as many as weights

  // Move-out.
  int64_t store_commands = 0;
  int64_t store_requests = 0;
  int64_t store_beats = 0;
  int64_t store_same_line = 0;  // requests to the line of the request before
  int64_t store_activations = 0;

  int64_t scratchpad_bytes = 0;
  int64_t accumulator_rows = 0;

  bool operator==(const TileCommands&) const = default;
};

struct GemminiProgram {
  bool is_matmul = false;
  std::vector<TileCommands> kinds;  // distinct tiles
  std::vector<int32_t> sequence;    // index into kinds, in the order of execution
};

// At most this many line requests and tiles: more is a mistake in the file, not a layer.
inline constexpr int64_t kMaxProgramRequests = int64_t{1} << 28;
inline constexpr int64_t kMaxProgramTiles = int64_t{1} << 20;
inline constexpr int64_t kMaxTensorBytes = int64_t{1} << 30;

// Errors: kInvalidArgument if the program would exceed the limits above.
[[nodiscard]] Result<GemminiProgram> gemmini_program(const GemminiMachine& machine,
                                                     const ConvLayer& layer,
                                                     const GemminiMapping& mapping);

}  // namespace dovetail::silicon
