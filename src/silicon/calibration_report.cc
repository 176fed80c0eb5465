#include "silicon/calibration_report.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/result.h"

namespace dovetail::silicon {
namespace {

constexpr size_t kWorstShown = 10;

Json statistics_to_json(const ErrorStatistics& s) {
  return Json{{"num_points", s.num_points},
              {"mape_frac", s.mape_frac},
              {"median_error_frac", s.median_error_frac},
              {"p90_ratio", s.p90_ratio},
              {"spearman", s.spearman}};
}

std::string statistics_text(const ErrorStatistics& s) {
  return fmt::format("{:>6} {:>9.1f} {:>9.1f} {:>10.3f} {:>9.4f}", s.num_points, 100 * s.mape_frac,
                     100 * s.median_error_frac, s.p90_ratio, s.spearman);
}

std::string parameters_text(const CalibrationReport& report) {
  std::string text = fmt::format("\n{:<26} {:<10} {:>10} {:>10} {:>21}  {}\n", "parameter", "unit",
                                 "value", "std error", "range over folds", "mechanism");
  for (const ParameterReport& p : report.parameters) {
    text += fmt::format("{:<26} {:<10} {:>10.4g} {:>10.2g} {:>10.4g}..{:<9.4g}  {}{}\n",
                        p.parameter.name, p.parameter.unit, p.value, p.standard_error, p.fold_low,
                        p.fold_high, p.parameter.mechanism, p.at_bound ? " (at its bound)" : "");
  }
  return text;
}

std::string groups_text(const CalibrationReport& report) {
  std::string text;
  std::string by;
  for (const ResidualGroup& group : report.groups) {
    if (group.by != by) {
      by = group.by;
      text += fmt::format("\nresiduals by {:<24} {:>6} {:>9} {:>9} {:>10} {:>9} {:>8}\n", by,
                          "points", "MAPE %", "median %", "p90 ratio", "rank", "bias %");
    }
    text += fmt::format("  {:<35} {} {:>+8.1f}\n", group.name, statistics_text(group.statistics),
                        100 * group.bias_frac);
  }
  return text;
}

std::string worst_text(const CalibrationReport& report) {
  std::vector<PointReport> worst = report.points;
  const auto factor = [](const PointReport& p) {
    return std::max(p.predicted / p.measured, p.measured / p.predicted);
  };
  std::sort(worst.begin(), worst.end(),
            [&](const PointReport& a, const PointReport& b) { return factor(a) > factor(b); });
  if (worst.size() > kWorstShown) worst.resize(kWorstShown);
  std::string text = fmt::format("\nfarthest off {:<27} {:>12} {:>12} {:>8}\n", "", "measured",
                                 "predicted", "ratio");
  for (const PointReport& p : worst) {
    text += fmt::format("  {:<38} {:>12.6g} {:>12.6g} {:>8.2f}  {}:{}\n", p.name, p.measured,
                        p.predicted, p.predicted / p.measured, p.file, p.line);
  }
  return text;
}

}  // namespace

Result<std::vector<double>> published_values(const Technology& machines, const std::string& file,
                                             const std::vector<FitParameter>& parameters) {
  std::vector<double> values;
  for (const FitParameter& parameter : parameters) {
    DOVETAIL_TRY(const double value, machines.value(file + ".parameters." + parameter.name));
    if (!(value >= parameter.low && value <= parameter.high)) {
      return invalid_argument(fmt::format("{}: {} = {:g}, want {:g}..{:g}", machines.file_of(file),
                                          parameter.name, value, parameter.low, parameter.high));
    }
    values.push_back(value);
  }
  return values;
}

std::vector<ParameterReport> parameter_reports(const std::vector<FitParameter>& parameters,
                                               const FitResult& fit,
                                               const std::vector<CrossValidation>& validations) {
  std::vector<ParameterReport> reports;
  for (size_t j = 0; j < parameters.size(); ++j) {
    ParameterReport report{.parameter = parameters[j],
                           .value = fit.values[j],
                           .standard_error = fit.standard_errors[j],
                           .fold_low = fit.values[j],
                           .fold_high = fit.values[j],
                           .at_bound = fit.at_bound[j]};
    for (const CrossValidation& validation : validations) {
      for (const std::vector<double>& fold : validation.by_fold) {
        report.fold_low = std::min(report.fold_low, fold[j]);
        report.fold_high = std::max(report.fold_high, fold[j]);
      }
    }
    reports.push_back(report);
  }
  return reports;
}

std::vector<ResidualGroup> residual_groups(const std::string& by,
                                           const std::vector<std::string>& labels,
                                           const std::vector<double>& predicted,
                                           const std::vector<double>& measured) {
  DOVETAIL_CHECK(labels.size() == predicted.size() && labels.size() == measured.size());
  std::map<std::string, std::vector<size_t>> members;
  for (size_t i = 0; i < labels.size(); ++i) members[labels[i]].push_back(i);
  std::vector<ResidualGroup> groups;
  for (const auto& [name, points] : members) {
    std::vector<double> p;
    std::vector<double> m;
    std::vector<double> bias;
    for (const size_t i : points) {
      p.push_back(predicted[i]);
      m.push_back(measured[i]);
      bias.push_back(predicted[i] / measured[i] - 1);
    }
    groups.push_back({by, name, error_statistics(p, m), quantile(bias, 0.5)});
  }
  return groups;
}

Json calibration_to_json(const CalibrationReport& report) {
  Json json = {{"schema_version", 1}, {"set", report.set}, {"unit", report.unit}};
  for (const SplitReport& split : report.splits) {
    json["splits"][split.name] = statistics_to_json(split.statistics);
    json["splits"][split.name]["says"] = split.says;
  }
  json["parameters"] = Json::array();
  for (const ParameterReport& p : report.parameters) {
    json["parameters"].push_back({{"name", p.parameter.name},
                                  {"unit", p.parameter.unit},
                                  {"mechanism", p.parameter.mechanism},
                                  {"value", p.value},
                                  {"standard_error", p.standard_error},
                                  {"fold_low", p.fold_low},
                                  {"fold_high", p.fold_high},
                                  {"bound_low", p.parameter.low},
                                  {"bound_high", p.parameter.high},
                                  {"at_bound", p.at_bound}});
  }
  json["residuals"] = Json::array();
  for (const ResidualGroup& group : report.groups) {
    Json row = {{"by", group.by}, {"name", group.name}, {"bias_frac", group.bias_frac}};
    row.update(statistics_to_json(group.statistics));
    json["residuals"].push_back(std::move(row));
  }
  json["points"] = Json::array();
  for (const PointReport& p : report.points) {
    json["points"].push_back({{"name", p.name},
                              {"file", p.file},
                              {"line", p.line},
                              {"measured_" + report.unit, p.measured},
                              {"predicted_" + report.unit, p.predicted}});
  }
  return json;
}

std::string calibration_text(const CalibrationReport& report) {
  std::string text =
      fmt::format("{:<14} {:>6} {:>9} {:>9} {:>10} {:>9}  {}\n", report.set, "points", "MAPE %",
                  "median %", "p90 ratio", "rank", "what is judged");
  for (const SplitReport& split : report.splits) {
    text +=
        fmt::format("{:<14} {}  {}\n", split.name, statistics_text(split.statistics), split.says);
  }
  return text + parameters_text(report) + groups_text(report) + worst_text(report);
}

}  // namespace dovetail::silicon
