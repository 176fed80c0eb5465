// Small charts as SVG text: points on linear or logarithmic axes, bars with bands.
#pragma once

#include <string>
#include <vector>

namespace dovetail::report {

struct Axis {
  std::string label;
  bool logarithmic = false;
};

struct Point {
  double x = 0;
  double y = 0;
  std::string title;  // shown on hover
};

struct Series {
  std::string name;
  std::string css_class;  // "a".."f": colours of the page's style
  std::vector<Point> points = {};
  bool line = false;  // joins the points in order
};

struct ChartParams {
  std::string title;  // read by screen readers
  Axis x = {};
  Axis y = {};
  bool diagonal = false;  // draws y = x
};

// A scatter or line chart. Points that a logarithmic axis cannot show are left out.
[[nodiscard]] std::string scatter_chart(const ChartParams& params,
                                        const std::vector<Series>& series);

struct Bar {
  std::string name;
  double value = 0;
  double low = 0;
  double high = 0;
  std::string note;  // right of the bar
};

// Horizontal bars with bands, measured from 1 (ratios).
[[nodiscard]] std::string ratio_chart(const std::string& title, const std::vector<Bar>& bars);

// Text with &, <, > and quotes escaped.
[[nodiscard]] std::string escape(const std::string& text);

}  // namespace dovetail::report
