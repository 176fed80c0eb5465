#include "silicon/calibration_report.h"

#include <gtest/gtest.h>

namespace dovetail::silicon {
namespace {

CalibrationReport sample_report() {
  CalibrationReport report;
  report.set = "dosa";
  report.unit = "cycles";
  report.splits = {{"fit", "in sample", error_statistics({11, 8}, {10, 10})}};
  const std::vector<FitParameter> parameters = {{.name = "wait_cycles",
                                                 .unit = "cycles",
                                                 .mechanism = "queue",
                                                 .start = 1,
                                                 .low = 0,
                                                 .high = 9}};
  report.parameters = parameter_reports(
      parameters, {.values = {9}, .standard_errors = {0}, .at_bound = {true}, .loss = 0},
      {{.predicted = {}, .by_fold = {{4.0}, {8.5}}}});
  report.groups = residual_groups("kind", {"b", "a", "b"}, {11, 5, 30}, {10, 10, 10});
  report.points = {{"layer", "rows.csv", 3, 10, 30}};
  return report;
}

TEST(CalibrationReport, GroupsByLabelInOrder) {
  const auto groups = sample_report().groups;
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].name, "a");
  EXPECT_NEAR(groups[0].bias_frac, -0.5, 1e-12);
  EXPECT_EQ(groups[1].statistics.num_points, 2);
  EXPECT_NEAR(groups[1].bias_frac, (0.1 + 2.0) / 2, 1e-12);
}

TEST(CalibrationReport, ParametersCarryTheirRangeOverTheFolds) {
  const auto parameters = sample_report().parameters;
  ASSERT_EQ(parameters.size(), 1U);
  EXPECT_EQ(parameters[0].fold_low, 4.0);
  EXPECT_EQ(parameters[0].fold_high, 9.0);
  EXPECT_TRUE(parameters[0].at_bound);
}

TEST(CalibrationReport, JsonHoldsTheFiguresBySplit) {
  const Json json = calibration_to_json(sample_report());
  EXPECT_NEAR(json["splits"]["fit"]["mape_frac"].get<double>(), 0.15, 1e-12);
  for (const char* key : {"median_error_frac", "p90_ratio", "spearman", "num_points"}) {
    EXPECT_TRUE(json["splits"]["fit"].contains(key)) << key;
  }
  EXPECT_EQ(json["parameters"][0]["at_bound"], true);
  EXPECT_EQ(json["points"][0]["measured_cycles"], 10.0);
  EXPECT_EQ(json["residuals"][0]["by"], "kind");
}

TEST(CalibrationReport, TextNamesBoundsMechanismsAndTheWorstPoint) {
  const std::string text = calibration_text(sample_report());
  EXPECT_NE(text.find("queue (at its bound)"), std::string::npos);
  EXPECT_NE(text.find("residuals by kind"), std::string::npos);
  EXPECT_NE(text.find("3.00  rows.csv:3"), std::string::npos);
}

}  // namespace
}  // namespace dovetail::silicon
