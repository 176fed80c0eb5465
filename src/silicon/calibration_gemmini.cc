#include "silicon/calibration_gemmini.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "base/parallel.h"
#include "silicon/calibration_table.h"

namespace dovetail::silicon {
namespace {

constexpr double kMaxCycles = 1e13;
constexpr int64_t kLayerFolds = 10;
constexpr uint64_t kSeed = 1;

struct Columns {
  size_t mapping = 0;
  std::array<size_t, kNumLoopDims> dims{};
  size_t width_stride = 0;
  size_t height_stride = 0;
  size_t width_dilation = 0;
  size_t height_dilation = 0;
  size_t mesh = 0;
  size_t accumulator_depth = 0;
  size_t scratchpad_depth = 0;
  size_t rtl_cycles = 0;
  size_t shipped_cycles = 0;
};

Result<Columns> find_columns(const Table& table) {
  Columns columns;
  DOVETAIL_TRY(columns.mapping, column_index(table, "mapping.mapping"));
  const std::string names = "NQPKSRC";
  for (size_t d = 0; d < kNumLoopDims; ++d) {
    DOVETAIL_TRY(columns.dims[d], column_index(table, fmt::format("prob.{}", names[d])));
  }
  DOVETAIL_TRY(columns.width_stride, column_index(table, "prob.Wstride"));
  DOVETAIL_TRY(columns.height_stride, column_index(table, "prob.Hstride"));
  DOVETAIL_TRY(columns.width_dilation, column_index(table, "prob.Wdilation"));
  DOVETAIL_TRY(columns.height_dilation, column_index(table, "prob.Hdilation"));
  DOVETAIL_TRY(columns.mesh, column_index(table, "arch.meshX"));
  DOVETAIL_TRY(columns.accumulator_depth, column_index(table, "arch.mem1_depth"));
  DOVETAIL_TRY(columns.scratchpad_depth, column_index(table, "arch.mem2_depth"));
  DOVETAIL_TRY(columns.rtl_cycles, column_index(table, "target.gemmini_cycle"));
  DOVETAIL_TRY(columns.shipped_cycles, column_index(table, "target.cycle"));
  return columns;
}

Result<ConvLayer> read_layer(const Table& table, const TableRow& row, const Columns& columns) {
  ConvLayer layer;
  for (size_t d = 0; d < kNumLoopDims; ++d) {
    DOVETAIL_TRY(layer.size[d], integer_cell(table, row, columns.dims[d], 1, kMaxLoopSize));
  }
  // Both directions alike, and no dilation: the measured programs know no other.
  DOVETAIL_TRY(layer.stride, integer_cell(table, row, columns.width_stride, 1, 16));
  DOVETAIL_TRY([[maybe_unused]] const int64_t same,
               integer_cell(table, row, columns.height_stride, layer.stride, layer.stride));
  return layer;
}

Result<GemminiMeasurement> read_row(const Table& table, const TableRow& row, const Columns& columns,
                                    const GemminiMachine& machine) {
  GemminiMeasurement m;
  m.file = std::filesystem::path(table.file).filename().string();
  m.line = row.line;
  DOVETAIL_TRY(m.layer, read_layer(table, row, columns));
  for (const size_t column : {columns.width_dilation, columns.height_dilation}) {
    DOVETAIL_TRY([[maybe_unused]] const int64_t one, integer_cell(table, row, column, 1, 1));
  }
  DOVETAIL_TRY([[maybe_unused]] const int64_t mesh,
               integer_cell(table, row, columns.mesh, machine.dim, machine.dim));
  DOVETAIL_TRY(const int64_t accumulator,
               integer_cell(table, row, columns.accumulator_depth, 1, int64_t{1} << 40));
  DOVETAIL_TRY(const int64_t scratchpad,
               integer_cell(table, row, columns.scratchpad_depth, 1, int64_t{1} << 40));
  // Rows of dim bytes and of dim sums of 4 bytes.
  m.design = fmt::format("{} KiB scratchpad, {} KiB accumulator", scratchpad * machine.dim / 1024,
                         accumulator * machine.dim * 4 / 1024);
  DOVETAIL_TRY(m.rtl_cycles, number_cell(table, row, columns.rtl_cycles, 1, kMaxCycles));
  DOVETAIL_TRY(m.shipped_cycles, number_cell(table, row, columns.shipped_cycles, 1, kMaxCycles));
  auto mapping = parse_gemmini_mapping(row.cells[columns.mapping], m.layer);
  if (!mapping.has_value()) {
    return with_context(mapping.error(), fmt::format("{}: line {}", table.file, row.line));
  }
  m.mapping = *mapping;
  return m;
}

// One design serves one network; layers whose shape several networks have take that of the design.
void name_networks(std::vector<GemminiMeasurement>& measurements) {
  std::map<std::string, std::map<std::string, int64_t>> votes;
  const auto design_of = [](const GemminiMeasurement& m) { return m.file + "\n" + m.design; };
  for (const GemminiMeasurement& m : measurements) {
    const std::string network = network_of_shape(m.layer);
    votes[design_of(m)].try_emplace("other", 0);
    if (!network.empty()) ++votes[design_of(m)][network];
  }
  for (GemminiMeasurement& m : measurements) {
    const auto& counts = votes[design_of(m)];
    m.network = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
                  return a.second < b.second;
                })->first;
  }
}

struct Sample {
  std::vector<GemminiMeasurement> rows;
  std::vector<GemminiProgram> programs;
  std::vector<double> measured;
};

Result<Sample> read_sample(const GemminiMachine& machine, const std::string& folder) {
  Sample sample;
  DOVETAIL_TRY(sample.rows, read_gemmini_measurements(folder, machine));
  const auto count = static_cast<int64_t>(sample.rows.size());
  std::vector<Result<GemminiProgram>> programs(sample.rows.size(), GemminiProgram{});
  parallel_for(count, [&](int64_t i, int64_t) {
    const GemminiMeasurement& row = sample.rows[static_cast<size_t>(i)];
    programs[static_cast<size_t>(i)] = gemmini_program(machine, row.layer, row.mapping);
  });
  for (size_t i = 0; i < programs.size(); ++i) {
    const GemminiMeasurement& row = sample.rows[i];
    if (!programs[i].has_value()) {
      return with_context(programs[i].error(), fmt::format("{}: line {}", row.file, row.line));
    }
    sample.programs.push_back(std::move(*programs[i]));
    sample.measured.push_back(row.rtl_cycles);
  }
  return sample;
}

Predictor predictor_of(const GemminiMachine& machine, const Sample& sample) {
  return [&machine, &sample](int64_t point, const std::vector<double>& values) {
    return estimate_gemmini_latency(machine, sample.programs[static_cast<size_t>(point)], values)
        .cycles;
  };
}

std::vector<double> predict_all(const GemminiMachine& machine, const Sample& sample,
                                const std::vector<double>& values) {
  std::vector<double> predicted;
  for (const GemminiProgram& program : sample.programs) {
    predicted.push_back(estimate_gemmini_latency(machine, program, values).cycles);
  }
  return predicted;
}

// One network tested a fold. Rows of other networks with a shape that it has are on neither side.
std::vector<Fold> network_folds(const Sample& sample) {
  std::map<std::string, std::set<std::string>> shapes;
  for (const GemminiMeasurement& row : sample.rows) shapes[row.network].insert(row.layer.name());
  std::vector<Fold> folds;
  for (const auto& [network, own] : shapes) {
    Fold fold{.name = network, .train = {}, .test = {}};
    for (size_t i = 0; i < sample.rows.size(); ++i) {
      const bool tested = sample.rows[i].network == network;
      if (tested) fold.test.push_back(static_cast<int64_t>(i));
      if (!tested && !own.contains(sample.rows[i].layer.name())) {
        fold.train.push_back(static_cast<int64_t>(i));
      }
    }
    folds.push_back(std::move(fold));
  }
  return folds;
}

bool can_train(const std::vector<Fold>& folds) {
  return folds.size() > 1 && std::all_of(folds.begin(), folds.end(), [](const Fold& fold) {
           return fold.train.size() > gemmini_parameters().size();
         });
}

std::string rows_of_a_pair(const TileCommands& tile) {
  const int64_t rows = tile.rows_per_block / std::max<int64_t>(1, tile.pairs_per_block);
  if (rows < 8) return "pairs of under 8 rows";
  return rows < 14 ? "pairs of 8 to 13 rows" : "pairs of 14 rows and more";
}

void add_groups(CalibrationReport& report, const GemminiMachine& machine, const Sample& sample,
                const std::vector<double>& predicted, const std::vector<double>& values) {
  using Label = std::function<std::string(size_t)>;
  const auto kernel = [&](size_t i) {
    const ConvLayer& layer = sample.rows[i].layer;
    if (layer.is_matmul()) return std::string("matmul");
    const int64_t side = layer.size[index_of(LoopDim::kS)];
    return fmt::format("{}x{} convolution, stride {}", side, side, layer.stride);
  };
  const auto buffers = [&](size_t i) {
    const TileCommands& tile = sample.programs[i].kinds.front();
    const bool scratchpad = 2 * tile.scratchpad_bytes > machine.scratchpad_bytes;
    const bool accumulator = 2 * tile.accumulator_rows > machine.accumulator_rows;
    if (scratchpad) return accumulator ? "both over half" : "scratchpad over half";
    return accumulator ? "accumulator over half" : "both double-buffered";
  };
  const std::vector<std::pair<std::string, Label>> labels = {
      {"network", [&](size_t i) { return sample.rows[i].network; }},
      {"layer class", kernel},
      {"memory sizes",
       [&](size_t i) { return sample.rows[i].file + ": " + sample.rows[i].design; }},
      {"binding unit",
       [&](size_t i) {
         return std::string(
             estimate_gemmini_latency(machine, sample.programs[i], values).binding());
       }},
      {"tile and buffers", buffers},
      {"array use", [&](size_t i) { return rows_of_a_pair(sample.programs[i].kinds.front()); }},
      {"tiles", [&](size_t i) {
         const size_t tiles = sample.programs[i].sequence.size();
         return tiles == 1 ? "one" : tiles < 64 ? "2 to 63" : "64 and more";
       }}};
  for (const auto& [by, label] : labels) {
    std::vector<std::string> names;
    for (size_t i = 0; i < sample.rows.size(); ++i) names.push_back(label(i));
    for (ResidualGroup& group : residual_groups(by, names, predicted, sample.measured)) {
      report.groups.push_back(std::move(group));
    }
  }
  for (size_t i = 0; i < sample.rows.size(); ++i) {
    const GemminiMeasurement& row = sample.rows[i];
    report.points.push_back({row.layer.name(), row.file, row.line, row.rtl_cycles, predicted[i]});
  }
}

// Fits, validates and fills the report; returns the fitted values.
std::vector<double> fit_and_validate(CalibrationReport& report, const GemminiMachine& machine,
                                     const Sample& sample) {
  const std::vector<FitParameter>& parameters = gemmini_parameters();
  const Predictor predict = predictor_of(machine, sample);
  std::vector<int64_t> all(sample.rows.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  const FitResult fit = fit_parameters(parameters, predict, sample.measured, all, {.seed = kSeed});
  report.splits.push_back(
      {"fit", "our model, fitted on all rows: in sample",
       error_statistics(predict_all(machine, sample, fit.values), sample.measured)});
  std::vector<std::string> layers;
  for (const GemminiMeasurement& row : sample.rows) layers.push_back(row.layer.name());
  const FitOptions options = {.starts = 2, .seed = kSeed};
  std::vector<CrossValidation> validations;
  const std::vector<Fold> layer_folds = group_folds(layers, kLayerFolds, kSeed);
  if (can_train(layer_folds)) {
    validations.push_back(
        cross_validate(parameters, predict, sample.measured, layer_folds, options));
    const std::vector<double>& predicted = validations.back().predicted;
    report.splits.push_back({"by_layer",
                             fmt::format("ten folds over {} layer shapes, each shape on one side",
                                         std::set(layers.begin(), layers.end()).size()),
                             error_statistics(predicted, sample.measured)});
    add_groups(report, machine, sample, predicted, fit.values);
  }
  const std::vector<Fold> networks = network_folds(sample);
  if (can_train(networks)) {
    validations.push_back(cross_validate(parameters, predict, sample.measured, networks, options));
    const std::vector<double>& predicted = validations.back().predicted;
    report.splits.push_back({"network_out", "each network predicted without it and its shapes",
                             error_statistics(predicted, sample.measured)});
    std::vector<std::string> names;
    for (const GemminiMeasurement& row : sample.rows) names.push_back(row.network);
    for (ResidualGroup& group :
         residual_groups("network left out", names, predicted, sample.measured)) {
      report.groups.push_back(std::move(group));
    }
  }
  report.parameters = parameter_reports(parameters, fit, validations);
  return fit.values;
}

}  // namespace

Result<std::vector<GemminiMeasurement>> read_gemmini_measurements(const std::string& folder,
                                                                  const GemminiMachine& machine) {
  DOVETAIL_TRY(const std::vector<std::string> files, csv_files(folder));
  std::vector<GemminiMeasurement> measurements;
  for (const std::string& file : files) {
    DOVETAIL_TRY(const Table table, read_table(file));
    DOVETAIL_TRY(const Columns columns, find_columns(table));
    for (const TableRow& row : table.rows) {
      DOVETAIL_TRY(GemminiMeasurement m, read_row(table, row, columns, machine));
      measurements.push_back(std::move(m));
    }
  }
  name_networks(measurements);
  return measurements;
}

Result<CalibrationReport> calibrate_gemmini(const Technology& machines, const std::string& folder,
                                            const std::string& test_folder) {
  DOVETAIL_TRY(const GemminiMachine machine, gemmini_machine(machines));
  DOVETAIL_TRY(const std::vector<double> published,
               published_values(machines, "gemmini_fitted", gemmini_parameters()));
  DOVETAIL_TRY(const Sample sample, read_sample(machine, folder));
  CalibrationReport report;
  report.set = "dosa";
  report.unit = "cycles";
  std::vector<double> shipped;
  for (const GemminiMeasurement& row : sample.rows) shipped.push_back(row.shipped_cycles);
  report.splits.push_back({"shipped_model", "the set's own analytical model, not ours",
                           error_statistics(shipped, sample.measured)});
  report.splits.push_back(
      {"published", "our model at the parameters in data/machines, no fit",
       error_statistics(predict_all(machine, sample, published), sample.measured)});
  std::vector<double> values = published;
  if (sample.rows.size() >= kMinRowsToFit) values = fit_and_validate(report, machine, sample);
  if (test_folder.empty()) return report;
  DOVETAIL_TRY(const Sample test, read_sample(machine, test_folder));
  report.splits.push_back({"test", fmt::format("rows of {}, never fitted", test_folder),
                           error_statistics(predict_all(machine, test, values), test.measured)});
  return report;
}

}  // namespace dovetail::silicon
