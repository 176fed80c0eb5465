#include "silicon/calibration_gemmini.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/test_folder.h"

namespace dovetail::silicon {
namespace {

namespace fs = std::filesystem;

// $DOVETAIL_DATA, else ../shared/data beside the working directory of the tests.
std::string dosa_folder() {
  const char* folder = std::getenv("DOVETAIL_DATA");
  return std::string(folder == nullptr ? "../shared/data" : folder) + "/silicon/dosa";
}

Technology machines() {
  auto loaded = Technology::load("data/machines");
  EXPECT_TRUE(loaded.has_value());
  return loaded.has_value() ? *loaded : Technology();
}

constexpr const char* kHeader =
    "target.cycle,mapping.mapping,arch.meshX,arch.mem1_depth,arch.mem2_depth,prob.C,"
    "prob.Hdilation,prob.Hstride,prob.K,prob.N,prob.P,prob.Q,prob.R,prob.S,prob.Wdilation,"
    "prob.Wstride,target.gemmini_cycle\n";
constexpr const char* kRow =
    "9216,L3[WIO] N1 - L2[WI] N1 K16X - L1[O] K16 C16 P4 C16X - L0[W] Q4,16,784,16704,256,1,1,256,"
    "1,4,4,1,1,1,1,17807\n";

std::string folder_with(const std::string& text) {
  const fs::path folder = test_folder() / "rows";
  fs::create_directories(folder);
  std::ofstream(folder / "rows.csv") << text;
  return folder.string();
}

std::string message(const std::string& text) {
  const auto report = calibrate_gemmini(machines(), folder_with(text), "");
  EXPECT_FALSE(report.has_value());
  if (report.has_value()) return "";
  EXPECT_EQ(report.error().code, ErrorCode::kInvalidArgument);
  return report.error().message.substr(report.error().message.find("rows.csv"));
}

std::string row_with(const std::string& from, const std::string& to) {
  std::string row = kRow;
  const size_t at = row.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return kHeader + row.replace(at, from.size(), to);
}

TEST(CalibrateGemmini, FewRowsAreJudgedByThePublishedParameters) {
  const auto report = calibrate_gemmini(machines(), folder_with(kHeader + std::string(kRow)), "");
  ASSERT_TRUE(report.has_value()) << report.error().message;
  ASSERT_EQ(report->splits.size(), 2U);
  EXPECT_EQ(report->splits[0].name, "shipped_model");
  EXPECT_NEAR(report->splits[0].statistics.mape_frac, 1 - 9216.0 / 17807, 1e-12);
  EXPECT_EQ(report->splits[1].name, "published");
  EXPECT_LT(report->splits[1].statistics.mape_frac, 0.15);
  EXPECT_TRUE(report->parameters.empty());
}

TEST(CalibrateGemmini, BadRowsSayFileLineAndWhatWasWanted) {
  EXPECT_EQ(message(""), "rows.csv: empty, want rows");
  EXPECT_EQ(message(kHeader), "rows.csv: a header and no rows, want rows");
  EXPECT_NE(message("a,b\n1,2\n").find("column 'mapping.mapping' is missing"), std::string::npos);
  EXPECT_EQ(message(kHeader + std::string(kRow).substr(0, 60)),
            "rows.csv: line 2 has 2 cells, want 17; is the file cut?");
  EXPECT_EQ(message(row_with("17807", "")),
            "rows.csv: line 2, target.gemmini_cycle = '', want a number in 1..1e+13");
  EXPECT_EQ(message(row_with("17807", "-4")),
            "rows.csv: line 2, target.gemmini_cycle = '-4', want a number in 1..1e+13");
  EXPECT_EQ(message(row_with(",16,784", ",128,784")),
            "rows.csv: line 2, arch.meshX = '128', want a number in 16..16");
  EXPECT_EQ(message(row_with("256,1,1,256", "256,1,2,256")),
            "rows.csv: line 2, prob.Hstride = '2', want a number in 1..1");
  EXPECT_EQ(message(row_with("256,1,1,256,1,4", "256,1,1,256,3,4")),
            "rows.csv: line 2: layer dimension N = 3, want 1 image");
  EXPECT_EQ(message(row_with("L1[O] K16 C16", "L1[O] K8 C16")),
            "rows.csv: line 2: mapping covers K = 128, want 256");
  EXPECT_EQ(message(row_with("L0[W] Q4", "L9")),
            "rows.csv: line 2: mapping level 'L9', want L0 to L3 with its tensors, as L3[WIO]");
  EXPECT_EQ(calibrate_gemmini(machines(), "no/such/folder", "").error().code, ErrorCode::kNotFound);
}

TEST(CalibrateGemmini, PublishedParametersOutsideTheirBoundsAreRefused) {
  const auto moved = machines().with("gemmini_fitted.parameters.tile_issue_cycles", -1);
  const auto report = calibrate_gemmini(moved, folder_with(kHeader + std::string(kRow)), "");
  ASSERT_FALSE(report.has_value());
  EXPECT_NE(report.error().message.find("tile_issue_cycles = -1, want 0..600"), std::string::npos);
}

const ErrorStatistics& split(const CalibrationReport& report, const std::string& name) {
  const auto it = std::find_if(report.splits.begin(), report.splits.end(),
                               [&](const SplitReport& s) { return s.name == name; });
  EXPECT_NE(it, report.splits.end()) << name;
  return it->statistics;
}

// The figures of docs/models/gemmini.md. Targets: under cross-validation by layer MAPE at most 15 %
// (wished for: 12 %), 17 % with a network left out, median at most 10 %, p90 at most 1.5; the model
// shipped with the set has 27.6 % on these rows.
TEST(CalibrateGemmini, ReachesItsTargetsOnTheRtlSet) {
  const std::string folder = dosa_folder();
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there: no RTL cycles to compare with";
  const auto report = calibrate_gemmini(machines(), folder, folder);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_NEAR(split(*report, "shipped_model").mape_frac, 0.276, 0.001);
  EXPECT_NEAR(split(*report, "shipped_model").p90_ratio, 2.227, 0.001);
  const ErrorStatistics& by_layer = split(*report, "by_layer");
  EXPECT_EQ(by_layer.num_points, 148);
  EXPECT_LT(by_layer.mape_frac, 0.10);
  EXPECT_LT(by_layer.median_error_frac, 0.06);
  EXPECT_LT(by_layer.p90_ratio, 1.3);
  EXPECT_GT(by_layer.spearman, 0.99);
  const ErrorStatistics& network = split(*report, "network_out");
  EXPECT_LT(network.mape_frac, 0.12);
  EXPECT_LT(network.median_error_frac, 0.08);
  EXPECT_LT(network.p90_ratio, 1.3);
  // The same rows as test rows are judged by the fit.
  EXPECT_DOUBLE_EQ(split(*report, "test").mape_frac, split(*report, "fit").mape_frac);
  // The parameters in data/machines are those of this fit, rounded.
  ASSERT_EQ(report->parameters.size(), 8U);
  for (const ParameterReport& p : report->parameters) {
    EXPECT_FALSE(p.at_bound) << p.parameter.name;
    const auto published = machines().value("gemmini_fitted.parameters." + p.parameter.name);
    ASSERT_TRUE(published.has_value()) << published.error().message;
    EXPECT_NEAR(*published, p.value, 0.01 * p.value) << p.parameter.name;
  }
  std::set<std::string> networks;
  for (const ResidualGroup& group : report->groups) {
    if (group.by == "network") networks.insert(group.name);
  }
  EXPECT_EQ(networks, (std::set<std::string>{"bert", "resnet50", "retinanet", "unet"}));
}

// A model that is right on average but blind to mechanisms would show a bias in some class.
TEST(CalibrateGemmini, NoClassOfManyPointsIsBiasedByMoreThanATenth) {
  const std::string folder = dosa_folder();
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there: no RTL cycles to compare with";
  const auto report = calibrate_gemmini(machines(), folder, "");
  ASSERT_TRUE(report.has_value()) << report.error().message;
  for (const ResidualGroup& group : report->groups) {
    if (group.statistics.num_points < 20) continue;
    EXPECT_LT(std::abs(group.bias_frac), 0.1) << group.by << ": " << group.name;
  }
}

}  // namespace
}  // namespace dovetail::silicon
