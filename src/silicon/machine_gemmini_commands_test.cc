#include "silicon/machine_gemmini_commands.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "base/random.h"

namespace dovetail::silicon {
namespace {

// Oracle: writes out every single element that a program of loops touches and counts what the
// machine would send for it. Slow and obvious; shares nothing with the walker but the constants.
struct Oracle {
  const GemminiMachine& machine;
  const ConvLayer& layer;
  const GemminiMapping& mapping;

  struct Counts {
    int64_t tiles = 0, load_commands = 0, load_lines = 0, load_bytes = 0, load_beats = 0;
    int64_t first_lines = 0, zero_rows = 0, blocks = 0, pairs = 0, rows = 0;
    int64_t store_commands = 0, store_requests = 0, store_beats = 0, macs = 0, stored_bytes = 0;
    double round_trips = 0;
    bool operator==(const Counts&) const = default;
  };

  [[nodiscard]] int64_t dim(char name) const {
    return layer.size[std::string("NQPKSRC").find(name)];
  }

  // A row of bytes: the set of cache lines and of bus beats that its bytes lie in.
  struct RowTouch {
    std::set<int64_t> lines;
    std::set<int64_t> beats;
  };
  [[nodiscard]] RowTouch touch(int64_t address, int64_t bytes) const {
    RowTouch t;
    for (int64_t b = address; b < address + bytes; ++b) {
      t.lines.insert(b / machine.line_bytes);
      t.beats.insert(b / machine.bus_bytes);
    }
    return t;
  }

  void command(Counts& c, std::set<std::pair<char, int64_t>>& seen, char tensor,
               const std::vector<std::pair<int64_t, int64_t>>& rows) const {
    int64_t lines = 0;
    int64_t first = 0;
    for (const auto& [address, bytes] : rows) {
      const RowTouch t = touch(address, bytes);
      lines += static_cast<int64_t>(t.lines.size());
      c.load_beats += static_cast<int64_t>(t.beats.size());
      c.load_bytes += bytes;
      for (const int64_t line : t.lines) first += seen.insert({tensor, line}).second ? 1 : 0;
    }
    ++c.load_commands;
    c.load_lines += lines;
    c.first_lines += first;
    const double share =
        std::max(1.0 / static_cast<double>(machine.commands_in_flight),
                 static_cast<double>(lines) / static_cast<double>(machine.requests_in_flight));
    c.round_trips += share * static_cast<double>(first) / static_cast<double>(lines);
  }

  // Input pixel (y, x), channels [c, c + n): its place in memory.
  [[nodiscard]] int64_t input_at(int64_t y, int64_t x, int64_t c) const {
    const int64_t side = dim('P') * layer.stride;
    return layer.is_matmul() ? x * dim('C') + c : (y * side + x) * dim('C') + c;
  }

  void load_inputs(Counts& c, std::set<std::pair<char, int64_t>>& seen, const LoopSizes& from,
                   const LoopSizes& size) const {
    const int64_t pad = layer.is_matmul() ? 0 : dim('S') / 2;
    const int64_t side = layer.is_matmul() ? dim('P') : dim('P') * layer.stride;
    const bool matmul = layer.is_matmul();
    const int64_t rows = matmul ? 1 : size[1] * layer.stride + size[4] - 1;
    const int64_t cols = matmul ? size[2] : size[2] * layer.stride + size[5] - 1;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t y = matmul ? 0 : from[1] * layer.stride + from[4] - pad + i;
      std::vector<int64_t> inside;
      for (int64_t j = 0; j < cols; ++j) {
        const int64_t x = matmul ? from[2] + j : from[2] * layer.stride + from[5] - pad + j;
        const bool padding = !matmul && (y < 0 || y >= side || x < 0 || x >= side);
        if (!padding) inside.push_back(x);
        if (padding) {
          for (int64_t ch = 0; ch < size[6]; ch += machine.request_bytes) ++c.zero_rows;
        }
      }
      for (size_t first = 0; first < inside.size(); first += static_cast<size_t>(machine.dim)) {
        for (int64_t ch = 0; ch < size[6]; ch += machine.request_bytes) {
          std::vector<std::pair<int64_t, int64_t>> piece;
          for (size_t k = first;
               k < std::min(inside.size(), first + static_cast<size_t>(machine.dim)); ++k) {
            piece.emplace_back(input_at(y, inside[k], from[6] + ch),
                               std::min(machine.request_bytes, size[6] - ch));
          }
          command(c, seen, 'i', piece);
        }
      }
    }
  }

  void load_weights(Counts& c, std::set<std::pair<char, int64_t>>& seen, const LoopSizes& from,
                    const LoopSizes& size) const {
    for (int64_t k = 0; k < size[3]; k += machine.request_bytes) {
      for (int64_t s = 0; s < size[4]; ++s) {
        for (int64_t r = 0; r < size[5]; ++r) {
          for (int64_t ch = 0; ch < size[6]; ch += machine.dim) {
            std::vector<std::pair<int64_t, int64_t>> piece;
            for (int64_t row = ch; row < std::min(size[6], ch + machine.dim); ++row) {
              const int64_t tap = (from[4] + s) * dim('S') + from[5] + r;
              piece.emplace_back((tap * dim('C') + from[6] + row) * dim('K') + from[3] + k,
                                 std::min(machine.request_bytes, size[3] - k));
            }
            command(c, seen, 'w', piece);
          }
        }
      }
    }
  }

  // Every multiply of the tile, gathered into weight blocks and into pairs of one output row piece.
  void compute(Counts& c, const LoopSizes& size) const {
    std::map<std::vector<int64_t>, std::map<std::vector<int64_t>, std::set<int64_t>>> work;
    for (int64_t q = 0; q < size[1]; ++q)
      for (int64_t p = 0; p < size[2]; ++p)
        for (int64_t k = 0; k < size[3]; ++k)
          for (int64_t s = 0; s < size[4]; ++s)
            for (int64_t r = 0; r < size[5]; ++r)
              for (int64_t ch = 0; ch < size[6]; ++ch) {
                ++c.macs;
                work[{k / machine.dim, s, r, ch / machine.dim}][{q, p / machine.dim}].insert(p);
              }
    for (const auto& [block, pairs] : work) {
      ++c.blocks;
      bool first = true;
      for (const auto& [piece, columns] : pairs) {
        ++c.pairs;
        const auto rows = static_cast<int64_t>(columns.size());
        // The first pair also feeds the weights: dim rows, however many columns there are.
        c.rows += first ? std::max(machine.dim, rows) : std::max(rows, machine.min_pair_cycles);
        first = false;
      }
    }
  }

  void store(Counts& c, const LoopSizes& from, const LoopSizes& size) const {
    const int64_t width = layer.is_matmul() ? machine.request_bytes : machine.dim;
    std::set<std::tuple<int64_t, int64_t, int64_t>> commands;
    for (int64_t q = 0; q < size[1]; ++q)
      for (int64_t p = 0; p < size[2]; ++p)
        for (int64_t k = 0; k < size[3]; k += width) {
          commands.insert({q, p / machine.dim, k});
          const int64_t pixel = (from[1] + q) * dim('P') + from[2] + p;
          const int64_t bytes = std::min(width, size[3] - k);
          const RowTouch t = touch(pixel * dim('K') + from[3] + k, bytes);
          c.store_requests += static_cast<int64_t>(t.lines.size());
          c.store_beats += static_cast<int64_t>(t.beats.size());
          c.stored_bytes += bytes;
        }
    c.store_commands += static_cast<int64_t>(commands.size());
  }

  [[nodiscard]] Counts count() const {
    Counts c;
    LoopSizes from{};
    const std::function<void(size_t)> loop = [&](size_t depth) {
      if (depth < kNumLoopDims) {
        const auto d = static_cast<size_t>(mapping.order[depth]);
        for (from[d] = 0; from[d] < layer.size[d]; from[d] += mapping.tile[d]) loop(depth + 1);
        from[d] = 0;
        return;
      }
      LoopSizes size{};
      for (size_t d = 0; d < kNumLoopDims; ++d) {
        size[d] = std::min(mapping.tile[d], layer.size[d] - from[d]);
      }
      ++c.tiles;
      std::set<std::pair<char, int64_t>> seen;
      load_inputs(c, seen, from, size);
      load_weights(c, seen, from, size);
      compute(c, size);
      const bool last = from[4] + size[4] == dim('S') && from[5] + size[5] == dim('R') &&
                        from[6] + size[6] == dim('C');
      if (last) store(c, from, size);
    };
    loop(0);
    return c;
  }
};

Oracle::Counts walked(const GemminiProgram& program) {
  Oracle::Counts c;
  for (const int32_t kind : program.sequence) {
    const TileCommands& t = program.kinds[static_cast<size_t>(kind)];
    ++c.tiles;
    c.load_commands += t.load_commands;
    c.load_lines += t.load_lines;
    c.load_bytes += t.load_bytes;
    c.load_beats += t.load_beats;
    c.zero_rows += t.zero_rows;
    c.round_trips += t.fetch_round_trips;
    c.blocks += t.blocks;
    c.pairs += t.blocks * t.pairs_per_block;
    c.rows += t.blocks * t.rows_per_block;
    c.store_commands += t.store_commands;
    c.store_requests += t.store_requests;
    c.store_beats += t.store_beats;
  }
  return c;
}

void expect_equal(const GemminiMachine& machine, const ConvLayer& layer,
                  const GemminiMapping& mapping) {
  const auto program = gemmini_program(machine, layer, mapping);
  ASSERT_TRUE(program.has_value()) << program.error().message;
  const Oracle::Counts wanted = Oracle{machine, layer, mapping}.count();
  const Oracle::Counts got = walked(*program);
  EXPECT_EQ(got.tiles, wanted.tiles);
  EXPECT_EQ(got.load_commands, wanted.load_commands);
  EXPECT_EQ(got.load_lines, wanted.load_lines);
  EXPECT_EQ(got.load_bytes, wanted.load_bytes);
  EXPECT_EQ(got.load_beats, wanted.load_beats);
  EXPECT_EQ(got.zero_rows, wanted.zero_rows);
  EXPECT_NEAR(got.round_trips, wanted.round_trips, 1e-9 * (1 + wanted.round_trips));
  EXPECT_EQ(got.blocks, wanted.blocks);
  EXPECT_EQ(got.pairs, wanted.pairs);
  EXPECT_EQ(got.rows, wanted.rows);
  EXPECT_EQ(got.store_commands, wanted.store_commands);
  EXPECT_EQ(got.store_requests, wanted.store_requests);
  EXPECT_EQ(got.store_beats, wanted.store_beats);
  int64_t outputs = 1;
  for (const LoopDim d : {LoopDim::kQ, LoopDim::kP, LoopDim::kK})
    outputs *= layer.size[index_of(d)];
  EXPECT_EQ(wanted.stored_bytes, outputs);  // every output leaves once
}

TEST(GemminiProgram, CountsAHandWorkedTile) {
  // 1x1 convolution, 4x4 pixels, 32 -> 16 channels, one tile. Inputs: four rows of four pixels of
  // 32 bytes, a command a row: 4 commands, 16 lines asked for, 8 distinct, 32 beats. Weights: 32
  // rows of 16 bytes, 16 a command: 2 commands, 32 lines asked for, 8 distinct, 32 beats.
  const ConvLayer layer{{1, 4, 4, 16, 1, 1, 32}, 1};
  const auto mapping =
      parse_gemmini_mapping("L3[WIO] N1 - L2[WI] N1 K16X - L1[O] C2 Q4 C16X - L0[W] P4", layer);
  ASSERT_TRUE(mapping.has_value()) << mapping.error().message;
  const auto program = gemmini_program({}, layer, *mapping);
  ASSERT_TRUE(program.has_value()) << program.error().message;
  ASSERT_EQ(program->sequence.size(), 1U);
  const TileCommands& t = program->kinds[0];
  EXPECT_EQ(t.load_commands, 6);
  EXPECT_EQ(t.load_lines, 48);
  EXPECT_EQ(t.load_beats, 64);
  EXPECT_EQ(t.zero_rows, 0);
  // Inputs: 4 commands of 4 requests take half a round trip each, half of them first touches: 1.
  // Weights: 2 commands of 16 requests take a whole one, a quarter of them first touches: 0.5.
  EXPECT_NEAR(t.fetch_round_trips, 1.5, 1e-12);
  // Two weight blocks meet four rows of four pixels: 16 rows with the weights, then three of four.
  EXPECT_EQ(t.blocks, 2);
  EXPECT_EQ(t.pairs_per_block, 4);
  EXPECT_EQ(t.rows_per_block, 28);
  // 16 pixels of 16 bytes: 4 commands, 16 requests, three of four to the line of the one before.
  EXPECT_EQ(t.store_commands, 4);
  EXPECT_EQ(t.store_requests, 16);
  EXPECT_EQ(t.store_same_line, 12);
  EXPECT_EQ(t.scratchpad_bytes, 16 * 32 + 32 * 16);
  EXPECT_EQ(t.accumulator_rows, 16);
  // Cold memory: one DRAM row of inputs, one of weights in another bank region, one of outputs.
  EXPECT_EQ(t.load_activations, 2);
  EXPECT_EQ(t.store_activations, 1);
}

TEST(GemminiProgram, MatchesBruteForceOnRandomSmallLayers) {
  Random random(7);
  GemminiMachine machine;
  for (int round = 0; round < 120; ++round) {
    ConvLayer layer;
    const bool matmul = round % 3 == 0;
    const int64_t pixels = 1 + random.below(matmul ? 40 : 9);
    const int64_t kernel = matmul ? 1 : 1 + random.below(3);
    layer.size = {1,      matmul ? 1 : pixels, pixels, 1 + random.below(80), kernel,
                  kernel, 1 + random.below(70)};
    layer.stride = matmul ? 1 : 1 + random.below(2);
    if (layer.is_matmul()) layer.stride = 1;
    GemminiMapping mapping;
    for (size_t d = 0; d < kNumLoopDims; ++d) {
      mapping.tile[d] = 1 + random.below(layer.size[d]);
      // A matrix product's tiles are whole blocks of the array, as the program pads them.
      if (layer.is_matmul())
        mapping.tile[d] = std::min(layer.size[d], (mapping.tile[d] + 15) / 16 * 16);
      mapping.order[d] = static_cast<LoopDim>(d);
    }
    for (size_t i = kNumLoopDims; i > 1; --i) {
      std::swap(mapping.order[i - 1],
                mapping.order[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
    }
    expect_equal(machine, layer, mapping);
    if (HasFailure()) FAIL() << layer.name() << " in round " << round;
  }
}

TEST(GemminiProgram, ASmallCacheOpensMoreDramRows) {
  // Weights are read again for each of 8 tiles of pixels: 64 KiB fit a cache of 4 MiB, not of 16
  // KiB.
  const ConvLayer layer{{1, 16, 16, 256, 1, 1, 256}, 1};
  const auto mapping = parse_gemmini_mapping(
      "L3[WIO] Q8 - L2[WI] N1 K16X - L1[O] K16 C16 Q2 C16X - L0[W] P16", layer);
  ASSERT_TRUE(mapping.has_value()) << mapping.error().message;
  const auto activations = [&](int64_t cache_bytes) {
    GemminiMachine machine;
    machine.cache_bytes = cache_bytes;
    const auto program = gemmini_program(machine, layer, *mapping);
    int64_t sum = 0;
    for (const int32_t kind : program->sequence) {
      sum += program->kinds[static_cast<size_t>(kind)].load_activations;
    }
    return sum;
  };
  EXPECT_GT(activations(16 << 10), 4 * activations(4 << 20));
}

TEST(GemminiProgram, RefusesWhatWouldNeverEnd) {
  const ConvLayer many{{1, 8192, 8192, 16, 1, 1, 16}, 1};
  GemminiMapping mapping;
  mapping.tile.fill(1);
  for (size_t d = 0; d < kNumLoopDims; ++d) mapping.order[d] = static_cast<LoopDim>(d);
  const auto tiles = gemmini_program({}, many, mapping);
  ASSERT_FALSE(tiles.has_value());
  EXPECT_EQ(tiles.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(tiles.error().message.find("mapping makes 1.72e+10 tiles"), std::string::npos)
      << tiles.error().message;
  const ConvLayer wide{{1, 1, 65536, 65536, 1, 1, 65536}, 1};
  mapping.tile = wide.size;
  const auto bytes = gemmini_program({}, wide, mapping);
  ASSERT_FALSE(bytes.has_value());
  EXPECT_NE(bytes.error().message.find("4294967296 bytes, want at most 1073741824"),
            std::string::npos);
}

TEST(GemminiMachine, IsReadFromThePublishedDescription) {
  const auto machines = Technology::load("data/machines");
  ASSERT_TRUE(machines.has_value()) << machines.error().message;
  const auto machine = gemmini_machine(*machines);
  ASSERT_TRUE(machine.has_value()) << machine.error().message;
  EXPECT_EQ(machine->dim, 16);
  EXPECT_EQ(machine->scratchpad_bytes, 256 << 10);
  EXPECT_EQ(machine->commands_in_flight, 2);
  const auto broken = gemmini_machine(machines->with("gemmini.dma.bus_bytes", 0.5));
  ASSERT_FALSE(broken.has_value());
  EXPECT_NE(broken.error().message.find("gemmini.dma.bus_bytes = 0.5"), std::string::npos);
}

}  // namespace
}  // namespace dovetail::silicon
