#include "host/matmul_rate.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "host/matmul.h"

namespace dovetail::host {
namespace {

// A product of another shape takes about as long as the rate says.
TEST(MatmulRate, PredictsAProduct) {
  const double rate = measure_matmul_rate().fp32_flops_per_s;
  constexpr int64_t kM = 2048;
  constexpr int64_t kN = 576;
  const std::vector<float> a(kM * kM, 1.0F);
  const std::vector<float> b(kM * kN, 1.0F);
  std::vector<float> c(kM * kN);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    matmul({a.data(), kM, kM}, {b.data(), kM, kN}, c.data());
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  const double predicted = 2.0 * kM * kM * kN / rate;
  EXPECT_GT(best, predicted / 5);
  EXPECT_LT(best, predicted * 5);
}

}  // namespace
}  // namespace dovetail::host
