#include "silicon/machine_gemmini_commands.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>

namespace dovetail::silicon {
namespace {

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

enum class Tensor : uint8_t { kInput, kWeight, kOutput };
constexpr size_t kNumTensors = 3;

// Last-level cache (least recently used) and the open row of every DRAM bank. Tensors start at
// multiples of 2^26 lines: far apart, aligned alike.
class Memory {
 public:
  Memory(const GemminiMachine& machine, const std::array<int64_t, kNumTensors>& tensor_bytes)
      : line_bytes_(machine.line_bytes),
        ways_(static_cast<size_t>(machine.cache_ways)),
        sets_(static_cast<size_t>(
            std::max<int64_t>(1, machine.cache_bytes / machine.line_bytes / machine.cache_ways))),
        lines_per_row_(std::max<int64_t>(1, machine.dram_row_bytes / machine.line_bytes)),
        open_rows_(static_cast<size_t>(machine.dram_banks), -1),
        entries_(sets_ * ways_) {
    for (size_t t = 0; t < kNumTensors; ++t) {
      touched_[t].assign(static_cast<size_t>(tensor_bytes[t] / line_bytes_ + 2), 0);
    }
  }

  void start_tile() { ++tile_; }

  // True if it is the line's first touch in this tile; the cache and the DRAM then see it.
  bool touch(Tensor tensor, int64_t line, bool write) {
    int32_t& mark = touched_[static_cast<size_t>(tensor)][static_cast<size_t>(line)];
    const bool first = mark != tile_;
    mark = tile_;
    access_cache((static_cast<int64_t>(tensor) << 26) + line, write);
    return first;
  }

  [[nodiscard]] int64_t line_bytes() const { return line_bytes_; }
  [[nodiscard]] int64_t activations() const { return activations_; }

 private:
  struct Entry {
    int64_t line = -1;
    uint32_t age = 0;
    bool dirty = false;
  };

  void access_cache(int64_t line, bool write) {
    Entry* const set = &entries_[static_cast<size_t>(line) % sets_ * ways_];
    ++now_;
    Entry* victim = set;
    for (size_t way = 0; way < ways_; ++way) {
      if (set[way].line == line) {
        set[way].age = now_;
        set[way].dirty |= write;
        return;
      }
      if (set[way].age < victim->age) victim = &set[way];
    }
    if (victim->dirty) access_dram(victim->line);
    access_dram(line);
    *victim = {line, now_, write};
  }

  void access_dram(int64_t line) {
    const int64_t row = line / lines_per_row_;
    int64_t& open = open_rows_[static_cast<size_t>(row) % open_rows_.size()];
    activations_ += open == row ? 0 : 1;
    open = row;
  }

  int64_t line_bytes_;
  size_t ways_;
  size_t sets_;
  int64_t lines_per_row_;
  std::vector<int64_t> open_rows_;
  std::vector<Entry> entries_;
  std::array<std::vector<int32_t>, kNumTensors> touched_;
  int32_t tile_ = 0;
  uint32_t now_ = 0;
  int64_t activations_ = 0;
};

struct Layout {
  int64_t channels = 0;      // C
  int64_t out_channels = 0;  // K
  int64_t out_pixels = 0;    // output pixels a side; rows of a matmul
  int64_t in_pixels = 0;     // input pixels a side, as the program sets it: outputs times stride
  int64_t kernel = 0;        // S = R
  int64_t padding = 0;
  int64_t stride = 0;
  bool is_matmul = false;
};

Layout layout_of(const ConvLayer& layer) {
  const auto at = [&](LoopDim dim) { return layer.size[index_of(dim)]; };
  const bool matmul = layer.is_matmul();
  return {.channels = at(LoopDim::kC),
          .out_channels = at(LoopDim::kK),
          .out_pixels = at(LoopDim::kP),
          .in_pixels = at(LoopDim::kP) * layer.stride,
          .kernel = at(LoopDim::kS),
          .padding = matmul ? 0 : at(LoopDim::kS) / 2,
          .stride = layer.stride,
          .is_matmul = matmul};
}

std::array<int64_t, kNumTensors> tensor_bytes(const Layout& l) {
  const int64_t in_rows = l.is_matmul ? l.out_pixels : l.in_pixels * l.in_pixels;
  const int64_t out_rows = l.is_matmul ? l.out_pixels : l.out_pixels * l.out_pixels;
  return {in_rows * l.channels, l.kernel * l.kernel * l.channels * l.out_channels,
          out_rows * l.out_channels};
}

// Where a tile starts and how far it reaches, by dimension.
struct TilePlace {
  LoopSizes start{};
  LoopSizes extent{};
  [[nodiscard]] int64_t from(LoopDim dim) const { return start[index_of(dim)]; }
  [[nodiscard]] int64_t size(LoopDim dim) const { return extent[index_of(dim)]; }
};

class TileWalker {
 public:
  TileWalker(const GemminiMachine& machine, const ConvLayer& layer)
      : machine_(machine),
        layer_(layer),
        layout_(layout_of(layer)),
        memory_(machine, tensor_bytes(layout_)) {}

  TileCommands walk(const TilePlace& place) {
    place_ = &place;
    tile_ = {};
    memory_.start_tile();
    const int64_t before = memory_.activations();
    layout_.is_matmul ? load_matmul_input() : load_input();
    load_weights();
    tile_.load_activations = memory_.activations() - before;
    compute();
    if (ends_reduction()) store();
    tile_.store_activations = memory_.activations() - before - tile_.load_activations;
    return tile_;
  }

 private:
  [[nodiscard]] int64_t from(LoopDim dim) const { return place_->from(dim); }
  [[nodiscard]] int64_t size(LoopDim dim) const { return place_->size(dim); }

  // One move-in command: `rows` rows of `bytes`, `pitch` apart.
  void move_in(Tensor tensor, int64_t address, int64_t pitch, int64_t rows, int64_t bytes) {
    int64_t lines = 0;
    int64_t first_touches = 0;
    for (int64_t row = 0; row < rows; ++row, address += pitch) {
      const int64_t last = address + bytes - 1;
      for (int64_t line = address / memory_.line_bytes(); line <= last / memory_.line_bytes();
           ++line) {
        ++lines;
        first_touches += memory_.touch(tensor, line, false) ? 1 : 0;
      }
      tile_.load_beats += last / machine_.bus_bytes - address / machine_.bus_bytes + 1;
    }
    ++tile_.load_commands;
    tile_.load_lines += lines;
    tile_.load_bytes += rows * bytes;
    const double round_trips =
        std::max(1.0 / static_cast<double>(machine_.commands_in_flight),
                 static_cast<double>(lines) / static_cast<double>(machine_.requests_in_flight));
    tile_.fetch_round_trips +=
        round_trips * static_cast<double>(first_touches) / static_cast<double>(lines);
  }

  void load_matmul_input() {
    const int64_t channels = size(LoopDim::kC);
    for (int64_t row = 0; row < size(LoopDim::kP); row += machine_.dim) {
      for (int64_t c = 0; c < channels; c += machine_.request_bytes) {
        move_in(Tensor::kInput,
                (from(LoopDim::kP) + row) * layout_.channels + from(LoopDim::kC) + c,
                layout_.channels, std::min(machine_.dim, size(LoopDim::kP) - row),
                std::min(machine_.request_bytes, channels - c));
      }
    }
  }

  // Input rows of a convolution tile, padding included. The unroller asks for stride rows past the
  // last output rather than for the kernel's reach, so a stride of two loads a row too many.
  void load_input() {
    const int64_t rows = size(LoopDim::kQ) * layout_.stride + size(LoopDim::kS) - 1;
    const int64_t cols = size(LoopDim::kP) * layout_.stride + size(LoopDim::kR) - 1;
    const int64_t row0 = from(LoopDim::kQ) * layout_.stride + from(LoopDim::kS) - layout_.padding;
    const int64_t col0 = from(LoopDim::kP) * layout_.stride + from(LoopDim::kR) - layout_.padding;
    const int64_t col_begin = std::max<int64_t>(col0, 0);
    const int64_t col_end = std::min(col0 + cols, layout_.in_pixels);
    const int64_t channel_groups = ceil_div(size(LoopDim::kC), machine_.request_bytes);
    for (int64_t row = row0; row < row0 + rows; ++row) {
      const bool outside = row < 0 || row >= layout_.in_pixels;
      const int64_t padded = outside ? cols : cols - (col_end - col_begin);
      tile_.zero_rows += padded * channel_groups;
      if (!outside) load_input_row(row, col_begin, col_end);
    }
  }

  void load_input_row(int64_t row, int64_t col_begin, int64_t col_end) {
    const int64_t channels = size(LoopDim::kC);
    for (int64_t col = col_begin; col < col_end; col += machine_.dim) {
      for (int64_t c = 0; c < channels; c += machine_.request_bytes) {
        move_in(Tensor::kInput,
                (row * layout_.in_pixels + col) * layout_.channels + from(LoopDim::kC) + c,
                layout_.channels, std::min(machine_.dim, col_end - col),
                std::min(machine_.request_bytes, channels - c));
      }
    }
  }

  void load_weights() {
    const int64_t out = size(LoopDim::kK);
    const int64_t in = size(LoopDim::kC);
    for (int64_t k = 0; k < out; k += machine_.request_bytes) {
      for (int64_t s = 0; s < size(LoopDim::kS); ++s) {
        for (int64_t r = 0; r < size(LoopDim::kR); ++r) {
          const int64_t tap = (from(LoopDim::kS) + s) * layout_.kernel + from(LoopDim::kR) + r;
          for (int64_t c = 0; c < in; c += machine_.dim) {
            const int64_t row = tap * layout_.channels + from(LoopDim::kC) + c;
            move_in(Tensor::kWeight, row * layout_.out_channels + from(LoopDim::kK) + k,
                    layout_.out_channels, std::min(machine_.dim, in - c),
                    std::min(machine_.request_bytes, out - k));
          }
        }
      }
    }
  }

  // A weight block meets every output row of the tile, cut into pieces of dim columns.
  void compute() {
    const int64_t cols = size(LoopDim::kP);
    const int64_t pieces = ceil_div(cols, machine_.dim);
    const int64_t rest = cols % machine_.dim;
    const int64_t cycles_a_row = cols / machine_.dim * machine_.dim +
                                 (rest > 0 ? std::max(rest, machine_.min_pair_cycles) : 0);
    const int64_t out_blocks = ceil_div(size(LoopDim::kK), machine_.dim);
    tile_.blocks = out_blocks * ceil_div(size(LoopDim::kC), machine_.dim) * size(LoopDim::kS) *
                   size(LoopDim::kR);
    tile_.pairs_per_block = size(LoopDim::kQ) * pieces;
    const int64_t first = cols >= machine_.dim ? machine_.dim : cycles_a_row;
    tile_.rows_per_block = size(LoopDim::kQ) * cycles_a_row - first + machine_.dim;
    const int64_t padded_in = ceil_div(size(LoopDim::kC), machine_.dim) * machine_.dim;
    const int64_t in_rows =
        layout_.is_matmul ? cols : size(LoopDim::kQ) * layout_.stride + size(LoopDim::kS) - 1;
    const int64_t in_cols = layout_.is_matmul ? 1 : cols * layout_.stride + size(LoopDim::kR) - 1;
    tile_.scratchpad_bytes = in_rows * in_cols * padded_in + size(LoopDim::kC) * size(LoopDim::kS) *
                                                                 size(LoopDim::kR) * out_blocks *
                                                                 machine_.dim;
    tile_.accumulator_rows = size(LoopDim::kQ) * cols * out_blocks;
  }

  [[nodiscard]] bool ends_reduction() const {
    const auto ends = [&](LoopDim dim) {
      return from(dim) + size(dim) >= layer_.size[index_of(dim)];
    };
    return ends(LoopDim::kC) && ends(LoopDim::kS) && ends(LoopDim::kR);
  }

  // A matrix product moves out up to a whole request a row, a convolution one block of the array.
  void store() {
    const int64_t width = layout_.is_matmul ? machine_.request_bytes : machine_.dim;
    int64_t line_before = -1;
    for (int64_t q = 0; q < size(LoopDim::kQ); ++q) {
      for (int64_t p0 = 0; p0 < size(LoopDim::kP); p0 += machine_.dim) {
        for (int64_t k = 0; k < size(LoopDim::kK); k += width) {
          ++tile_.store_commands;
          const int64_t p_end = std::min(p0 + machine_.dim, size(LoopDim::kP));
          for (int64_t p = p0; p < p_end; ++p) {
            const int64_t pixel =
                (from(LoopDim::kQ) + q) * layout_.out_pixels + from(LoopDim::kP) + p;
            store_row(pixel * layout_.out_channels + from(LoopDim::kK) + k,
                      std::min(width, size(LoopDim::kK) - k), line_before);
          }
        }
      }
    }
  }

  void store_row(int64_t address, int64_t bytes, int64_t& line_before) {
    const int64_t last = address + bytes - 1;
    for (int64_t line = address / memory_.line_bytes(); line <= last / memory_.line_bytes();
         ++line) {
      ++tile_.store_requests;
      tile_.store_same_line += line == line_before ? 1 : 0;
      line_before = line;
      static_cast<void>(memory_.touch(Tensor::kOutput, line, true));
    }
    tile_.store_beats += last / machine_.bus_bytes - address / machine_.bus_bytes + 1;
  }

  const GemminiMachine& machine_;
  const ConvLayer& layer_;
  Layout layout_;
  Memory memory_;
  const TilePlace* place_ = nullptr;
  TileCommands tile_;
};

// Tiles and an upper estimate of the requests, in doubles: neither may overflow.
Status check_size(const ConvLayer& layer, const GemminiMapping& mapping) {
  double tiles = 1;
  for (size_t d = 0; d < kNumLoopDims; ++d) {
    tiles *= static_cast<double>(ceil_div(layer.size[d], mapping.tile[d]));
  }
  const auto tile = [&](LoopDim dim) { return static_cast<double>(mapping.tile[index_of(dim)]); };
  const double stride = static_cast<double>(layer.stride);
  const double rows = tile(LoopDim::kQ) * stride + tile(LoopDim::kS);
  const double cols = tile(LoopDim::kP) * stride + tile(LoopDim::kR);
  const double inputs = rows * cols * (tile(LoopDim::kC) / 64 + 2);
  const double weights =
      tile(LoopDim::kC) * tile(LoopDim::kS) * tile(LoopDim::kR) * (tile(LoopDim::kK) / 64 + 2);
  const double outputs = tile(LoopDim::kQ) * tile(LoopDim::kP) * (tile(LoopDim::kK) / 16 + 1);
  const double requests = tiles * (inputs + weights + outputs);
  for (const int64_t bytes : tensor_bytes(layout_of(layer))) {
    if (bytes > kMaxTensorBytes) {
      return invalid_argument(fmt::format("layer {} has a tensor of {} bytes, want at most {}",
                                          layer.name(), bytes, kMaxTensorBytes));
    }
  }
  if (tiles > static_cast<double>(kMaxProgramTiles) ||
      requests > static_cast<double>(kMaxProgramRequests)) {
    return invalid_argument(
        fmt::format("mapping makes {:.3g} tiles and about {:.3g} memory requests, want at most {} "
                    "and {}",
                    tiles, requests, kMaxProgramTiles, kMaxProgramRequests));
  }
  return {};
}

// Calls visit(place) for every tile in the order of the DRAM loops.
template <typename Visit>
void for_each_tile(const ConvLayer& layer, const GemminiMapping& mapping, const Visit& visit) {
  TilePlace place;
  for (;;) {
    for (size_t d = 0; d < kNumLoopDims; ++d) {
      place.extent[d] = std::min(mapping.tile[d], layer.size[d] - place.start[d]);
    }
    visit(place);
    size_t loop = kNumLoopDims;
    while (loop-- > 0) {
      const size_t d = index_of(mapping.order[loop]);
      place.start[d] += mapping.tile[d];
      if (place.start[d] < layer.size[d]) break;
      place.start[d] = 0;
      if (loop == 0) return;
    }
  }
}

size_t hash_of(const TileCommands& tile) {
  uint64_t hash = 1469598103934665603ULL;  // FNV-1a over the counts that differ from tile to tile
  for (const int64_t value :
       {tile.load_lines, tile.load_beats, tile.load_activations, tile.zero_rows, tile.blocks,
        tile.store_requests, tile.store_activations,
        static_cast<int64_t>(tile.fetch_round_trips * 1024)}) {
    hash = (hash ^ static_cast<uint64_t>(value)) * 1099511628211ULL;
  }
  return static_cast<size_t>(hash);
}

struct TileHash {
  size_t operator()(const TileCommands& tile) const { return hash_of(tile); }
};

Result<int64_t> whole(const Technology& machines, const std::string& key) {
  DOVETAIL_TRY(const double value, machines.value("gemmini." + key));
  if (value < 1 || value != std::floor(value) || value > 1e12) {
    return invalid_argument(fmt::format("{}: gemmini.{} = {:g}, want a whole number of at least 1",
                                        machines.file_of("gemmini"), key, value));
  }
  return static_cast<int64_t>(value);
}

}  // namespace

Result<GemminiMachine> gemmini_machine(const Technology& machines) {
  GemminiMachine machine;
  DOVETAIL_TRY(machine.dim, whole(machines, "array.dim"));
  DOVETAIL_TRY(machine.min_pair_cycles, whole(machines, "array.min_pair_rows"));
  DOVETAIL_TRY(machine.scratchpad_bytes, whole(machines, "memory.scratchpad_bytes"));
  DOVETAIL_TRY(machine.accumulator_rows, whole(machines, "memory.accumulator_rows"));
  DOVETAIL_TRY(machine.request_bytes, whole(machines, "dma.request_bytes"));
  DOVETAIL_TRY(machine.bus_bytes, whole(machines, "dma.bus_bytes"));
  DOVETAIL_TRY(machine.requests_in_flight, whole(machines, "dma.requests_in_flight"));
  DOVETAIL_TRY(machine.commands_in_flight, whole(machines, "dma.commands_in_flight"));
  DOVETAIL_TRY(machine.cache_bytes, whole(machines, "host.cache_bytes"));
  DOVETAIL_TRY(machine.cache_ways, whole(machines, "host.cache_ways"));
  DOVETAIL_TRY(machine.line_bytes, whole(machines, "host.line_bytes"));
  DOVETAIL_TRY(machine.dram_row_bytes, whole(machines, "host.dram_row_bytes"));
  DOVETAIL_TRY(machine.dram_banks, whole(machines, "host.dram_banks"));
  return machine;
}

Result<GemminiProgram> gemmini_program(const GemminiMachine& machine, const ConvLayer& layer,
                                       const GemminiMapping& mapping) {
  DOVETAIL_TRY_STATUS(check_layer(layer));
  DOVETAIL_TRY_STATUS(check_size(layer, mapping));
  GemminiProgram program;
  program.is_matmul = layer.is_matmul();
  TileWalker walker(machine, layer);
  std::unordered_map<TileCommands, int32_t, TileHash> known;
  for_each_tile(layer, mapping, [&](const TilePlace& place) {
    const TileCommands tile = walker.walk(place);
    const auto [it, fresh] = known.emplace(tile, static_cast<int32_t>(program.kinds.size()));
    if (fresh) program.kinds.push_back(tile);
    program.sequence.push_back(it->second);
  });
  return program;
}

}  // namespace dovetail::silicon
