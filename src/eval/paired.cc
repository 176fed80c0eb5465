#include "eval/paired.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

Status check_confidence(double confidence_frac) {
  if (confidence_frac > 0 && confidence_frac < 1) return {};
  return invalid_argument(
      fmt::format("confidence_frac = {}, want a value in (0, 1)", confidence_frac));
}

// The delta in [-1, 1] where the score, which falls with it, reaches `value`.
double delta_of_score(const PairedCounts& counts, double value) {
  double low = -1;
  double high = 1;
  for (int i = 0; i < 100; ++i) {
    const double middle = (low + high) / 2;
    (tango_score(counts.gained, counts.lost, counts.total(), middle) > value ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::vector<double> cluster_sums(const std::vector<double>& differences,
                                 const std::vector<int64_t>& clusters, double mean) {
  std::vector<double> sums;
  std::map<int64_t, size_t> places;
  for (size_t i = 0; i < differences.size(); ++i) {
    if (clusters.empty()) {
      sums.push_back(differences[i] - mean);
      continue;
    }
    const auto [place, is_first] = places.emplace(clusters[i], sums.size());
    if (is_first) sums.push_back(0);
    sums[place->second] += differences[i] - mean;
  }
  return sums;
}

}  // namespace

double PairedCounts::difference_frac() const {
  DOVETAIL_CHECK(total() > 0);
  return static_cast<double>(gained - lost) / static_cast<double>(total());
}

Result<PairedFlips> find_flips(const std::vector<bool>& baseline,
                               const std::vector<bool>& candidate) {
  if (baseline.size() != candidate.size() || baseline.empty()) {
    return invalid_argument(
        fmt::format("paired comparison: {} questions of the baseline and {} of the candidate, want "
                    "the same questions and at least 1",
                    baseline.size(), candidate.size()));
  }
  PairedFlips flips;
  for (size_t i = 0; i < baseline.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    if (baseline[i] && candidate[i]) ++flips.counts.both_right;
    if (!baseline[i] && !candidate[i]) ++flips.counts.both_wrong;
    if (!baseline[i] && candidate[i]) flips.gained.push_back(index);
    if (baseline[i] && !candidate[i]) flips.lost.push_back(index);
  }
  flips.counts.gained = static_cast<int64_t>(flips.gained.size());
  flips.counts.lost = static_cast<int64_t>(flips.lost.size());
  return flips;
}

McNemarTest mcnemar(int64_t gained, int64_t lost) {
  DOVETAIL_CHECK(gained >= 0 && lost >= 0);
  const int64_t fewer = std::min(gained, lost);
  const double twice = 2 * binomial_cdf(fewer, gained + lost, 0.5);
  return {.p_exact = std::min(1.0, twice),
          .p_mid = std::min(1.0, twice - binomial_pmf(fewer, gained + lost, 0.5))};
}

double tango_score(int64_t gained, int64_t lost, int64_t total, double delta) {
  const auto b = static_cast<double>(gained);
  const auto c = static_cast<double>(lost);
  const auto n = static_cast<double>(total);
  // The chance of a loss that fits best under H0 is the larger root of a x^2 + h x + k = 0.
  const double a = 2 * n;
  const double h = -b - c + (2 * n - b + c) * delta;
  const double k = -c * delta * (1 - delta);
  const double chance = (std::sqrt(std::max(0.0, h * h - 4 * a * k)) - h) / (2 * a);
  const double variance = n * (2 * chance + delta * (1 - delta));
  const double distance = b - c - n * delta;
  if (variance <= 1e-12 * n) {
    if (std::abs(distance) <= 1e-9 * n) return 0;
    return std::copysign(HUGE_VAL, distance);
  }
  return distance / std::sqrt(variance);
}

Result<Interval> tango_interval(const PairedCounts& counts, double confidence_frac) {
  DOVETAIL_TRY_STATUS(check_confidence(confidence_frac));
  if (counts.total() < 1) return invalid_argument("interval of a difference: no questions");
  const double z = normal_quantile(0.5 + confidence_frac / 2);
  return Interval{.lower = delta_of_score(counts, z),
                  .upper = delta_of_score(counts, -z),
                  .confidence_frac = confidence_frac};
}

Result<PairedMean> paired_mean(const std::vector<double>& differences,
                               const std::vector<int64_t>& clusters, double confidence_frac) {
  DOVETAIL_TRY_STATUS(check_confidence(confidence_frac));
  if (differences.empty()) return invalid_argument("paired mean: no questions, want at least 1");
  if (!clusters.empty() && clusters.size() != differences.size()) {
    return invalid_argument(fmt::format("paired mean: {} clusters for {} questions, want one each",
                                        clusters.size(), differences.size()));
  }
  const auto n = static_cast<double>(differences.size());
  double sum = 0;
  double largest = 0;
  for (size_t i = 0; i < differences.size(); ++i) {
    if (!std::isfinite(differences[i])) {
      return invalid_argument(
          fmt::format("paired mean: question {} = {}, want a finite value", i, differences[i]));
    }
    sum += differences[i];
    largest = std::max(largest, std::abs(differences[i]));
  }
  PairedMean result;
  result.mean = sum / n;
  result.num_questions = static_cast<int64_t>(differences.size());
  const std::vector<double> sums = cluster_sums(differences, clusters, result.mean);
  result.num_clusters = static_cast<int64_t>(sums.size());
  if (sums.size() < 2) return result;
  const auto groups = static_cast<double>(sums.size());
  double squares = 0;
  for (const double value : sums) squares += value * value;
  const double error = std::sqrt(groups / (groups - 1) * squares) / n;
  if (error <= 1e-12 * largest) return result;  // only rounding is left
  const double reach = student_t_quantile(0.5 + confidence_frac / 2, groups - 1) * error;
  result.std_error = error;
  result.interval = Interval{.lower = result.mean - reach,
                             .upper = result.mean + reach,
                             .confidence_frac = confidence_frac};
  return result;
}

}  // namespace dovetail::eval
