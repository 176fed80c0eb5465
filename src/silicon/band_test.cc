#include "silicon/band.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::silicon {
namespace {

Technology three_constants() {
  const std::string folder = test_folder();
  std::ofstream(folder + "/dram.toml") << "[here]\n"
                                          "a = { value = 10, low = 7, high = 14, unit = \"1\", "
                                          "date = \"2026-01-01\", source = \"s\" }\n"
                                          "[elsewhere]\n"
                                          "a = { value = 1, low = 0, high = 100, unit = \"1\", "
                                          "date = \"2026-01-01\", source = \"s\" }\n";
  std::ofstream(folder + "/system.toml") << "[x]\n"
                                            "b = { value = 5, low = 1, high = 8, unit = \"1\", "
                                            "date = \"2026-01-01\", source = \"s\" }\n";
  return *Technology::load(folder);
}

chip::Chip chip_here() {
  chip::Chip chip;
  chip.dram.kind = "here";
  return chip;
}

TEST(Band, DeviationsAddAsRootOfSquaresPerSide) {
  const auto result = bands(three_constants(), chip_here(), [](const Technology& t) {
    return Result<std::vector<double>>(std::vector<double>{
        *t.value("dram.here.a") + *t.value("system.x.b") + *t.value("dram.elsewhere.a"),
        -*t.value("system.x.b"), 3.0});
  });
  ASSERT_TRUE(result.has_value());
  ASSERT_EQ(result->size(), 3U);
  const Band& sum = (*result)[0];
  EXPECT_DOUBLE_EQ(sum.value, 16);
  EXPECT_DOUBLE_EQ(sum.low, 16 - std::hypot(3, 4));
  EXPECT_DOUBLE_EQ(sum.high, 16 + std::hypot(4, 3));
  ASSERT_EQ(sum.causes.size(), 2U);  // the other DRAM kind does not count
  EXPECT_DOUBLE_EQ(sum.causes[0].share_frac, 0.5);
  const Band& negative = (*result)[1];
  EXPECT_DOUBLE_EQ(negative.low, -8);
  EXPECT_DOUBLE_EQ(negative.high, -1);
  EXPECT_EQ(negative.causes[0].constant, "system.x.b");
  EXPECT_DOUBLE_EQ((*result)[2].low, 3);
  EXPECT_DOUBLE_EQ((*result)[2].high, 3);
  EXPECT_TRUE((*result)[2].causes.empty());
}

TEST(Band, LeavesOutWhatAConstantMakesImpossible) {
  const auto result = bands(three_constants(), chip_here(), [](const Technology& t) {
    const double b = *t.value("system.x.b");
    if (b > 7) return Result<std::vector<double>>(invalid_argument("too large"));
    return Result<std::vector<double>>(std::vector<double>{b < 2 ? INFINITY : b});
  });
  ASSERT_TRUE(result.has_value());
  EXPECT_DOUBLE_EQ(result->front().low, 5);
  EXPECT_DOUBLE_EQ(result->front().high, 5);
}

TEST(Band, AnErrorAtTheGivenConstantsIsAnError) {
  const auto result = bands(three_constants(), chip_here(), [](const Technology&) {
    return Result<std::vector<double>>(invalid_argument("no"));
  });
  EXPECT_FALSE(result.has_value());
}

}  // namespace
}  // namespace dovetail::silicon
