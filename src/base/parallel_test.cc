#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <thread>
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

TEST(ParallelFor, WithinALoopRunsOnTheThreadThatAsks) {
  parallel_for(num_threads(), [](int64_t, int64_t) {
    const auto outer = std::this_thread::get_id();
    EXPECT_EQ(threads_of_a_loop(), 1);
    std::vector<int> visits(100);
    parallel_for(100, [&](int64_t index, int64_t worker) {
      EXPECT_TRUE(num_threads() == 1 || (std::this_thread::get_id() == outer && worker == 0));
      ++visits[static_cast<size_t>(index)];
    });
    EXPECT_EQ(visits, std::vector<int>(100, 1));
  });
}

// One index takes no cores from a loop within it.
TEST(ParallelFor, OfOneIndexLeavesTheCoresToALoopWithin) {
  std::atomic<int64_t> workers{0};
  parallel_for(1, [&](int64_t, int64_t) {
    std::barrier all_here(num_threads());
    parallel_for(num_threads(), [&](int64_t, int64_t) {
      all_here.arrive_and_wait();  // for ever, if one worker had them all
      ++workers;
    });
  });
  EXPECT_EQ(workers.load(), num_threads());
}

}  // namespace
}  // namespace dovetail
