#include "silicon/machine_gemmini.h"

#include <gtest/gtest.h>

#include <numeric>

namespace dovetail::silicon {
namespace {

// request latency, activation, pair issue, pair overhead, same-line store, tile issue, start,
// overflow
const std::vector<double> kValues = {100, 10, 8, 0, 20, 0, 0, 1};

TileCommands plain_tile() {
  TileCommands tile;
  tile.load_beats = 100;
  tile.blocks = 10;
  tile.pairs_per_block = 1;
  tile.rows_per_block = 16;
  tile.store_beats = 30;
  return tile;
}

GemminiProgram program_of(const TileCommands& tile, size_t count, bool matmul = false) {
  return {.is_matmul = matmul, .kinds = {tile}, .sequence = std::vector<int32_t>(count, 0)};
}

double cycles(const GemminiProgram& program, const std::vector<double>& values = kValues) {
  return estimate_gemmini_latency({}, program, values).cycles;
}

TEST(GemminiLatency, MatchesAHandWorkedPipeline) {
  // Load 100, execute 160, store 30. One tile in a row: 290. Two: the second loads while the first
  // executes, executes from 260 to 420, stores to 450. Three: 580 + 30.
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 1)), 290);
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 2)), 450);
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 3)), 610);
  // A matrix product's array follows its loads: 160 + 30.
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 1, true)), 190);
}

TEST(GemminiLatency, TheThirdLoadWaitsForTheFirstTileToLeave) {
  // Load 500, execute 160, store 30: loads follow each other; the third may begin at 690 when the
  // first has left, but the second's load ends at 1000 anyway. Last tile: 1500 + 160 + 30.
  TileCommands tile = plain_tile();
  tile.load_beats = 500;
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 3)), 1690);
  // Load 100, execute 160, store 400. Stores bind: first tile ends at 660. Second stores to 1060.
  // The third loads from 660 to 760, executes from 760, stores from 1060 to 1460.
  tile = plain_tile();
  tile.store_beats = 400;
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 3)), 1460);
}

TEST(GemminiLatency, EachMechanismCostsWhatItSays) {
  TileCommands tile = plain_tile();
  tile.fetch_round_trips = 4.5;  // 450 > 100 beats
  tile.load_activations = 3;     // 30
  tile.zero_rows = 7;
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 1)), 450 + 30 + 7 + 160 + 30);
  tile = plain_tile();
  tile.pairs_per_block = 5;  // 5 * 8 = 40 > 16 rows
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 1)), 100 + 400 + 30);
  tile = plain_tile();
  tile.store_activations = 2;
  tile.store_same_line = 4;
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 1)), 100 + 160 + 30 + 20 + 80);
  std::vector<double> values = kValues;
  values[static_cast<size_t>(GemminiParameter::kStart)] = 1000;
  values[static_cast<size_t>(GemminiParameter::kTileIssue)] = 50;
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 1), values), 290 + 1000 + 50);
  values[static_cast<size_t>(GemminiParameter::kTileIssue)] = 500;  // then issue binds
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 3), values), 1500 + 290 + 1000);
  values = kValues;
  values[static_cast<size_t>(GemminiParameter::kPairOverhead)] = 2;
  EXPECT_DOUBLE_EQ(cycles(program_of(plain_tile(), 1), values), 290 + 20);
}

TEST(GemminiLatency, LargeTilesGiveUpTheOverlap) {
  // Over half of the scratchpad, hold 1: the second load waits for the first execution.
  TileCommands tile = plain_tile();
  tile.scratchpad_bytes = GemminiMachine{}.scratchpad_bytes / 2 + 1;
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 2)), 260 + 260 + 30);
  std::vector<double> values = kValues;
  values[static_cast<size_t>(GemminiParameter::kOverflowWait)] = 0.25;  // from 100 + 40 on
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 2), values), 450);
  // Over half of the accumulator: the second execution waits for the first stores.
  tile = plain_tile();
  tile.accumulator_rows = GemminiMachine{}.accumulator_rows / 2 + 1;
  EXPECT_DOUBLE_EQ(cycles(program_of(tile, 2)), 290 + 160 + 30);
}

TEST(GemminiLatency, NamesTheUnitThatBinds) {
  TileCommands tile = plain_tile();
  const auto binding = [](const TileCommands& t) {
    return std::string(estimate_gemmini_latency({}, program_of(t, 4), kValues).binding());
  };
  EXPECT_EQ(binding(tile), "execute");
  tile.load_beats = 200;
  EXPECT_EQ(binding(tile), "load");
  tile.store_beats = 300;
  EXPECT_EQ(binding(tile), "store");
}

TEST(GemminiParameters, AreAtMostEightWithPhysicalBounds) {
  EXPECT_EQ(gemmini_parameters().size(), 8U);
  for (const FitParameter& p : gemmini_parameters()) {
    EXPECT_GE(p.low, 0) << p.name;
    EXPECT_LE(p.low, p.start) << p.name;
    EXPECT_LE(p.start, p.high) << p.name;
    EXPECT_FALSE(p.mechanism.empty() || p.unit.empty()) << p.name;
  }
}

// Programs that tell every mechanism apart, timed by the model itself at known parameters.
TEST(GemminiParameters, AreRecoveredFromPlantedTimes) {
  std::vector<GemminiProgram> programs;
  for (const int64_t scale : {1, 3, 10, 40}) {
    for (const size_t tiles : {size_t{1}, size_t{4}, size_t{30}}) {
      TileCommands tile = plain_tile();
      tile.fetch_round_trips = 20 * static_cast<double>(scale);
      programs.push_back(program_of(tile, tiles));
      tile.load_activations = 100 * scale;
      programs.push_back(program_of(tile, tiles));
      tile = plain_tile();
      tile.blocks = 50 * scale;
      tile.pairs_per_block = 6;
      programs.push_back(program_of(tile, tiles));  // issue-bound pairs
      tile.rows_per_block = 150;
      programs.push_back(program_of(tile, tiles));  // row-bound pairs with a gap each
      tile.scratchpad_bytes = 200000;
      tile.load_beats = 3000 * scale;
      programs.push_back(program_of(tile, tiles));  // loads held back
      tile = plain_tile();
      tile.store_same_line = 100 * scale;
      programs.push_back(program_of(tile, tiles));
      programs.push_back(program_of(plain_tile(), tiles * 20));  // bound by the core
    }
  }
  const std::vector<double> truth = {120, 15, 9, 1.5, 35, 400, 2500, 0.7};
  std::vector<double> measured;
  for (const GemminiProgram& p : programs) measured.push_back(cycles(p, truth));
  std::vector<int64_t> points(programs.size());
  std::iota(points.begin(), points.end(), int64_t{0});
  const Predictor predict = [&](int64_t i, const std::vector<double>& values) {
    return cycles(programs[static_cast<size_t>(i)], values);
  };
  const FitResult fit =
      fit_parameters(gemmini_parameters(), predict, measured, points, {.starts = 16});
  for (size_t j = 0; j < truth.size(); ++j) {
    EXPECT_NEAR(fit.values[j], truth[j], 0.01 * truth[j]) << gemmini_parameters()[j].name;
    EXPECT_FALSE(fit.at_bound[j]) << gemmini_parameters()[j].name;
  }
}

}  // namespace
}  // namespace dovetail::silicon
