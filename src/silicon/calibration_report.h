// What a calibration found: figures by split, fitted parameters with their ranges, and where the
// residuals are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "silicon/calibration_fit.h"
#include "silicon/calibration_statistics.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

struct SplitReport {
  std::string name;  // "by_layer"
  std::string says;  // what was fitted on what and judged on what
  ErrorStatistics statistics;
};

struct ParameterReport {
  FitParameter parameter;
  double value = 0;
  double standard_error = 0;
  double fold_low = 0;  // least and largest value over the folds of all cross-validations
  double fold_high = 0;
  bool at_bound = false;
};

// Residuals of the cross-validated predictions, grouped.
struct ResidualGroup {
  std::string by;  // "network"
  std::string name;
  ErrorStatistics statistics;
  double bias_frac = 0;  // median of predicted / measured - 1: positive is too slow
};

struct PointReport {
  std::string name;
  std::string file;
  int64_t line = 0;
  double measured = 0;
  double predicted = 0;  // cross-validated
};

struct CalibrationReport {
  std::string set;   // "dosa"
  std::string unit;  // of measured and predicted: "cycles"
  std::vector<SplitReport> splits;
  std::vector<ParameterReport> parameters;
  std::vector<ResidualGroup> groups;
  std::vector<PointReport> points;
};

// Fitted values that ship with the program: constants "<file>.parameters.<name>", in the order of
// the parameters. Errors: kNotFound; kInvalidArgument for a value outside of the parameter's
// bounds.
[[nodiscard]] Result<std::vector<double>> published_values(
    const Technology& machines, const std::string& file,
    const std::vector<FitParameter>& parameters);

// Joins a fit on all points with the folds of its cross-validations.
[[nodiscard]] std::vector<ParameterReport> parameter_reports(
    const std::vector<FitParameter>& parameters, const FitResult& fit,
    const std::vector<CrossValidation>& validations);

// Groups predictions by a label: one row a label, in the order of the labels.
[[nodiscard]] std::vector<ResidualGroup> residual_groups(const std::string& by,
                                                         const std::vector<std::string>& labels,
                                                         const std::vector<double>& predicted,
                                                         const std::vector<double>& measured);

[[nodiscard]] Json calibration_to_json(const CalibrationReport& report);

// The tables for a reader, lines ended by '\n'.
[[nodiscard]] std::string calibration_text(const CalibrationReport& report);

}  // namespace dovetail::silicon
