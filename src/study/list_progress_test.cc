#include "study/list_progress.h"

#include <gtest/gtest.h>

#include <vector>

namespace dovetail::study {
namespace {

TEST(ListProgress, TheListsShareCountsWhateverRunsInside) {
  std::vector<Progress> seen;
  ProgressSink inside;
  std::function<void(int64_t, int64_t)> counter;
  {
    const ListProgress list("settling",
                            [&](const Progress& progress) { seen.push_back(progress); });
    inside = list.inside();
    counter = list.counter();
  }
  counter(0, 4);
  report_progress(inside, "searching chips", 0.9);
  counter(1, 4);
  report_progress(inside, "searching chips", 0.1);
  counter(4, 4);
  const std::vector<std::pair<std::string, double>> want = {{"settling", 0},
                                                            {"settling: searching chips", 0},
                                                            {"settling", 0.25},
                                                            {"settling: searching chips", 0.25},
                                                            {"settling", 1}};
  ASSERT_EQ(seen.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(seen[i].what, want[i].first);
    EXPECT_EQ(seen[i].done_frac, want[i].second);
  }
}

TEST(ListProgress, AnEmptyListIsDoneAndNoSinkIsNoTrouble) {
  const ListProgress list("settling", {});
  list.counter()(0, 0);
  report_progress(list.inside(), "searching", 0.5);
}

}  // namespace
}  // namespace dovetail::study
