// Tables of measurements that calibrations read: rows of the DOSA set, operators of the LLMCompass
// set.
#include <cmath>
#include <string>

#include "fuzz_target.h"
#include "silicon/calibration_gemmini.h"
#include "silicon/calibration_gpu.h"

namespace dovetail::fuzz {
namespace {

void check_gemmini(const silicon::GemminiMeasurement& m) {
  for (size_t d = 0; d < silicon::kNumLoopDims; ++d) {
    require(m.layer.size[d] >= 1 && m.layer.size[d] <= silicon::kMaxLoopSize,
            "a layer's size lies in its range");
    require(m.mapping.tile[d] >= 1 && m.mapping.tile[d] <= m.layer.size[d],
            "a tile lies in its layer");
  }
  require(std::isfinite(m.rtl_cycles) && m.rtl_cycles >= 1, "cycles are finite and positive");
}

void check_gpu(const silicon::GpuMeasurement& m) {
  require(m.op.rows >= 1 && m.op.cols >= 1 && m.op.inner >= 1, "sizes are positive");
  require(std::isfinite(m.time_us) && m.time_us > 0, "a time is finite and positive");
}

}  // namespace

// The first byte says which file the rest is.
void fuzz_measurements(std::string_view input) {
  if (input.empty()) return;
  const std::string_view text = input.substr(1);
  if (input[0] == 'd') {
    const std::string path = write_scratch("dosa/rows.csv", text);
    const auto rows =
        silicon::read_gemmini_measurements(scratch_folder() + "/dosa", silicon::GemminiMachine{});
    if (!rows.has_value()) return require_good_error(rows.error(), path);
    note_accepted();
    for (const auto& row : *rows) check_gemmini(row);
    return;
  }
  const std::string kind = input[0] == 'm' ? "matmul" : input[0] == 's' ? "softmax" : "gelu";
  const std::string path = write_scratch(kind + "/" + kind + ".csv", text);
  const auto points = silicon::read_gpu_measurements(scratch_folder() + "/" + kind);
  if (!points.has_value()) return require_good_error(points.error(), path);
  note_accepted();
  for (const auto& point : *points) check_gpu(point);
}

}  // namespace dovetail::fuzz
