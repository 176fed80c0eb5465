#include "silicon/machine_gpu.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace dovetail::silicon {
namespace {

constexpr double kBytesPerElement = 2;  // FP16
constexpr double kBytesPerSum = 4;      // FP32

double ceil_div(int64_t a, int64_t b) {
  return static_cast<double>((a + b - 1) / b);
}

// Waves of output tiles, in time at the full rate of all multiprocessors, relative tile efficiency
// included. The best of the tile shapes.
double tensor_us(const GpuMachine& machine, const GpuOperator& op) {
  struct Tile {
    int64_t rows;
    int64_t cols;
    double frac;
  };
  const std::array<Tile, 3> tiles = {
      {{machine.tile_rows, machine.tile_cols, 1},
       {machine.tile_cols, machine.tile_rows, 1},
       {machine.small_tile, machine.small_tile, machine.small_tile_frac}}};
  double best = INFINITY;
  for (const Tile& tile : tiles) {
    const double count = ceil_div(op.rows, tile.rows) * ceil_div(op.cols, tile.cols);
    const double waves = std::ceil(count / static_cast<double>(machine.sms));
    const double flop = 2 * static_cast<double>(tile.rows * tile.cols) *
                        static_cast<double>(op.inner) * static_cast<double>(machine.sms);
    best = std::min(best, waves * flop / (machine.peak_flop_per_us * tile.frac));
  }
  return best;
}

double matmul_bytes(const GpuOperator& op) {
  const auto m = static_cast<double>(op.rows);
  const auto n = static_cast<double>(op.cols);
  const auto k = static_cast<double>(op.inner);
  return kBytesPerElement * (m * k + k * n + m * n);
}

// How often the matrix crosses the DRAM interface.
double transfers_of(const GpuMachine& machine, const GpuOperator& op) {
  if (op.kind == GpuOperatorKind::kSoftmax)
    return 3;  // maximum and sum, then scale: read, read, write
  const bool row_fits = kBytesPerSum * static_cast<double>(op.cols) <=
                        static_cast<double>(machine.block_shared_bytes);
  // Mean and variance read a row that does not fit once more each.
  return op.kind == GpuOperatorKind::kLayerNorm && !row_fits ? 4 : 2;
}

Result<double> positive(const Technology& machines, const std::string& key) {
  DOVETAIL_TRY(const double value, machines.value(key));
  if (!(value > 0)) {
    return invalid_argument(
        fmt::format("{}: {} = {:g}, want more than 0", machines.file_of(key), key, value));
  }
  return value;
}

Result<int64_t> count(const Technology& machines, const std::string& key) {
  DOVETAIL_TRY(const double value, positive(machines, key));
  if (value != std::floor(value) || value > 1e9) {
    return invalid_argument(
        fmt::format("{}: {} = {:g}, want a whole number", machines.file_of(key), key, value));
  }
  return static_cast<int64_t>(value);
}

}  // namespace

const char* name_of(GpuOperatorKind kind) {
  switch (kind) {
    case GpuOperatorKind::kMatmul:
      return "matmul";
    case GpuOperatorKind::kSoftmax:
      return "softmax";
    case GpuOperatorKind::kLayerNorm:
      return "layer_norm";
    case GpuOperatorKind::kGelu:
      return "gelu";
  }
  return "";
}

std::string GpuOperator::name() const {
  if (kind == GpuOperatorKind::kMatmul) {
    return fmt::format("matmul {} x {} x {}", rows, inner, cols);
  }
  return fmt::format("{} {} x {}", name_of(kind), rows, cols);
}

Result<GpuMachine> gpu_machine(const Technology& machines, const std::string& name) {
  GpuMachine machine;
  DOVETAIL_TRY(machine.sms, count(machines, name + ".compute.sms"));
  DOVETAIL_TRY(const double tflops, positive(machines, name + ".compute.tensor_tflops"));
  DOVETAIL_TRY(machine.tile_rows, count(machines, name + ".compute.tile_rows"));
  DOVETAIL_TRY(machine.tile_cols, count(machines, name + ".compute.tile_cols"));
  DOVETAIL_TRY(machine.small_tile, count(machines, name + ".compute.small_tile"));
  DOVETAIL_TRY(machine.small_tile_frac, positive(machines, name + ".compute.small_tile_frac"));
  DOVETAIL_TRY(const double gb_per_s, positive(machines, name + ".memory.dram_gb_per_s"));
  DOVETAIL_TRY(machine.block_shared_bytes, count(machines, name + ".memory.block_shared_bytes"));
  machine.peak_flop_per_us = tflops * 1e6;
  machine.dram_bytes_per_us = gb_per_s * 1e3;
  return machine;
}

const std::vector<FitParameter>& gpu_parameters() {
  static const std::vector<FitParameter> parameters = {
      {.name = "matmul_host_us",
       .unit = "us",
       .mechanism = "framework call, launch and synchronisation around a matrix product",
       .start = 28,
       .low = 2,
       .high = 100},
      {.name = "softmax_host_us",
       .unit = "us",
       .mechanism = "the same around a softmax",
       .start = 13,
       .low = 2,
       .high = 100},
      {.name = "layer_norm_host_us",
       .unit = "us",
       .mechanism = "the same around a layer norm",
       .start = 50,
       .low = 2,
       .high = 100},
      {.name = "gelu_host_us",
       .unit = "us",
       .mechanism = "the same around a GELU",
       .start = 50,
       .low = 2,
       .high = 100},
      {.name = "host_lead_frac",
       .unit = "1",
       .mechanism = "share of the host's time that passes before the kernel starts",
       .start = 0.8,
       .low = 0,
       .high = 1},
      {.name = "tensor_frac",
       .unit = "1",
       .mechanism = "sustained clock under the power limit over the boost clock, prologue and "
                    "epilogue of tiles",
       .start = 0.9,
       .low = 0.5,
       .high = 1},
      {.name = "dram_frac",
       .unit = "1",
       .mechanism = "achieved over peak DRAM bandwidth, streaming",
       .start = 0.8,
       .low = 0.4,
       .high = 1},
      {.name = "row_latency_us_per_1024",
       .unit = "us/1024",
       .mechanism = "latency of a reduction along a row, a 1024 elements",
       .start = 1,
       .low = 0,
       .high = 10}};
  return parameters;
}

const char* GpuLatency::binding() const {
  if (host_us >= std::max(compute_us, dram_us)) return "host";
  return compute_us > dram_us ? "compute" : "dram";
}

GpuLatency estimate_gpu_latency(const GpuMachine& machine, const GpuOperator& op,
                                const std::vector<double>& values) {
  DOVETAIL_CHECK(values.size() == gpu_parameters().size());
  const auto of = [&](GpuParameter p) { return values[static_cast<size_t>(p)]; };
  GpuLatency latency;
  latency.host_us =
      values[static_cast<size_t>(op.kind)];  // the hosts stand first, in order of kinds
  const double bandwidth = machine.dram_bytes_per_us * of(GpuParameter::kDram);
  double device_us = 0;
  if (op.kind == GpuOperatorKind::kMatmul) {
    latency.compute_us = tensor_us(machine, op) / of(GpuParameter::kTensor);
    latency.dram_us = matmul_bytes(op) / bandwidth;
    device_us = std::max(latency.compute_us, latency.dram_us);
  } else {
    const double bytes =
        kBytesPerElement * static_cast<double>(op.rows) * static_cast<double>(op.cols);
    latency.dram_us = transfers_of(machine, op) * bytes / bandwidth;
    if (op.kind != GpuOperatorKind::kGelu) {
      latency.compute_us = static_cast<double>(op.cols) / 1024 * of(GpuParameter::kRowLatency);
    }
    device_us = latency.compute_us + latency.dram_us;
  }
  latency.time_us =
      std::max(latency.host_us, of(GpuParameter::kHostLead) * latency.host_us + device_us);
  return latency;
}

}  // namespace dovetail::silicon
