#include "eval/distributions.h"

#include <gtest/gtest.h>

namespace dovetail::eval {
namespace {

// scipy 1.x:  python3 -c "from scipy import stats as s; print(s.binom.cdf(37,164,.21),
//   s.binom.cdf(900,14042,.07), s.binom.pmf(5,57,.1), s.t.cdf(-1.7,56), s.t.ppf(.975,19),
//   s.t.ppf(.95,1), s.norm.ppf(.95), s.norm.ppf(1e-6), s.beta.cdf(.3,2.5,7))"
TEST(Distributions, AgreeWithScipy) {
  EXPECT_NEAR(binomial_cdf(37, 164, 0.21), 0.725296137360318, 1e-11);
  EXPECT_NEAR(binomial_cdf(900, 14042, 0.07), 0.002904094119887778, 1e-11);
  EXPECT_NEAR(binomial_pmf(5, 57, 0.1), 0.17479316505509226, 1e-12);
  EXPECT_NEAR(student_t_cdf(-1.7, 56), 0.04733968720104605, 1e-12);
  EXPECT_NEAR(student_t_quantile(0.975, 19), 2.0930240544083087, 1e-10);
  EXPECT_NEAR(student_t_quantile(0.95, 1), 6.313751514675037, 1e-9);
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536269514722, 1e-12);
  EXPECT_NEAR(normal_quantile(1e-6), -4.753424308822899, 1e-11);
  EXPECT_NEAR(incomplete_beta(2.5, 7, 0.3), 0.6412224629717214, 1e-12);
}

TEST(Distributions, BinomialIsTheSumOfItsTerms) {
  for (const int64_t n : {0, 1, 7, 40}) {
    for (const double p : {0.0, 0.003, 0.3, 0.5, 0.97, 1.0}) {
      double sum = 0;
      for (int64_t k = 0; k <= n; ++k) {
        sum += binomial_pmf(k, n, p);
        EXPECT_NEAR(binomial_cdf(k, n, p), sum, 1e-12) << n << " " << p << " " << k;
      }
      EXPECT_NEAR(sum, 1, 1e-12);
    }
  }
}

TEST(Distributions, OutsideTheRangeOfABinomial) {
  EXPECT_EQ(binomial_cdf(-1, 10, 0.5), 0);
  EXPECT_EQ(binomial_cdf(10, 10, 0.5), 1);
  EXPECT_EQ(binomial_pmf(11, 10, 0.5), 0);
}

TEST(Distributions, QuantilesInvert) {
  for (const double p : {1e-9, 0.05, 0.5, 0.999}) {
    EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 1e-14);
    EXPECT_NEAR(student_t_cdf(student_t_quantile(p, 3), 3), p, 1e-12);
  }
}

}  // namespace
}  // namespace dovetail::eval
