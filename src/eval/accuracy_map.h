// From KL to accuracy: what a loss in nats costs in points of a benchmark, fitted to recipes of
// which both were measured on one model.
//
// The mean difference is taken to be proportional to KL and zero without loss. The error holds the
// sampling error of every point and, where points miss the line by more than that, their misfit.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::eval {

struct AccuracyPoint {
  double kl_nats = 0;          // per token, above 0
  double difference_frac = 0;  // candidate - baseline
  double stderr_frac = 0;      // of the difference, above 0
};

struct AccuracyMap {
  double slope_frac_per_nat = 0;  // difference = slope * KL; below 0 where loss costs accuracy
  double stderr_frac_per_nat = 0;
  double misfit = 1;  // variance about the line over that of sampling, 1 or more
  int64_t num_points = 0;
  double largest_kl_nats = 0;  // beyond it the line was not tested
};

// Weighted least squares through the origin. Errors: kInvalidArgument (no point, one outside its
// range).
[[nodiscard]] Result<AccuracyMap> fit_accuracy_map(const std::vector<AccuracyPoint>& points);

struct AccuracyBand {
  double difference_frac = 0;
  double lower_frac = 0;  // one-sided, with the confidence asked for
  double upper_frac = 0;
};

// Student's t with as many degrees of freedom as points (less one where there are several).
// 0 < confidence_frac < 1, one-sided.
[[nodiscard]] AccuracyBand predict_accuracy(const AccuracyMap& map, double kl_nats,
                                            double confidence_frac = 0.95);

// The largest KL whose lower band is not below -margin_frac; nothing where no KL up to twice the
// largest measured one breaks it: the line says nothing so far out.
[[nodiscard]] std::optional<double> largest_kl(const AccuracyMap& map, double margin_frac,
                                               double confidence_frac = 0.95);

[[nodiscard]] Json accuracy_map_to_json(const AccuracyMap& map);
// Errors: kInvalidArgument (a missing key).
[[nodiscard]] Result<AccuracyMap> accuracy_map_from_json(const Json& json);

}  // namespace dovetail::eval
