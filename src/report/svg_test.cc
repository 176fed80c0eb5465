#include "report/svg.h"

#include <gtest/gtest.h>

#include <regex>

namespace dovetail::report {
namespace {

int64_t count(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return std::distance(std::sregex_iterator(text.begin(), text.end(), regex),
                       std::sregex_iterator());
}

TEST(ScatterChart, DrawsEveryPointInsideThePicture) {
  Series series{.name = "front", .css_class = "a", .points = {}, .line = true};
  for (int i = 1; i <= 7; ++i) {
    series.points.push_back({static_cast<double>(i), 1000.0 / i, "p" + std::to_string(i)});
  }
  const std::string svg =
      scatter_chart({.title = "t", .x = {"x", true}, .y = {"y", true}}, {series});
  EXPECT_EQ(count(svg, "<circle"), 7);
  EXPECT_EQ(count(svg, "nan|inf"), 0);
  const std::regex position("c[xy]='([-0-9.]+)'");
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), position);
       it != std::sregex_iterator(); ++it) {
    const double px = std::stod((*it)[1]);
    EXPECT_GE(px, 0);
    EXPECT_LE(px, 640);
  }
}

TEST(ScatterChart, LeavesOutWhatALogarithmCannotShow) {
  const Series series{
      .name = "s", .css_class = "a", .points = {{0, 1, ""}, {1, 1, ""}, {2, -1, ""}}};
  const std::string svg =
      scatter_chart({.title = "t", .x = {"x", true}, .y = {"y", true}}, {series});
  EXPECT_EQ(count(svg, "<circle"), 1);
  EXPECT_NE(scatter_chart({.title = "t"}, {}).find("No point"), std::string::npos);
}

TEST(RatioChart, OneBarAndOneBandEach) {
  const std::string svg =
      ratio_chart("t", {{"a", 1.1, 1.05, 1.2, ""}, {"b", 0.99, 0.95, 1.01, ""}});
  EXPECT_EQ(count(svg, "class='bar'"), 2);
  EXPECT_EQ(count(svg, "class='band'"), 2);
}

TEST(Escape, LeavesNoMarkup) {
  EXPECT_EQ(escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
}

}  // namespace
}  // namespace dovetail::report
