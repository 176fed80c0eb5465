#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace dovetail {
namespace {

TEST(ParallelFor, VisitsEveryIndexExactlyOnce) {
  for (const int64_t count : {0, 1, 2, 1000}) {
    std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
    parallel_for(count, [&](int64_t index, int64_t worker) {
      EXPECT_GE(worker, 0);
      EXPECT_LT(worker, num_threads());
      ++visits[static_cast<size_t>(index)];
    });
    for (const auto& visit : visits) EXPECT_EQ(visit.load(), 1);
  }
}

}  // namespace
}  // namespace dovetail
