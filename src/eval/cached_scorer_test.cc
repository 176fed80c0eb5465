#include "eval/cached_scorer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/test_folder.h"

namespace dovetail::eval {
namespace {

std::string own_folder() {
  return test_folder() / testing::UnitTest::GetInstance()->current_test_info()->name();
}

// Answers from the ids alone; counts what it was asked.
class CountingScorer : public Scorer {
 public:
  [[nodiscard]] int64_t max_length() const override { return 100; }
  Result<std::vector<Loglikelihood>> loglikelihoods(
      const std::vector<LoglikelihoodRequest>& requests, const ProgressSink&) override {
    std::vector<Loglikelihood> results;
    for (const LoglikelihoodRequest& request : requests) {
      ++asked;
      if (die_after == asked) ::raise(SIGKILL);
      const int32_t first = request.context[0];
      results.push_back({.nats = first == 7 ? std::numeric_limits<double>::quiet_NaN()
                                            : -1.0 / 3 - first - 1e-9 * request.continuation[0],
                         .is_greedy = first % 2 == 0});
    }
    return results;
  }
  Result<std::vector<std::vector<int32_t>>> generate(
      const std::vector<GenerationRequest>& requests, const ProgressSink&) override {
    std::vector<std::vector<int32_t>> results;
    for (const GenerationRequest& request : requests) {
      ++asked;
      std::vector<int32_t> made;
      do {
        made.push_back(request.prompt[0] + static_cast<int32_t>(made.size()));
      } while (!request.is_done(made) && std::ssize(made) < request.max_new_tokens);
      results.push_back(made);
      if (die_after == asked) ::raise(SIGKILL);
    }
    return results;
  }
  int64_t asked = 0;
  int64_t die_after = -1;
};

std::vector<LoglikelihoodRequest> requests(int32_t count) {
  std::vector<LoglikelihoodRequest> all;
  for (int32_t i = 0; i < count; ++i) all.push_back({{100 + i, 2}, {i, 3}});
  return all;
}

TEST(CachedScorer, AsksOnlyOnce) {
  const std::string folder = own_folder();
  CountingScorer inner;
  const auto expected = inner.loglikelihoods(requests(20), {}).value();
  inner.asked = 0;
  for (const int64_t asked : {12, 20, 20}) {
    ResultJournal journal = ResultJournal::open(folder, "m").value();
    CachedScorer scorer(inner, journal, 5);
    EXPECT_EQ(scorer.max_length(), 100);
    const auto count = static_cast<int32_t>(asked);
    const auto results = scorer.loglikelihoods(requests(count), {}).value();
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i].nats, expected[i].nats);
      EXPECT_EQ(results[i].is_greedy, expected[i].is_greedy);
    }
    EXPECT_EQ(inner.asked, asked);
    EXPECT_EQ(scorer.stats().asked + scorer.stats().found, asked);
  }
}

TEST(CachedScorer, KeysTellContextFromContinuation) {
  const std::string folder = own_folder();
  CountingScorer inner;
  ResultJournal journal = ResultJournal::open(folder, "m").value();
  CachedScorer scorer(inner, journal);
  ASSERT_TRUE(scorer.loglikelihoods({{{1, 2}, {3}}, {{1}, {2, 3}}}, {}).has_value());
  EXPECT_EQ(inner.asked, 2);
}

TEST(CachedScorer, DoesNotKeepWhatIsNoNumber) {
  const std::string folder = own_folder();
  CountingScorer inner;
  ResultJournal journal = ResultJournal::open(folder, "m").value();
  CachedScorer scorer(inner, journal);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(std::isnan(scorer.loglikelihoods({{{7}, {1}}}, {}).value()[0].nats));
  EXPECT_EQ(inner.asked, 2);
}

TEST(CachedScorer, AGenerationServesEveryEarlierStop) {
  const std::string folder = own_folder();
  CountingScorer inner;
  ResultJournal journal = ResultJournal::open(folder, "m").value();
  CachedScorer scorer(inner, journal);
  const auto until = [&](size_t length, int64_t most) {
    return scorer
        .generate({{{40}, most, [=](const auto& made) { return made.size() == length; }}}, {})
        .value()[0];
  };
  EXPECT_EQ(until(3, 10).size(), 3U);
  EXPECT_EQ(inner.asked, 1);
  EXPECT_EQ(until(2, 10), (std::vector<int32_t>{40, 41}));
  EXPECT_EQ(until(9, 3).size(), 3U);
  EXPECT_EQ(inner.asked, 1);
  EXPECT_EQ(until(9, 8).size(), 8U);  // more than is known
  EXPECT_EQ(inner.asked, 2);
  EXPECT_EQ(until(7, 8).size(), 7U);
  EXPECT_EQ(inner.asked, 2);
}

// Calls run(scorer) in a process of its own that is killed while it is asked for the `die_after`th.
template <typename Run>
void run_and_kill(const std::string& folder, int64_t die_after, const Run& run) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    CountingScorer inner;
    inner.die_after = die_after;
    auto journal = ResultJournal::open(folder, "m");
    if (!journal.has_value()) ::_exit(1);
    CachedScorer scorer(inner, *journal, 5);
    run(scorer);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(CachedScorer, AKillLosesOneBatchAtMost) {
  const std::string folder = own_folder();
  run_and_kill(folder, 13, [](Scorer& scorer) { (void)scorer.loglikelihoods(requests(20), {}); });
  CountingScorer inner;
  ResultJournal journal = ResultJournal::open(folder, "m").value();
  CachedScorer scorer(inner, journal, 5);
  EXPECT_EQ(journal.size(), 10);
  EXPECT_EQ(scorer.loglikelihoods(requests(20), {}).value()[15].nats,
            CountingScorer().loglikelihoods(requests(20), {}).value()[15].nats);
  EXPECT_EQ(inner.asked, 10);
}

TEST(CachedScorer, AKillLosesNoGenerationThatEnded) {
  const std::string folder = own_folder();
  std::vector<GenerationRequest> all;
  for (int32_t i = 0; i < 6; ++i) all.push_back({{i}, 3, {}});
  run_and_kill(folder, 4, [&](Scorer& scorer) { (void)scorer.generate(all, {}); });
  CountingScorer inner;
  ResultJournal journal = ResultJournal::open(folder, "m").value();
  CachedScorer scorer(inner, journal);
  EXPECT_EQ(journal.size(), 4);
  EXPECT_EQ(scorer.generate(all, {}).value()[5], (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(inner.asked, 2);
}

TEST(CachedScorer, IdentityTellsModelsApart) {
  const std::string plain = host_scorer_identity("d", "", true);
  EXPECT_NE(plain, host_scorer_identity("e", "", true));
  EXPECT_NE(plain, host_scorer_identity("d", "int4", true));
  EXPECT_NE(plain, host_scorer_identity("d", "", false));
}

}  // namespace
}  // namespace dovetail::eval
