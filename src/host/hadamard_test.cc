#include "host/hadamard.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace dovetail::host {
namespace {

std::vector<float> random_rows(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> x;
  for (int64_t i = 0; i < count; ++i) x.push_back(static_cast<float>(2 * random.uniform() - 1));
  return x;
}

TEST(HadamardRows, MultipliesEachBlockByTheMatrix) {
  constexpr int64_t kRows = 5;
  constexpr int64_t kN = 384;
  for (const int64_t block : {1, 2, 16, 32, 64, 128}) {
    const std::vector<float> x = random_rows(kRows * kN, 3);
    std::vector<float> found = x;
    hadamard_rows(kRows, kN, block, found.data());
    for (int64_t begin = 0; begin < kRows * kN; begin += block)
      for (int64_t i = 0; i < block; ++i) {
        double want = 0;
        for (int64_t j = 0; j < block; ++j) {
          const bool minus = std::popcount(static_cast<uint64_t>(i & j)) % 2 == 1;
          const auto value = static_cast<double>(x[static_cast<size_t>(begin + j)]);
          want += minus ? -value : value;
        }
        want /= std::sqrt(static_cast<double>(block));
        ASSERT_NEAR(found[static_cast<size_t>(begin + i)], want, 4e-6) << "block " << block;
      }
  }
}

TEST(HadamardRows, TwiceIsTheIdentityAndNoBlockDoesNothing) {
  const std::vector<float> x = random_rows(4 * 192, 4);
  std::vector<float> found = x;
  hadamard_rows(4, 192, 64, found.data());
  EXPECT_NE(found, x);
  hadamard_rows(4, 192, 64, found.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(found[i], x[i], 1e-6);
  found = x;
  hadamard_rows(4, 192, 0, found.data());
  EXPECT_EQ(found, x);
}

TEST(HadamardRows, SpreadsAnOutlierOverItsBlock) {
  std::vector<float> x(64, 0.0F);
  x[20] = 8;
  hadamard_rows(1, 64, 16, x.data());
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(std::fabs(x[i]), i / 16 == 1 ? 2.0F : 0.0F);
}

}  // namespace
}  // namespace dovetail::host
