#include "eval/noninferiority.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/parallel.h"
#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

// Letters: n questions, b gained, c lost, delta the difference under H0, z a Tango score.

// H0 "difference <= delta" against the tables whose score is at least z: for each b the largest c
// of the table that is still as extreme, -1 for none. The score falls as c grows.
struct Region {
  int64_t n = 0;
  double delta = 0;
  std::vector<int64_t> max_lost;  // (n + 1)
};

Region region_of_score(int64_t n, double delta, double z) {
  Region region{.n = n, .delta = delta, .max_lost = {}};
  region.max_lost.reserve(static_cast<size_t>(n) + 1);
  const double limit = z - 1e-9 * std::max(1.0, std::abs(z));  // ties are as extreme
  for (int64_t b = 0; b <= n; ++b) {
    int64_t inside = -1;
    int64_t outside = n - b + 1;
    while (outside - inside > 1) {
      const int64_t c = inside + (outside - inside) / 2;
      (tango_score(b, c, n, delta) >= limit ? inside : outside) = c;
    }
    region.max_lost.push_back(inside);
  }
  return region;
}

// The chance of the region where a question is gained and lost at these rates.
double chance_of(const Region& region, const FlipRates& rates) {
  const auto n = static_cast<double>(region.n);
  // Tables further out hold less than 1e-14.
  const double reach = 8 * std::sqrt(n * rates.gained_frac * (1 - rates.gained_frac)) + 20;
  const double centre = n * rates.gained_frac;
  const auto first = std::max<int64_t>(0, static_cast<int64_t>(centre - reach));
  const auto last = std::min(region.n, static_cast<int64_t>(centre + reach));
  const double rest = 1 - rates.gained_frac;
  const double lost_of_rest = rest > 0 ? std::min(1.0, rates.lost_frac / rest) : 0;
  double chance = 0;
  for (int64_t b = first; b <= last; ++b) {
    const int64_t most = region.max_lost[static_cast<size_t>(b)];
    if (most < 0) continue;
    chance += binomial_pmf(b, region.n, rates.gained_frac) *
              binomial_cdf(most, region.n - b, lost_of_rest);
  }
  return std::min(1.0, chance);
}

// The rates on the boundary of H0, from the fewest flips (t = 0) to all questions (t = 1). Squared,
// because the chance varies fastest where flips are few.
FlipRates boundary_rates(double delta, double t) {
  const double fewest = std::max(0.0, -delta);
  const double lost = fewest + ((1 - delta) / 2 - fewest) * t * t;
  return {.gained_frac = std::clamp(lost + delta, 0.0, 1.0), .lost_frac = lost};
}

// The largest chance of the region on the boundary: a grid, then a search around its best point.
double size_of(const Region& region) {
  constexpr int kGrid = 64;
  const auto chance = [&](double t) { return chance_of(region, boundary_rates(region.delta, t)); };
  double best = 0;
  double best_t = 0;
  for (int i = 0; i <= kGrid; ++i) {
    const double t = static_cast<double>(i) / kGrid;
    const double value = chance(t);
    if (value > best) best = value, best_t = t;
  }
  double low = std::max(0.0, best_t - 1.0 / kGrid);
  double high = std::min(1.0, best_t + 1.0 / kGrid);
  for (int i = 0; i < 16; ++i) {
    const double left = low + (high - low) * 0.382;
    const double right = low + (high - low) * 0.618;
    const double at_left = chance(left);
    const double at_right = chance(right);
    best = std::max({best, at_left, at_right});
    (at_left < at_right ? low : high) = at_left < at_right ? left : right;
  }
  return best;
}

// The p value of H0 "difference <= delta".
double p_value(int64_t gained, int64_t lost, int64_t n, double delta) {
  return size_of(region_of_score(n, delta, tango_score(gained, lost, n, delta)));
}

// The largest region of size at most alpha.
Region region_of_size(int64_t n, double delta, double alpha) {
  double too_large = 0;
  double small_enough = 2 * std::sqrt(static_cast<double>(n)) + 10;  // beyond every finite score
  for (int i = 0; i < 18; ++i) {
    // The critical score is nearly always a little above the normal one.
    const double middle =
        i == 0 ? normal_quantile(1 - alpha) + 0.5 : (too_large + small_enough) / 2;
    const bool fits = size_of(region_of_score(n, delta, middle)) <= alpha;
    (fits ? small_enough : too_large) = middle;
  }
  return region_of_score(n, delta, small_enough);
}

Status check_margin(double margin_frac) {
  if (margin_frac > 0 && margin_frac < 1) return {};
  return invalid_argument(fmt::format("margin_frac = {}, want a value in (0, 1)", margin_frac));
}

Status check_level(const char* name, double value) {
  if (value > 0 && value < 1) return {};
  return invalid_argument(fmt::format("{} = {}, want a value in (0, 1)", name, value));
}

Status check_rates(const FlipRates& rates) {
  const bool fits = rates.gained_frac >= 0 && rates.lost_frac >= 0 &&
                    rates.gained_frac + rates.lost_frac <= 1 + 1e-12;
  if (fits) return {};
  return invalid_argument(
      fmt::format("gained_frac = {} and lost_frac = {}, want none negative and a sum of at most 1",
                  rates.gained_frac, rates.lost_frac));
}

// Asymptotic variance of one question's score under H0 at these true rates.
double null_variance(const FlipRates& rates, double delta) {
  const double h =
      -rates.gained_frac - rates.lost_frac + (2 - rates.gained_frac + rates.lost_frac) * delta;
  const double k = -rates.lost_frac * delta * (1 - delta);
  const double chance = (std::sqrt(std::max(0.0, h * h - 8 * k)) - h) / 4;
  return 2 * chance + delta * (1 - delta);
}

}  // namespace

Result<NonInferiorityTest> test_noninferiority(const PairedCounts& counts, double margin_frac) {
  DOVETAIL_TRY_STATUS(check_margin(margin_frac));
  if (counts.total() < 1) return invalid_argument("non-inferiority: no questions");
  const int64_t n = counts.total();
  // A failure is the same test with the two models exchanged.
  return NonInferiorityTest{.p_pass = p_value(counts.gained, counts.lost, n, -margin_frac),
                            .p_fail = p_value(counts.lost, counts.gained, n, margin_frac)};
}

Result<Power> power_of_test(int64_t num_questions, double margin_frac, const FlipRates& rates,
                            double alpha) {
  DOVETAIL_TRY_STATUS(check_margin(margin_frac));
  DOVETAIL_TRY_STATUS(check_level("alpha", alpha));
  DOVETAIL_TRY_STATUS(check_rates(rates));
  if (num_questions < 1) {
    return invalid_argument(fmt::format("num_questions = {}, want at least 1", num_questions));
  }
  const Region pass = region_of_size(num_questions, -margin_frac, alpha);
  const Region fail = region_of_size(num_questions, margin_frac, alpha);
  return Power{.num_questions = num_questions,
               .pass_frac = chance_of(pass, rates),
               .fail_frac = chance_of(fail, {rates.lost_frac, rates.gained_frac})};
}

Result<std::vector<Power>> power_curve(const std::vector<int64_t>& num_questions,
                                       double margin_frac, const FlipRates& rates, double alpha) {
  std::vector<Result<Power>> points(num_questions.size());
  parallel_for(static_cast<int64_t>(points.size()), [&](int64_t i, int64_t) {
    const auto place = static_cast<size_t>(i);
    points[place] = power_of_test(num_questions[place], margin_frac, rates, alpha);
  });
  std::vector<Power> curve;
  for (auto& point : points) {
    DOVETAIL_TRY(const Power power, std::move(point));
    curve.push_back(power);
  }
  return curve;
}

Result<std::optional<int64_t>> questions_to_decide(double margin_frac, const FlipRates& rates,
                                                   double alpha, double power) {
  DOVETAIL_TRY_STATUS(check_margin(margin_frac));
  DOVETAIL_TRY_STATUS(check_level("alpha", alpha));
  DOVETAIL_TRY_STATUS(check_level("power", power));
  DOVETAIL_TRY_STATUS(check_rates(rates));
  const double difference = rates.gained_frac - rates.lost_frac;
  const double distance = std::abs(difference + margin_frac);
  if (distance < 1e-9) return std::optional<int64_t>{};
  const double variance =
      std::max(0.0, rates.gained_frac + rates.lost_frac - difference * difference);
  const double numerator =
      normal_quantile(1 - alpha) * std::sqrt(null_variance(rates, -margin_frac)) +
      normal_quantile(power) * std::sqrt(variance);
  double wanted = numerator * numerator / (distance * distance);
  // With fewer, not even a table without a flip passes: (1 - m)^n is above alpha.
  if (difference > -margin_frac) {
    wanted = std::max(wanted, std::log(alpha) / std::log1p(-margin_frac));
  }
  const double n = std::ceil(wanted);
  if (n > 1e15) return std::optional<int64_t>{};
  return std::optional<int64_t>{std::max<int64_t>(1, static_cast<int64_t>(n))};
}

}  // namespace dovetail::eval
