#include "eval/accuracy_map.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

// How far beyond the points the line is trusted.
constexpr double kMaxExtrapolation = 2;

Status check(const std::vector<AccuracyPoint>& points) {
  if (points.empty()) return invalid_argument("no measured point to map KL to accuracy");
  for (const AccuracyPoint& point : points) {
    if (point.kl_nats > 0 && point.stderr_frac > 0 && std::isfinite(point.difference_frac))
      continue;
    return invalid_argument(
        fmt::format("a point of KL {} nats, difference {} +- {}; want KL and error above 0",
                    point.kl_nats, point.difference_frac, point.stderr_frac));
  }
  return {};
}

double degrees_of_freedom(const AccuracyMap& map) {
  return static_cast<double>(std::max<int64_t>(1, map.num_points - 1));
}

// Of points that agree with the line the error is that of sampling, which is known from many
// questions; else it is estimated from the few points.
double band_quantile(const AccuracyMap& map, double confidence_frac) {
  return map.misfit > 1 ? student_t_quantile(confidence_frac, degrees_of_freedom(map))
                        : normal_quantile(confidence_frac);
}

}  // namespace

Result<AccuracyMap> fit_accuracy_map(const std::vector<AccuracyPoint>& points) {
  DOVETAIL_TRY_STATUS(check(points));
  AccuracyMap map{.num_points = std::ssize(points)};
  double weight = 0;
  double moment = 0;
  for (const AccuracyPoint& point : points) {
    const double precision = 1 / (point.stderr_frac * point.stderr_frac);
    weight += precision * point.kl_nats * point.kl_nats;
    moment += precision * point.kl_nats * point.difference_frac;
    map.largest_kl_nats = std::max(map.largest_kl_nats, point.kl_nats);
  }
  map.slope_frac_per_nat = moment / weight;
  double chi_squared = 0;
  for (const AccuracyPoint& point : points) {
    const double miss = point.difference_frac - map.slope_frac_per_nat * point.kl_nats;
    chi_squared += (miss / point.stderr_frac) * (miss / point.stderr_frac);
  }
  if (points.size() > 1) map.misfit = std::max(1.0, chi_squared / degrees_of_freedom(map));
  map.stderr_frac_per_nat = std::sqrt(map.misfit / weight);
  return map;
}

AccuracyBand predict_accuracy(const AccuracyMap& map, double kl_nats, double confidence_frac) {
  const double half = band_quantile(map, confidence_frac) * map.stderr_frac_per_nat * kl_nats;
  const double mean = map.slope_frac_per_nat * kl_nats;
  return {.difference_frac = mean, .lower_frac = mean - half, .upper_frac = mean + half};
}

std::optional<double> largest_kl(const AccuracyMap& map, double margin_frac,
                                 double confidence_frac) {
  const double lower_slope =
      map.slope_frac_per_nat - band_quantile(map, confidence_frac) * map.stderr_frac_per_nat;
  if (lower_slope >= 0) return std::nullopt;
  const double largest = -margin_frac / lower_slope;
  if (largest > kMaxExtrapolation * map.largest_kl_nats) return std::nullopt;
  return largest;
}

Json accuracy_map_to_json(const AccuracyMap& map) {
  return Json{{"slope_frac_per_nat", map.slope_frac_per_nat},
              {"stderr_frac_per_nat", map.stderr_frac_per_nat},
              {"misfit", map.misfit},
              {"num_points", map.num_points},
              {"largest_kl_nats", map.largest_kl_nats}};
}

Result<AccuracyMap> accuracy_map_from_json(const Json& json) {
  try {
    return AccuracyMap{.slope_frac_per_nat = json.at("slope_frac_per_nat").get<double>(),
                       .stderr_frac_per_nat = json.at("stderr_frac_per_nat").get<double>(),
                       .misfit = json.at("misfit").get<double>(),
                       .num_points = json.at("num_points").get<int64_t>(),
                       .largest_kl_nats = json.at("largest_kl_nats").get<double>()};
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("no map of KL to accuracy: {}", error.what()));
  }
}

}  // namespace dovetail::eval
