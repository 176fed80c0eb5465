#include "report/svg.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace dovetail::report {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 380;
constexpr double kLeft = 74;
constexpr double kRight = 20;
constexpr double kTop = 16;
constexpr double kBottom = 52;

bool drawable(double value, const Axis& axis) {
  return std::isfinite(value) && (!axis.logarithmic || value > 0);
}

// Maps values of one axis to pixels, with ticks at round numbers.
class AxisScale {
 public:
  AxisScale(const Axis& axis, double low, double high, double from_px, double to_px)
      : logarithmic_(axis.logarithmic), from_px_(from_px), to_px_(to_px) {
    low_ = transform(low);
    high_ = transform(high);
    const double margin = std::max(0.05 * (high_ - low_), 1e-9 + 0.01 * std::abs(high_));
    low_ -= margin;
    high_ += margin;
  }
  double px(double value) const {
    return from_px_ + (transform(value) - low_) / (high_ - low_) * (to_px_ - from_px_);
  }
  std::vector<double> ticks() const { return logarithmic_ ? log_ticks() : linear_ticks(); }

 private:
  double transform(double value) const { return logarithmic_ ? std::log10(value) : value; }

  std::vector<double> linear_ticks() const { return round_ticks(low_, high_); }

  // About six multiples of 1, 2 or 5 times a power of ten.
  static std::vector<double> round_ticks(double low, double high) {
    const double rough = (high - low) / 6;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * power;
    for (const double candidate : {power, 2 * power, 5 * power}) {
      if (candidate >= rough) {
        step = candidate;
        break;
      }
    }
    std::vector<double> ticks;
    for (double t = std::ceil(low / step) * step; t <= high; t += step) ticks.push_back(t);
    return ticks;
  }
  std::vector<double> log_ticks() const {
    // Less than a decade reads like a linear axis; few decades get 1, 2, 5; many only powers of
    // ten.
    if (high_ - low_ < 1.0) return round_ticks(std::pow(10.0, low_), std::pow(10.0, high_));
    std::vector<double> ticks;
    const bool fine = high_ - low_ < 2.5;
    for (int decade = static_cast<int>(std::floor(low_)); decade <= std::ceil(high_); ++decade) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        if (!fine && digit > 1.0) continue;
        const double tick = digit * std::pow(10.0, decade);
        if (std::log10(tick) >= low_ && std::log10(tick) <= high_) ticks.push_back(tick);
      }
    }
    return ticks;
  }

  bool logarithmic_;
  double from_px_;
  double to_px_;
  double low_ = 0;
  double high_ = 1;
};

struct Extent {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

std::string axes(const ChartParams& params, const AxisScale& x, const AxisScale& y) {
  std::string svg;
  for (const double tick : x.ticks()) {
    svg += fmt::format(
        "<line class='grid' x1='{0:.1f}' y1='{1}' x2='{0:.1f}' y2='{2}'/>"
        "<text class='tick' x='{0:.1f}' y='{3}' text-anchor='middle'>{4:.4g}</text>",
        x.px(tick), kTop, kHeight - kBottom, kHeight - kBottom + 16, tick);
  }
  for (const double tick : y.ticks()) {
    svg += fmt::format(
        "<line class='grid' x1='{1}' y1='{0:.1f}' x2='{2}' y2='{0:.1f}'/>"
        "<text class='tick' x='{3}' y='{4:.1f}' text-anchor='end'>{5:.4g}</text>",
        y.px(tick), kLeft, kWidth - kRight, kLeft - 6, y.px(tick) + 4, tick);
  }
  svg += fmt::format("<text class='label' x='{}' y='{}' text-anchor='middle'>{}</text>",
                     (kLeft + kWidth - kRight) / 2, kHeight - 14, escape(params.x.label));
  svg += fmt::format(
      "<text class='label' transform='translate(16,{}) rotate(-90)' text-anchor='middle'>{}</text>",
      (kTop + kHeight - kBottom) / 2, escape(params.y.label));
  return svg;
}

std::string draw_series(const Series& series, const ChartParams& params, const AxisScale& x,
                        const AxisScale& y) {
  std::string path;
  std::string dots;
  for (const Point& point : series.points) {
    if (!drawable(point.x, params.x) || !drawable(point.y, params.y)) continue;
    path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : "L", x.px(point.x), y.px(point.y));
    dots += fmt::format(
        "<circle class='dot {}' cx='{:.1f}' cy='{:.1f}' r='3.5'><title>{}</title></circle>",
        series.css_class, x.px(point.x), y.px(point.y), escape(point.title));
  }
  const std::string line =
      series.line ? fmt::format("<path class='line {}' d='{}'/>", series.css_class, path) : "";
  return line + dots;
}

}  // namespace

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string scatter_chart(const ChartParams& params, const std::vector<Series>& series) {
  Extent x_extent;
  Extent y_extent;
  for (const Series& one : series) {
    for (const Point& point : one.points) {
      if (!drawable(point.x, params.x) || !drawable(point.y, params.y)) continue;
      x_extent.add(point.x);
      y_extent.add(point.y);
    }
  }
  if (x_extent.low > x_extent.high) return "<p class='empty'>No point to draw.</p>";
  if (params.diagonal) {
    x_extent.add(y_extent.low);
    x_extent.add(y_extent.high);
    y_extent = x_extent;
  }
  const AxisScale x(params.x, x_extent.low, x_extent.high, kLeft, kWidth - kRight);
  const AxisScale y(params.y, y_extent.low, y_extent.high, kHeight - kBottom, kTop);
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'>", kWidth,
                                kHeight, escape(params.title));
  svg += axes(params, x, y);
  if (params.diagonal) {
    svg += fmt::format("<line class='diagonal' x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}'/>",
                       x.px(x_extent.low), y.px(x_extent.low), x.px(x_extent.high),
                       y.px(x_extent.high));
  }
  for (const Series& one : series) svg += draw_series(one, params, x, y);
  svg += "</svg><p class='legend'>";
  for (const Series& one : series) {
    if (!one.name.empty()) {
      svg += fmt::format("<span class='key {}'></span>{} ", one.css_class, escape(one.name));
    }
  }
  return svg + "</p>";
}

std::string ratio_chart(const std::string& title, const std::vector<Bar>& bars) {
  constexpr double kRow = 28;
  constexpr double kNames = 170;
  constexpr double kNotes = 190;
  Extent extent;
  extent.add(1.0);
  for (const Bar& bar : bars) {
    extent.add(bar.low);
    extent.add(bar.high);
  }
  const AxisScale x({"", false}, extent.low, std::max(extent.high, 1.02), kNames, kWidth - kNotes);
  const double height = kRow * static_cast<double>(bars.size()) + 30;
  std::string svg = fmt::format("<svg viewBox='0 0 {} {}' role='img' aria-label='{}'>", kWidth,
                                height, escape(title));
  for (const double tick : x.ticks()) {
    svg += fmt::format(
        "<line class='grid' x1='{0:.1f}' y1='0' x2='{0:.1f}' y2='{1}'/>"
        "<text class='tick' x='{0:.1f}' y='{2}' text-anchor='middle'>{3:.3g}</text>",
        x.px(tick), height - 22, height - 6, tick);
  }
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    const double y = kRow * static_cast<double>(i) + 6;
    const double from = std::min(x.px(1.0), x.px(bar.value));
    const double wide = std::max(1.5, std::abs(x.px(bar.value) - x.px(1.0)));
    svg += fmt::format(
        "<text class='name' x='{}' y='{}' text-anchor='end'>{}</text>"
        "<rect class='bar' x='{:.1f}' y='{}' width='{:.1f}' height='14'/>"
        "<line class='band' x1='{:.1f}' y1='{}' x2='{:.1f}' y2='{}'/>"
        "<text class='note' x='{}' y='{}'>{}</text>",
        kNames - 10, y + 12, escape(bar.name), from, y, wide, x.px(bar.low), y + 7, x.px(bar.high),
        y + 7, kWidth - kNotes + 10, y + 12, escape(bar.note));
  }
  svg += fmt::format("<line class='one' x1='{0:.1f}' y1='0' x2='{0:.1f}' y2='{1}'/></svg>",
                     x.px(1.0), height - 22);
  return svg;
}

}  // namespace dovetail::report
