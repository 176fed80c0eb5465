#include "silicon/mapper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/random.h"
#include "silicon/area.h"
#include "silicon/constants.h"
#include "silicon/power.h"
#include "silicon/random_points.h"

namespace dovetail::silicon {
namespace {

using testing::pick;

constexpr std::array<Order, 2> kOrders = {Order::kWeightsStay, Order::kInputsStay};
constexpr std::array<Hold, 5> kHolds = {Hold::kNothing, Hold::kInputs, Hold::kWeights,
                                        Hold::kInputsAndBlock, Hold::kWeightsAndBlock};

struct Case {
  MapperProblem problem;
  MapperRoom room;
};

Case random_case(Random& random) {
  Case c;
  c.room = {.cores = pick<int64_t>(random, {1, 2, 3, 4}),
            .rows = pick<int64_t>(random, {1, 2, 3}),
            .cols = pick<int64_t>(random, {1, 2, 4}),
            .block_tiles = 1 + random.below(9),
            .hides_drain = random.below(2) == 0,
            .weight_buffer = static_cast<double>(random.below(random.below(2) == 0 ? 40 : 300)),
            .input_buffer = static_cast<double>(random.below(random.below(2) == 0 ? 40 : 300)),
            .hold = static_cast<double>(random.below(3) == 0 ? 0 : random.below(3000)),
            .block_fill_cycles = pick<double>(random, {0, 5})};
  c.problem = {.m = 1 + random.below(30),
               .n = 1 + random.below(30),
               .tile_cycles = static_cast<double>(1 + random.below(20)),
               .weight_row_bytes = static_cast<double>(8 + random.below(60)),
               .input_row_bytes = static_cast<double>(8 + random.below(60)),
               .inputs_in_dram = random.below(2) == 0,
               .weights_in_sram = random.below(4) == 0,
               .decodes = random.below(2) == 0};
  return c;
}

// Calls `function` with every mapping of the nest that fits, whatever its sizes.
template <typename Function>
void for_every_mapping(const Case& c, const Function& function) {
  for (int64_t split = 1; split <= c.room.cores; ++split) {
    if (c.room.cores % split != 0) continue;
    const int64_t core_m = (c.problem.m + split - 1) / split;
    const int64_t parts = c.room.cores / split;
    const int64_t core_n = (c.problem.n + parts - 1) / parts;
    for (int64_t block_m = 1; block_m <= (core_m + c.room.rows - 1) / c.room.rows; ++block_m) {
      for (int64_t block_n = 1; block_n <= (core_n + c.room.cols - 1) / c.room.cols; ++block_n) {
        for (const Order order : kOrders) {
          for (const Hold hold : kHolds) {
            for (int64_t panel = 1; panel <= (hold == Hold::kNothing ? 1 : 30); ++panel) {
              const Mapping map = {split, block_m, block_n, order, hold, panel};
              if (fits(c.problem, c.room, map)) function(map);
            }
          }
        }
      }
    }
  }
}

TEST(Mapper, NoMappingOfTheNestBeatsTheParetoSet) {
  Random random(1);
  std::vector<MappedCost> set;
  int64_t listed = 0;
  int64_t priced = 0;
  std::array<int, 5> holds_used = {};
  for (int i = 0; i < 3000; ++i) {
    const Case c = random_case(random);
    priced += pareto_mappings(c.problem, c.room, set);
    ASSERT_FALSE(set.empty());
    const double weight_bytes = static_cast<double>(c.problem.n) * c.problem.weight_row_bytes;
    for_every_mapping(c, [&](const Mapping& map) {
      ++listed;
      const MappingCost cost = mapping_cost(c.problem, c.room, map);
      const bool covered = std::any_of(set.begin(), set.end(), [&](const MappedCost& kept) {
        return dominates(kept.cost, cost, weight_bytes);
      });
      ASSERT_TRUE(covered) << i << " " << map.split_m << " " << map.block_m << " " << map.block_n
                           << " " << static_cast<int>(map.order) << " "
                           << static_cast<int>(map.hold) << " " << map.panel_blocks;
    });
    if (HasFatalFailure()) return;
    for (size_t a = 0; a < set.size(); ++a) {
      ASSERT_TRUE(fits(c.problem, c.room, set[a].mapping));
      const MappingCost again = mapping_cost(c.problem, c.room, set[a].mapping);
      ASSERT_EQ(again.dram_bytes, set[a].cost.dram_bytes);
      ASSERT_EQ(again.sram_bytes, set[a].cost.sram_bytes);
      for (size_t b = 0; b < set.size(); ++b) {
        ASSERT_FALSE(a != b && dominates(set[a].cost, set[b].cost, weight_bytes)) << i;
      }
      ++holds_used[static_cast<size_t>(set[a].mapping.hold)];
    }
  }
  EXPECT_GT(listed, 3 * priced);  // the pruning prunes
  for (const int used : holds_used) EXPECT_GT(used, 0) << ::testing::PrintToString(holds_used);
}

// Runs the nest literally, one core split into no others: remembers what the buffers and the shared
// SRAM hold and adds up what has to be fetched. Shares nothing with the formulas.
class Walker {
 public:
  explicit Walker(const Case& c) : c_(c) {}

  MappingCost walk(const Mapping& map) {
    const int64_t tiles_m = (c_.problem.m + c_.room.rows - 1) / c_.room.rows;
    const int64_t tiles_n = (c_.problem.n + c_.room.cols - 1) / c_.room.cols;
    const auto cut = [](int64_t total, int64_t size) {
      std::vector<int64_t> begins;
      for (int64_t at = 0; at < total; at += size) begins.push_back(at);
      return begins;
    };
    const auto blocks_m = static_cast<int64_t>(cut(tiles_m, map.block_m).size());
    const auto blocks_n = static_cast<int64_t>(cut(tiles_n, map.block_n).size());
    int64_t panel_m = blocks_m;
    int64_t panel_n = blocks_n;
    const bool inputs_outer = map.hold == Hold::kInputs || map.hold == Hold::kInputsAndBlock;
    if (inputs_outer) panel_m = map.panel_blocks;
    if (map.hold == Hold::kWeights || map.hold == Hold::kWeightsAndBlock)
      panel_n = map.panel_blocks;
    if (map.hold == Hold::kInputsAndBlock) panel_n = 1;
    if (map.hold == Hold::kWeightsAndBlock) panel_m = 1;
    map_ = map;
    const auto panels_m = cut(blocks_m, panel_m);
    const auto panels_n = cut(blocks_n, panel_n);
    for (const int64_t outer : inputs_outer ? panels_m : panels_n) {
      for (const int64_t inner : inputs_outer ? panels_n : panels_m) {
        const int64_t pm = inputs_outer ? outer : inner;
        const int64_t pn = inputs_outer ? inner : outer;
        panel(pm, std::min(pm + panel_m, blocks_m), pn, std::min(pn + panel_n, blocks_n));
      }
    }
    return cost_;
  }

 private:
  void panel(int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    const bool hold_inputs = map_.hold != Hold::kNothing && map_.hold != Hold::kWeights;
    const bool hold_weights = map_.hold != Hold::kNothing && map_.hold != Hold::kInputs;
    if (hold_inputs) hold(held_inputs_, m0, m1, input_bytes(m0, m1));
    if (hold_weights) hold(held_weights_, n0, n1, weight_bytes(n0, n1));
    if (map_.order == Order::kWeightsStay) {
      for (int64_t n = n0; n < n1; ++n) {
        for (int64_t m = m0; m < m1; ++m) block(m, n, hold_inputs, hold_weights);
      }
    } else {
      for (int64_t m = m0; m < m1; ++m) {
        for (int64_t n = n0; n < n1; ++n) block(m, n, hold_inputs, hold_weights);
      }
    }
  }

  void hold(std::pair<int64_t, int64_t>& now, int64_t begin, int64_t end, double bytes) {
    if (now == std::make_pair(begin, end)) return;
    now = {begin, end};
    cost_.dram_bytes += bytes;
    cost_.sram_bytes += bytes;
  }

  void block(int64_t m, int64_t n, bool hold_inputs, bool hold_weights) {
    const auto panel_w = static_cast<double>(map_.block_n * c_.room.cols);
    const auto panel_a = static_cast<double>(map_.block_m * c_.room.rows);
    if (n != buffered_n_ || panel_w * c_.problem.weight_row_bytes > c_.room.weight_buffer) {
      (hold_weights || c_.problem.weights_in_sram ? cost_.sram_bytes : cost_.dram_bytes) +=
          weight_bytes(n, n + 1);
    }
    if (m != buffered_m_ || panel_a * c_.problem.input_row_bytes > c_.room.input_buffer) {
      (hold_inputs || !c_.problem.inputs_in_dram ? cost_.sram_bytes : cost_.dram_bytes) +=
          input_bytes(m, m + 1);
    }
    buffered_n_ = n;
    buffered_m_ = m;
    const int64_t tiles = block_tiles(m, n);
    cost_.compute_cycles +=
        static_cast<double>(tiles) * c_.problem.tile_cycles + c_.room.block_fill_cycles;
    if (!c_.room.hides_drain) {
      cost_.compute_cycles += static_cast<double>(tiles * std::min(c_.problem.m, c_.room.rows));
    }
  }

  int64_t block_tiles(int64_t m, int64_t n) const {
    const int64_t tiles_m = (c_.problem.m + c_.room.rows - 1) / c_.room.rows;
    const int64_t tiles_n = (c_.problem.n + c_.room.cols - 1) / c_.room.cols;
    return std::min(map_.block_m, tiles_m - m * map_.block_m) *
           std::min(map_.block_n, tiles_n - n * map_.block_n);
  }
  double weight_bytes(int64_t n0, int64_t n1) const {
    const int64_t size = map_.block_n * c_.room.cols;
    return c_.problem.weight_row_bytes *
           static_cast<double>(std::min(c_.problem.n, n1 * size) - n0 * size);
  }
  double input_bytes(int64_t m0, int64_t m1) const {
    const int64_t size = map_.block_m * c_.room.rows;
    return c_.problem.input_row_bytes *
           static_cast<double>(std::min(c_.problem.m, m1 * size) - m0 * size);
  }

  const Case& c_;
  Mapping map_;
  MappingCost cost_;
  int64_t buffered_m_ = -1, buffered_n_ = -1;
  std::pair<int64_t, int64_t> held_inputs_ = {-1, -1}, held_weights_ = {-1, -1};
};

// Blocks in panels of one size each: then what is fetched is known exactly. With a shorter last
// panel the nest may find a block still there that the formula fetches again.
bool even_panels(const Case& c, const Mapping& map) {
  if (map.hold == Hold::kNothing) return true;
  const bool inputs = map.hold == Hold::kInputs || map.hold == Hold::kInputsAndBlock;
  const int64_t tiles = inputs ? (c.problem.m + c.room.rows - 1) / c.room.rows
                               : (c.problem.n + c.room.cols - 1) / c.room.cols;
  const int64_t block = inputs ? map.block_m : map.block_n;
  const int64_t blocks = (tiles + block - 1) / block;
  return blocks % std::min(map.panel_blocks, blocks) == 0;
}

TEST(Mapper, CostIsWhatALiteralWalkFetches) {
  Random random(2);
  int64_t even = 0;
  for (int i = 0; i < 300; ++i) {
    Case c = random_case(random);
    c.room.cores = 1;
    for_every_mapping(c, [&](const Mapping& map) {
      const MappingCost cost = mapping_cost(c.problem, c.room, map);
      const MappingCost walked = Walker(c).walk(map);
      ASSERT_LE(walked.dram_bytes, cost.dram_bytes) << i;
      ASSERT_LE(walked.sram_bytes, cost.sram_bytes) << i;
      const double last_drain =
          c.room.hides_drain ? static_cast<double>(std::min(c.problem.m, c.room.rows)) : 0;
      ASSERT_EQ(walked.compute_cycles + last_drain, cost.compute_cycles) << i;
      if (!even_panels(c, map)) return;
      ASSERT_EQ(walked.dram_bytes, cost.dram_bytes)
          << i << " " << map.block_m << " " << map.block_n << " " << static_cast<int>(map.order)
          << " " << static_cast<int>(map.hold) << " " << map.panel_blocks;
      ASSERT_EQ(walked.sram_bytes, cost.sram_bytes) << i;
      ++even;
    });
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(even, 10000);
}

// What `dominates` takes for granted of every chip.
TEST(Mapper, ADramByteIsTheDearest) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value());
  const auto constants = resolve_constants(*technology);
  ASSERT_TRUE(constants.has_value());
  Random random(3);
  constexpr double kMostValuesPerByte = 5;  // ternary, five to a byte
  for (int i = 0; i < 3000; ++i) {
    const auto chip = testing::random_chip(random);
    const auto area = estimate_area(*constants, chip);
    ASSERT_TRUE(area.has_value());
    const auto rates = chip_rates(*constants, chip, *area);
    ASSERT_TRUE(rates.has_value());
    ASSERT_LE(rates->sram_ns_per_byte, rates->dram_stream_ns_per_byte);
    ASSERT_LE(rates->dram_stream_ns_per_byte, rates->dram_spill_ns_per_byte);
    ASSERT_LE(rates->sram_pj_per_byte, kSramEnergyRel * rates->dram_pj_per_byte)
        << chip.node << " " << chip.sram_mib;
    ASSERT_LE(rates->weight_buffer_pj_per_byte + kMostValuesPerByte * rates->decode_pj_per_value,
              rates->dram_pj_per_byte)
        << chip.node << " " << chip.clock_mhz;
  }
}

}  // namespace
}  // namespace dovetail::silicon
