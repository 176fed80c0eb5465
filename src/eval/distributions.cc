#include "eval/distributions.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "base/result.h"

namespace dovetail::eval {
namespace {

// std::lgamma writes a global sign; this one may run in several threads.
double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

double log_choose(int64_t n, int64_t k) {
  const auto all = static_cast<double>(n);
  const auto some = static_cast<double>(k);
  return log_gamma(all + 1) - log_gamma(some + 1) - log_gamma(all - some + 1);
}

// Lentz's method. Converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  constexpr int kMaxSteps = 100'000;
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / nonzero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= kMaxSteps; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    const double change = d * c;
    fraction *= change;
    if (std::abs(change - 1) < 1e-15) break;
  }
  return fraction;
}

// The x of an increasing function where it reaches `value`, to the last bits of a double.
template <typename Function>
double solve_increasing(const Function& function, double value, double low, double high) {
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (function(middle) < value ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

}  // namespace

double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

double normal_quantile(double probability) {
  DOVETAIL_CHECK(probability > 0 && probability < 1);
  return solve_increasing(normal_cdf, probability, -40, 40);
}

double incomplete_beta(double a, double b, double x) {
  DOVETAIL_CHECK(a > 0 && b > 0 && x >= 0 && x <= 1);
  if (x == 0 || x == 1) return x;
  const double log_front =
      log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x);
  const double front = std::exp(log_front);
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double binomial_pmf(int64_t k, int64_t n, double p) {
  DOVETAIL_CHECK(n >= 0 && p >= 0 && p <= 1);
  if (k < 0 || k > n) return 0;
  if (p == 0) return k == 0 ? 1 : 0;
  if (p == 1) return k == n ? 1 : 0;
  return std::exp(log_choose(n, k) + static_cast<double>(k) * std::log(p) +
                  static_cast<double>(n - k) * std::log1p(-p));
}

double binomial_cdf(int64_t k, int64_t n, double p) {
  DOVETAIL_CHECK(n >= 0 && p >= 0 && p <= 1);
  if (k < 0) return 0;
  if (k >= n) return 1;
  return incomplete_beta(static_cast<double>(n - k), static_cast<double>(k) + 1, 1 - p);
}

double student_t_cdf(double t, double df) {
  DOVETAIL_CHECK(df > 0);
  const double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
  return t > 0 ? 1 - tail : tail;
}

double student_t_quantile(double probability, double df) {
  DOVETAIL_CHECK(probability > 0 && probability < 1);
  const auto cdf = [df](double t) { return student_t_cdf(t, df); };
  double bound = 1;
  while (bound < 1e12 && (cdf(bound) < probability || cdf(-bound) > probability)) bound *= 2;
  return solve_increasing(cdf, probability, -bound, bound);
}

}  // namespace dovetail::eval
