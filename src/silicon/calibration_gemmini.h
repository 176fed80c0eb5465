// Calibrates the Gemmini model on RTL cycles and says how well it predicts layers and networks that
// it was not fitted on.
//
// Data: CSV files of the form of the DOSA set (Hong et al., DOSA, MICRO 2023, FireSim test data):
// one row a (layer, mapping, memory sizes) with the cycles of the set's analytical model and of the
// RTL.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "silicon/calibration_report.h"
#include "silicon/machine_gemmini.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

struct GemminiMeasurement {
  std::string file;  // name without folder
  int64_t line = 0;
  ConvLayer layer;
  GemminiMapping mapping;
  std::string design;  // memory sizes that the set's search chose: one design a network and file
  // Told by the shapes of the design's layers: a design is made for one network. "other" if no
  // shape of it tells.
  std::string network;
  double rtl_cycles = 0;
  double shipped_cycles = 0;  // of the analytical model shipped with the set
};

// Reads all CSV files of a folder. Errors: kNotFound (folder, no CSV file); kInvalidArgument naming
// file and line: a missing column, a number or mapping that is none, another array than the
// machine's.
[[nodiscard]] Result<std::vector<GemminiMeasurement>> read_gemmini_measurements(
    const std::string& folder, const GemminiMachine& machine);

// Fewer rows than this are judged by the published parameters alone, without a fit.
inline constexpr size_t kMinRowsToFit = 24;

// Splits: "shipped_model" (of the set, not ours), "published" (our parameters in data/machines, no
// fit), and from kMinRowsToFit rows on "fit" (all rows, in sample), "by_layer" (ten folds, all rows
// of one layer shape on one side) and, with two networks or more, "network_out" (one network left
// out, and with it every row elsewhere of a shape that it has). With `test_folder`, "test" judges
// its rows by the fit on `folder`. Residual groups are of "by_layer". Errors: as above, and those
// of gemmini_program with file and line.
[[nodiscard]] Result<CalibrationReport> calibrate_gemmini(const Technology& machines,
                                                          const std::string& folder,
                                                          const std::string& test_folder);

}  // namespace dovetail::silicon
