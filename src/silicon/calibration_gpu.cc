#include "silicon/calibration_gpu.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "silicon/calibration_table.h"

namespace dovetail::silicon {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 40;
constexpr double kMaxRateError = 0.02;
constexpr uint64_t kSeed = 1;

std::optional<GpuOperatorKind> kind_of_file(const std::string& name) {
  if (name.find("matmul") != std::string::npos) return GpuOperatorKind::kMatmul;
  if (name.find("softmax") != std::string::npos) return GpuOperatorKind::kSoftmax;
  if (name.find("layernorm") != std::string::npos) return GpuOperatorKind::kLayerNorm;
  if (name.find("gelu") != std::string::npos) return GpuOperatorKind::kGelu;
  return std::nullopt;
}

Result<GpuMeasurement> read_matmul(const Table& table, const TableRow& row) {
  GpuMeasurement m;
  DOVETAIL_TRY(m.op.rows, integer_cell(table, row, 0, 1, 1 << 24));
  DOVETAIL_TRY(m.op.inner, integer_cell(table, row, 1, 1, 1 << 24));
  DOVETAIL_TRY(m.op.cols, integer_cell(table, row, 2, 1, 1 << 24));
  DOVETAIL_TRY(const double ms, number_cell(table, row, 3, 1e-6, 1e6, "ms"));
  DOVETAIL_TRY(const double tflops, number_cell(table, row, 4, 1e-9, 1e6, "Tflops"));
  m.time_us = ms * 1e3;
  const double flop = 2 * static_cast<double>(m.op.rows) * static_cast<double>(m.op.inner) *
                      static_cast<double>(m.op.cols);
  const double rate = flop / m.time_us / 1e6;
  if (std::abs(rate / tflops - 1) > kMaxRateError) {
    return invalid_argument(fmt::format("{}: line {}: {} ms are {:.4g} Tflops, the row says {:.4g}",
                                        table.file, row.line, ms, rate, tflops));
  }
  return m;
}

Result<GpuMeasurement> read_elementwise(const Table& table, const TableRow& row,
                                        GpuOperatorKind kind) {
  GpuMeasurement m;
  m.op.kind = kind;
  const bool has_rows = kind != GpuOperatorKind::kGelu;
  DOVETAIL_TRY(m.op.rows, integer_cell(table, row, 0, 1, kMaxSize));
  if (has_rows) {
    DOVETAIL_TRY(m.op.cols, integer_cell(table, row, 1, 1, kMaxSize));
  }
  DOVETAIL_TRY(const double rate, number_cell(table, row, has_rows ? 2 : 1, 1e-9, 1e9));
  m.time_us = static_cast<double>(m.op.rows) * static_cast<double>(m.op.cols) / (rate * 1e3);
  return m;
}

size_t cells_of(GpuOperatorKind kind) {
  if (kind == GpuOperatorKind::kMatmul) return 5;
  return kind == GpuOperatorKind::kGelu ? 2 : 3;
}

// Thirds of each kind by its measured time; the middle third is always trained on.
std::vector<Fold> size_folds(const std::vector<GpuMeasurement>& points) {
  std::vector<Fold> folds(2);
  folds[0].name = "smallest";
  folds[1].name = "largest";
  std::vector<int64_t> third(points.size(), 1);
  for (const GpuOperatorKind kind : {GpuOperatorKind::kMatmul, GpuOperatorKind::kSoftmax,
                                     GpuOperatorKind::kLayerNorm, GpuOperatorKind::kGelu}) {
    std::vector<size_t> own;
    for (size_t i = 0; i < points.size(); ++i) {
      if (points[i].op.kind == kind) own.push_back(i);
    }
    std::sort(own.begin(), own.end(),
              [&](size_t a, size_t b) { return points[a].time_us < points[b].time_us; });
    for (size_t i = 0; i < own.size(); ++i) {
      third[own[i]] = static_cast<int64_t>(3 * i / own.size());
    }
  }
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t f = 0; f < 2; ++f) {
      const bool tested = third[i] == static_cast<int64_t>(2 * f);
      (tested ? folds[f].test : folds[f].train).push_back(static_cast<int64_t>(i));
    }
  }
  return folds;
}

// The split over all points that were predicted, then one for each kind.
void add_splits(CalibrationReport& report, const std::string& name, const std::string& says,
                const std::vector<GpuMeasurement>& points, const std::vector<double>& predicted) {
  const auto statistics = [&](std::optional<GpuOperatorKind> kind) {
    std::vector<double> p;
    std::vector<double> m;
    for (size_t i = 0; i < points.size(); ++i) {
      if (predicted[i] <= 0 || (kind.has_value() && points[i].op.kind != *kind)) continue;
      p.push_back(predicted[i]);
      m.push_back(points[i].time_us);
    }
    return error_statistics(p, m);
  };
  report.splits.push_back({name, says, statistics(std::nullopt)});
  for (const GpuOperatorKind kind : {GpuOperatorKind::kMatmul, GpuOperatorKind::kSoftmax,
                                     GpuOperatorKind::kLayerNorm, GpuOperatorKind::kGelu}) {
    const ErrorStatistics own = statistics(kind);
    if (own.num_points == 0) continue;
    report.splits.push_back({fmt::format("{}_{}", name, name_of(kind)),
                             fmt::format("of these, {}", name_of(kind)), own});
  }
}

void add_groups(CalibrationReport& report, const GpuMachine& machine,
                const std::vector<GpuMeasurement>& points, const std::vector<double>& predicted,
                const std::vector<double>& measured, const std::vector<double>& values) {
  std::vector<std::string> kinds;
  std::vector<std::string> bindings;
  for (size_t i = 0; i < points.size(); ++i) {
    const GpuMeasurement& point = points[i];
    kinds.emplace_back(name_of(point.op.kind));
    bindings.emplace_back(fmt::format("{}, {}", name_of(point.op.kind),
                                      estimate_gpu_latency(machine, point.op, values).binding()));
    report.points.push_back({point.op.name(), point.file, point.line, point.time_us, predicted[i]});
  }
  for (const auto& [by, labels] : {std::pair("operator", kinds), std::pair("binding", bindings)}) {
    for (ResidualGroup& group : residual_groups(by, labels, predicted, measured)) {
      report.groups.push_back(std::move(group));
    }
  }
}

}  // namespace

Result<std::vector<GpuMeasurement>> read_gpu_measurements(const std::string& folder) {
  DOVETAIL_TRY(const std::vector<std::string> files, csv_files(folder));
  std::vector<GpuMeasurement> measurements;
  for (const std::string& file : files) {
    const std::string name = std::filesystem::path(file).filename().string();
    const auto kind = kind_of_file(name);
    if (!kind.has_value()) continue;
    DOVETAIL_TRY(const Table table, read_plain_table(file, cells_of(*kind)));
    for (const TableRow& row : table.rows) {
      auto read = *kind == GpuOperatorKind::kMatmul ? read_matmul(table, row)
                                                    : read_elementwise(table, row, *kind);
      DOVETAIL_TRY(GpuMeasurement m, std::move(read));
      m.file = name;
      m.line = row.line;
      measurements.push_back(std::move(m));
    }
  }
  if (measurements.empty()) {
    return not_found(
        fmt::format("folder {}: no file named *matmul*, *softmax*, *layernorm* or *gelu*", folder));
  }
  return measurements;
}

Result<CalibrationReport> calibrate_gpu(const Technology& machines, const std::string& folder) {
  DOVETAIL_TRY(const GpuMachine machine, gpu_machine(machines, "a100"));
  DOVETAIL_TRY(const std::vector<GpuMeasurement> points, read_gpu_measurements(folder));
  const std::vector<FitParameter>& parameters = gpu_parameters();
  DOVETAIL_TRY(const std::vector<double> published,
               published_values(machines, "a100_fitted", parameters));
  CalibrationReport report;
  report.set = "llmcompass";
  report.unit = "us";
  std::vector<double> measured;
  std::vector<std::string> names;
  for (const GpuMeasurement& point : points) {
    measured.push_back(point.time_us);
    names.push_back(point.op.name());
  }
  const Predictor predict = [&](int64_t i, const std::vector<double>& values) {
    return estimate_gpu_latency(machine, points[static_cast<size_t>(i)].op, values).time_us;
  };
  const auto predict_all = [&](const std::vector<double>& values) {
    std::vector<double> predicted;
    for (const GpuMeasurement& point : points) {
      predicted.push_back(estimate_gpu_latency(machine, point.op, values).time_us);
    }
    return predicted;
  };
  add_splits(report, "published", "at the parameters in data/machines, no fit", points,
             predict_all(published));
  if (points.size() < 2 * parameters.size()) return report;
  std::vector<int64_t> all(points.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const FitOptions options = {.starts = 3, .seed = kSeed, .loss_scale = 0.05};
  const FitResult fit = fit_parameters(parameters, predict, measured, all, options);
  const auto count = static_cast<int64_t>(points.size());
  const std::vector<CrossValidation> validations = {
      cross_validate(parameters, predict, measured, group_folds(names, count, kSeed), options),
      cross_validate(parameters, predict, measured, size_folds(points), options)};
  add_splits(report, "fit", "fitted on all points: in sample", points, predict_all(fit.values));
  add_splits(report, "one_out", "each size predicted without it", points, validations[0].predicted);
  add_splits(report, "by_size", "smallest and largest third of each kind from the other two",
             points, validations[1].predicted);
  report.parameters = parameter_reports(parameters, fit, validations);
  add_groups(report, machine, points, validations[0].predicted, measured, fit.values);
  return report;
}

}  // namespace dovetail::silicon
