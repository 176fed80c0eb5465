#include "compress/orthogonal.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dovetail::compress {
namespace {

TEST(HadamardMatrix, RowsAreOrthogonalForEveryKnownOrder) {
  // Sylvester; Paley I: 12, 20, 24, 44, 60, 960; Paley II: 28, 36, 576; doubled: 40, 56, 72, 896.
  for (const int64_t n :
       {1, 2, 4, 8, 16, 64, 12, 20, 24, 28, 36, 40, 44, 56, 60, 72, 96, 576, 896, 960}) {
    const std::vector<int8_t> h = hadamard_matrix(n);
    ASSERT_EQ(static_cast<int64_t>(h.size()), n * n) << n;
    for (const int8_t value : h) ASSERT_TRUE(value == 1 || value == -1);
    const int64_t step = n > 100 ? 7 : 1;
    for (int64_t i = 0; i < n; i += step)
      for (int64_t j = i; j < n; ++j) {
        int64_t dot = 0;
        for (int64_t c = 0; c < n; ++c)
          dot += h[static_cast<size_t>(i * n + c)] * h[static_cast<size_t>(j * n + c)];
        ASSERT_EQ(dot, i == j ? n : 0) << n << ": rows " << i << ", " << j;
      }
  }
}

TEST(HadamardMatrix, IsNoneWhereNoneIsKnownHere) {
  // Orders beyond 2 are multiples of 4; 92 = 4 * 23 is neither of Paley's kind (91 = 7 * 13,
  // 45 = 9 * 5).
  for (const int64_t n : {3, 6, 10, 18, 92}) EXPECT_TRUE(hadamard_matrix(n).empty()) << n;
}

TEST(OrthogonalMatrix, IsOrthogonalAndSeeded) {
  for (const int64_t n : {1, 6, 12, 16, 36, 50, 64}) {
    const std::vector<float> r = orthogonal_matrix(n, 5);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double dot = 0;
        for (int64_t c = 0; c < n; ++c)
          dot += static_cast<double>(r[static_cast<size_t>(i * n + c)]) *
                 static_cast<double>(r[static_cast<size_t>(j * n + c)]);
        ASSERT_NEAR(dot, i == j ? 1.0 : 0.0, 1e-6) << n;
      }
    EXPECT_EQ(r, orthogonal_matrix(n, 5));
    if (n > 6) {
      EXPECT_NE(r, orthogonal_matrix(n, 6)) << n;
    }
  }
}

}  // namespace
}  // namespace dovetail::compress
