#include "silicon/calibration_gpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/test_folder.h"

namespace dovetail::silicon {
namespace {

namespace fs = std::filesystem;

std::string llmcompass_folder() {
  const char* folder = std::getenv("DOVETAIL_DATA");
  return std::string(folder == nullptr ? "../shared/data" : folder) + "/silicon/llmcompass";
}

Technology machines() {
  auto loaded = Technology::load("data/machines");
  EXPECT_TRUE(loaded.has_value());
  return loaded.has_value() ? *loaded : Technology();
}

std::string folder_with(const std::string& name, const std::string& text) {
  const fs::path folder = test_folder() / "gpu";
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / name) << text;
  return folder.string();
}

std::string message(const std::string& name, const std::string& text) {
  const auto points = read_gpu_measurements(folder_with(name, text));
  EXPECT_FALSE(points.has_value());
  if (points.has_value()) return "";
  return points.error().message.substr(points.error().message.find(name));
}

TEST(ReadGpuMeasurements, ConvertsEveryUnit) {
  const auto folder = folder_with("x_matmul.csv", "64, 12288, 12288, 0.1900ms, 101.7124Tflops");
  std::ofstream(fs::path(folder) / "x_softmax.csv") << "4096, 32, 10\n";
  std::ofstream(fs::path(folder) / "x_gelu.csv") << "2000, 0.02\n";
  std::ofstream(fs::path(folder) / "transformer.csv") << "0.1\n";
  const auto points = read_gpu_measurements(folder);
  ASSERT_TRUE(points.has_value()) << points.error().message;
  ASSERT_EQ(points->size(), 3U);
  EXPECT_EQ(points->at(0).op.name(), "gelu 2000 x 1");
  EXPECT_NEAR(points->at(0).time_us, 100, 1e-9);  // 2000 elements at 0.02e9 a second
  EXPECT_EQ(points->at(1).op.name(), "matmul 64 x 12288 x 12288");
  EXPECT_NEAR(points->at(1).time_us, 190, 1e-9);
  EXPECT_NEAR(points->at(2).time_us, 4096 * 32 / 10e3, 1e-9);
}

TEST(ReadGpuMeasurements, BadRowsSayFileLineAndWhatWasWanted) {
  EXPECT_EQ(message("matmul.csv", "64, 12288, 12288, 0.19ms, 50Tflops\n"),
            "matmul.csv: line 1: 0.19 ms are 101.7 Tflops, the row says 50");
  EXPECT_EQ(message("matmul.csv", "64, 12288, 12288, 0.19ms\n"),
            "matmul.csv: line 1 has 4 cells, want 5; is the file cut?");
  EXPECT_EQ(message("softmax.csv", "4096, 32, 10\n4096, x, 10\n"),
            "softmax.csv: line 2, column 2 = 'x', want a number in 1..1.09951e+12");
  EXPECT_EQ(message("gelu.csv", "2048, -1\n"),
            "gelu.csv: line 1, column 2 = '-1', want a number in 1e-09..1e+09");
  EXPECT_EQ(message("gelu.csv", ""), "gelu.csv: empty, want rows");
  EXPECT_EQ(read_gpu_measurements("no/such/folder").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(read_gpu_measurements(folder_with("other.csv", "1\n")).error().code,
            ErrorCode::kNotFound);
}

TEST(CalibrateGpu, FewPointsAreJudgedByThePublishedParameters) {
  const auto report = calibrate_gpu(machines(), folder_with("gelu.csv", "2048, 0.0434\n"));
  ASSERT_TRUE(report.has_value()) << report.error().message;
  ASSERT_EQ(report->splits.size(), 2U);
  EXPECT_EQ(report->splits[0].name, "published");
  EXPECT_EQ(report->splits[1].name, "published_gelu");
  EXPECT_LT(report->splits[1].statistics.mape_frac, 0.05);
  EXPECT_TRUE(report->parameters.empty());
}

// Rates written by the model itself at known parameters: the fit must find them again.
TEST(CalibrateGpu, RecoversPlantedParameters) {
  const std::vector<double> truth = {35, 16, 45, 60, 0.7, 0.85, 0.75, 1.5};
  const auto machine = gpu_machine(machines(), "a100").value();
  const auto rate = [&](const GpuOperator& op) {
    const double us = estimate_gpu_latency(machine, op, truth).time_us;
    return static_cast<double>(op.rows) * static_cast<double>(op.cols) / us / 1e3;
  };
  std::string matmul, softmax, norm, gelu;
  for (int64_t n = 64; n <= 32768; n *= 2) {
    const GpuOperator mm{GpuOperatorKind::kMatmul, 8192, n, n};
    const double us = estimate_gpu_latency(machine, mm, truth).time_us;
    const double flop = 2.0 * 8192 * static_cast<double>(n) * static_cast<double>(n);
    matmul +=
        fmt::format("8192, {}, {}, {:.9f}ms, {:.9f}Tflops\n", n, n, us / 1e3, flop / us / 1e6);
    softmax += fmt::format("4096, {}, {:.9f}\n", n, rate({GpuOperatorKind::kSoftmax, 4096, n, 1}));
    softmax += fmt::format("{}, 4096, {:.9f}\n", n, rate({GpuOperatorKind::kSoftmax, n, 4096, 1}));
    norm += fmt::format("{}, 2048, {:.9f}\n", n, rate({GpuOperatorKind::kLayerNorm, n, 2048, 1}));
    gelu += fmt::format("{}, {:.9f}\n", n * 8192, rate({GpuOperatorKind::kGelu, n * 8192, 1, 1}));
  }
  const std::string folder = folder_with("matmul.csv", matmul);
  std::ofstream(fs::path(folder) / "softmax.csv") << softmax;
  std::ofstream(fs::path(folder) / "layernorm.csv") << norm;
  std::ofstream(fs::path(folder) / "gelu.csv") << gelu;
  const auto report = calibrate_gpu(machines(), folder);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  for (size_t j = 0; j < truth.size(); ++j) {
    EXPECT_NEAR(report->parameters[j].value, truth[j], 0.01 * truth[j])
        << report->parameters[j].parameter.name;
  }
}

// LLMCompass itself: mean errors of 7.2 % (matmul), 9.4 (softmax), 8.7 (layer norm), 5.5 (GELU).
TEST(CalibrateGpu, IsBetterThanLlmCompassOnEachKind) {
  const std::string folder = llmcompass_folder();
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there: no timings to compare with";
  const auto report = calibrate_gpu(machines(), folder);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  const auto mape = [&](const std::string& name) {
    const auto it = std::find_if(report->splits.begin(), report->splits.end(),
                                 [&](const SplitReport& s) { return s.name == name; });
    EXPECT_NE(it, report->splits.end()) << name;
    return it == report->splits.end() ? 1 : it->statistics.mape_frac;
  };
  EXPECT_LT(mape("one_out_matmul"), 0.05);
  EXPECT_LT(mape("one_out_softmax"), 0.055);
  EXPECT_LT(mape("one_out_layer_norm"), 0.055);
  EXPECT_LT(mape("one_out_gelu"), 0.025);
  EXPECT_LT(mape("by_size_matmul"), 0.072);
  EXPECT_LT(mape("by_size_softmax"), 0.094);
  EXPECT_LT(mape("by_size_layer_norm"), 0.087);
  EXPECT_LT(mape("by_size_gelu"), 0.055);
  for (const ParameterReport& p : report->parameters) {
    EXPECT_FALSE(p.at_bound) << p.parameter.name;
    const auto published = machines().value("a100_fitted.parameters." + p.parameter.name);
    ASSERT_TRUE(published.has_value()) << published.error().message;
    EXPECT_NEAR(*published, p.value, 0.01 * p.value) << p.parameter.name;
  }
}

}  // namespace
}  // namespace dovetail::silicon
