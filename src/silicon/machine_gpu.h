// How long a GPU takes for one operator, called from a framework: T1 of a machine that is not ours,
// for calibration on the A100 timings of LLMCompass.
//
//   time   = max(host, host_lead * host + device)
//   device = matmul:     max(waves of output tiles at tensor_frac of the peak, bytes at dram_frac)
//            softmax:    3 transfers of the matrix + row length * row_latency
//            layer norm: 2 transfers, 4 if a row in FP32 exceeds a thread block's shared memory,
//                        + row length * row_latency
//            GELU:       2 transfers
//
// `host` is what the framework spends around the kernel; host_lead of it passes before the kernel
// starts, so short kernels hide behind the rest. Elements are FP16. A matrix product runs its
// output tiles on all multiprocessors at once: the last wave is as long as a full one. It takes the
// best of the three tile shapes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "silicon/calibration_fit.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

enum class GpuOperatorKind : uint8_t { kMatmul, kSoftmax, kLayerNorm, kGelu };

struct GpuOperator {
  GpuOperatorKind kind = GpuOperatorKind::kMatmul;
  // matmul: (rows, inner) times (inner, cols). softmax, layer norm: over each row of (rows, cols).
  // GELU: rows * cols elements. Each at least 1.
  int64_t rows = 1;
  int64_t cols = 1;
  int64_t inner = 1;

  [[nodiscard]] std::string name() const;  // "softmax 4096 x 128"
};

[[nodiscard]] const char* name_of(GpuOperatorKind kind);

// What is published, data/machines/a100.toml.
struct GpuMachine {
  int64_t sms = 108;
  double peak_flop_per_us = 312e6;
  double dram_bytes_per_us = 2.039e6;
  int64_t tile_rows = 128;
  int64_t tile_cols = 256;
  int64_t small_tile = 128;
  double small_tile_frac = 0.9;
  int64_t block_shared_bytes = 49152;
};

// From constants "<name>.compute.*" and "<name>.memory.*". Errors: kNotFound naming the key;
// kInvalidArgument for one that is not positive.
[[nodiscard]] Result<GpuMachine> gpu_machine(const Technology& machines, const std::string& name);

enum class GpuParameter : uint8_t {
  kMatmulHost,
  kSoftmaxHost,
  kLayerNormHost,
  kGeluHost,
  kHostLead,
  kTensor,
  kDram,
  kRowLatency,
};
[[nodiscard]] const std::vector<FitParameter>& gpu_parameters();

struct GpuLatency {
  double time_us = 0;
  double host_us = 0;
  double compute_us = 0;  // tensor waves or row latency
  double dram_us = 0;

  // "host", "compute" or "dram": the largest.
  [[nodiscard]] const char* binding() const;
};

// `values` as gpu_parameters() orders them.
[[nodiscard]] GpuLatency estimate_gpu_latency(const GpuMachine& machine, const GpuOperator& op,
                                              const std::vector<double>& values);

}  // namespace dovetail::silicon
