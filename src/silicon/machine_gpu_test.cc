#include "silicon/machine_gpu.h"

#include <gtest/gtest.h>

namespace dovetail::silicon {
namespace {

// A machine of round numbers: 10 multiprocessors, 1000 flop/us, 100 B/us, tiles of 4 x 8.
GpuMachine small_machine() {
  return {.sms = 10,
          .peak_flop_per_us = 1000,
          .dram_bytes_per_us = 100,
          .tile_rows = 4,
          .tile_cols = 8,
          .small_tile = 4,
          .small_tile_frac = 0.5,
          .block_shared_bytes = 64};
}

// hosts of matmul, softmax, layer norm, GELU; lead, tensor, DRAM, row latency
const std::vector<double> kValues = {10, 20, 30, 40, 0.5, 0.5, 0.5, 1024};

double time_us(const GpuOperator& op, const std::vector<double>& values = kValues) {
  return estimate_gpu_latency(small_machine(), op, values).time_us;
}

TEST(GpuLatency, CountsWavesOfTiles) {
  // 40 x 8 outputs, k = 100: 10 tiles of 4 x 8, one wave: 2 * 4 * 8 * 100 * 10 = 64,000 flop at 500
  // flop/us = 128 us, beside 2 * (4000 + 800 + 320) bytes at 50 B/us = 204.8 us: DRAM binds.
  GpuOperator op{GpuOperatorKind::kMatmul, 40, 8, 100};
  EXPECT_DOUBLE_EQ(time_us(op), 5 + 204.8);
  std::vector<double> values = kValues;
  values[static_cast<size_t>(GpuParameter::kDram)] = 1;  // 102.4 us: the wave binds
  EXPECT_DOUBLE_EQ(time_us(op, values), 5 + 128);
  op.rows = 41;  // an eleventh tile: a second wave
  EXPECT_DOUBLE_EQ(time_us(op, values), 5 + 256);
}

TEST(GpuLatency, TransfersFollowTheOperator) {
  // 10 x 10 elements of 2 bytes at 50 B/us are 4 us a transfer; a row of 10 takes 10 us.
  EXPECT_DOUBLE_EQ(time_us({GpuOperatorKind::kSoftmax, 10, 10, 1}), 10 + 3 * 4 + 10);
  EXPECT_DOUBLE_EQ(time_us({GpuOperatorKind::kLayerNorm, 10, 10, 1}), 15 + 2 * 4 + 10);
}

TEST(GpuLatency, ShortKernelsHideBehindTheHost) {
  EXPECT_DOUBLE_EQ(time_us({GpuOperatorKind::kGelu, 10, 1, 1}), 40);
  EXPECT_DOUBLE_EQ(time_us({GpuOperatorKind::kGelu, 1000, 1, 1}), 20 + 80);
}

TEST(GpuLatency, AWideRowIsReadTwiceMore) {
  // 16 sums of 4 bytes fill the 64 bytes of a block, 17 do not.
  const double narrow = time_us({GpuOperatorKind::kLayerNorm, 1000, 16, 1});
  EXPECT_DOUBLE_EQ(narrow, 15 + 2 * 640 + 16);
  const double wide = time_us({GpuOperatorKind::kLayerNorm, 1000, 17, 1});
  EXPECT_DOUBLE_EQ(wide, 15 + 4 * 680 + 17);
}

TEST(GpuLatency, NamesWhatBinds) {
  const auto binding = [](const GpuOperator& op) {
    return std::string(estimate_gpu_latency(small_machine(), op, kValues).binding());
  };
  EXPECT_EQ(binding({GpuOperatorKind::kGelu, 10, 1, 1}), "host");
  EXPECT_EQ(binding({GpuOperatorKind::kGelu, 10000, 1, 1}), "dram");
  EXPECT_EQ(binding({GpuOperatorKind::kMatmul, 400, 80, 100}), "compute");
}

TEST(GpuMachine, IsReadFromThePublishedDescription) {
  const auto machines = Technology::load("data/machines");
  ASSERT_TRUE(machines.has_value()) << machines.error().message;
  const auto machine = gpu_machine(*machines, "a100");
  ASSERT_TRUE(machine.has_value()) << machine.error().message;
  EXPECT_EQ(machine->sms, 108);
  EXPECT_DOUBLE_EQ(machine->dram_bytes_per_us, 2.039e6);
  EXPECT_EQ(gpu_machine(*machines, "a101").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(gpu_machine(machines->with("a100.memory.dram_gb_per_s", 0), "a100").has_value());
}

}  // namespace
}  // namespace dovetail::silicon
