#include "silicon/calibration_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/result.h"

namespace dovetail::silicon {
namespace {

// Rank of each value, 1 the smallest; equal values share the mean of their ranks.
std::vector<double> mean_ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t end = first + 1;
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    for (size_t i = first; i < end; ++i) {
      ranks[order[i]] = static_cast<double>(first + 1 + end) / 2;
    }
    first = end;
  }
  return ranks;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const auto count = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / count;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / count;
  double xy = 0;
  double xx = 0;
  double yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

ErrorStatistics error_statistics(const std::vector<double>& predicted,
                                 const std::vector<double>& measured) {
  DOVETAIL_CHECK(predicted.size() == measured.size());
  ErrorStatistics statistics;
  if (predicted.empty()) return statistics;
  std::vector<double> errors;
  std::vector<double> ratios;
  for (size_t i = 0; i < predicted.size(); ++i) {
    const double ratio = predicted[i] / measured[i];
    errors.push_back(std::abs(ratio - 1));
    ratios.push_back(std::max(ratio, 1 / ratio));
  }
  statistics.num_points = static_cast<int64_t>(errors.size());
  statistics.mape_frac =
      std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
  statistics.median_error_frac = quantile(errors, 0.5);
  statistics.p90_ratio = quantile(ratios, 0.9);
  statistics.spearman = correlation(mean_ranks(predicted), mean_ranks(measured));
  return statistics;
}

}  // namespace dovetail::silicon
