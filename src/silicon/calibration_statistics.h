// How far predictions lie from measurements: the four figures that every calibration reports.
#pragma once

#include <cstdint>
#include <vector>

namespace dovetail::silicon {

struct ErrorStatistics {
  int64_t num_points = 0;
  double mape_frac = 0;          // mean of |predicted / measured - 1|
  double median_error_frac = 0;  // median of the same
  // 90th percentile of max(measured / predicted, predicted / measured): a factor of two is 2
  // whether it is too slow or too fast. At least the 90th percentile of measured / predicted alone.
  double p90_ratio = 0;
  double spearman = 0;  // rank correlation, ties at their mean rank; 0 where a side is constant
};

// Both positive and finite, of equal length; all zero for no points.
[[nodiscard]] ErrorStatistics error_statistics(const std::vector<double>& predicted,
                                               const std::vector<double>& measured);

// The q-quantile, linear between order statistics (type 7 of Hyndman and Fan 1996). q in [0, 1];
// 0 for no values.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace dovetail::silicon
