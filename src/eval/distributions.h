// The few distributions that paired statistics need, accurate to about 1e-12.
#pragma once

#include <cstdint>

namespace dovetail::eval {

// P(X <= x) of the standard normal, and its inverse (probability in (0, 1)).
[[nodiscard]] double normal_cdf(double x);
[[nodiscard]] double normal_quantile(double probability);

// P(X = k) and P(X <= k) of X ~ Binomial(n, p); p in [0, 1], n >= 0. k may lie outside 0..n.
[[nodiscard]] double binomial_pmf(int64_t k, int64_t n, double p);
[[nodiscard]] double binomial_cdf(int64_t k, int64_t n, double p);

// Student's t with `df` degrees of freedom (> 0); probability in (0, 1).
[[nodiscard]] double student_t_cdf(double t, double df);
[[nodiscard]] double student_t_quantile(double probability, double df);

// Regularised incomplete beta function I_x(a, b); a, b > 0, x in [0, 1].
// Source: continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions.
[[nodiscard]] double incomplete_beta(double a, double b, double x);

}  // namespace dovetail::eval
