// Calibrates the GPU operator model on measured latencies and says how well it predicts points that
// it was not fitted on.
//
// Data: CSV files without a header of the form of the LLMCompass artifact (Zhang et al.,
// LLMCompass, ISCA 2024, figure 5), told by their names. Units as found, checked against each
// other:
//   *matmul*    m, k, n, time "0.1900ms", rate "101.7124Tflops" (2 m k n / time)
//   *softmax*   rows, cols, 1e9 elements a second
//   *layernorm* rows, cols, 1e9 elements a second
//   *gelu*      elements, 1e9 elements a second
// Other files of the artifact (transformer layers on four GPUs, die areas) are passed over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "silicon/calibration_report.h"
#include "silicon/machine_gpu.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

struct GpuMeasurement {
  std::string file;  // name without folder
  int64_t line = 0;
  GpuOperator op;
  double time_us = 0;
};

// Errors: kNotFound (folder, no file of a known operator); kInvalidArgument naming file and line: a
// number that is none, a time that its rate contradicts by more than 2 %.
[[nodiscard]] Result<std::vector<GpuMeasurement>> read_gpu_measurements(const std::string& folder);

// Splits: "published" (parameters in data/machines, no fit) and, from twice as many points as
// parameters on, "fit" (in sample), "one_out" (each size predicted without it; equal sizes leave
// together) and "by_size" (the largest and the smallest third of each kind from the other two);
// each also by kind, as "one_out_matmul". Residual groups are of "one_out". Errors: as above.
[[nodiscard]] Result<CalibrationReport> calibrate_gpu(const Technology& machines,
                                                      const std::string& folder);

}  // namespace dovetail::silicon
