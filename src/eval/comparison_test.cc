#include "eval/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::eval {
namespace {

SampleRow row(const std::string& task, int64_t doc_id, bool correct) {
  return {.task = task,
          .doc_id = doc_id,
          .mode = "lm_eval",
          .num_fewshot = 0,
          .prompt_sha256 = task + std::to_string(doc_id),
          .correct = correct};
}

// Task "a": 200 questions, "b": 100; of each the first ten are lost, the next four gained.
struct Two {
  std::vector<SampleRow> baseline;
  std::vector<SampleRow> candidate;
};

Two two_models() {
  Two two;
  for (const auto& [task, size] : {std::pair<std::string, int64_t>{"a", 200}, {"b", 100}}) {
    for (int64_t i = 0; i < size; ++i) {
      const bool before = i < 10 || i % 2 == 1;
      const bool after = i < 10 ? false : i < 14 ? true : before;
      two.baseline.push_back(row(task, i, i >= 10 && i < 14 ? false : before));
      two.candidate.push_back(row(task, i, after));
    }
  }
  return two;
}

TEST(Comparison, CountsFlipsOfTheWholeAndOfEachTask) {
  const Two two = two_models();
  const auto compared = compare_rows(two.baseline, two.candidate, {.margin_frac = 0.03});
  ASSERT_TRUE(compared.has_value()) << compared.error().message;
  EXPECT_EQ(compared->counts.lost, 20);
  EXPECT_EQ(compared->counts.gained, 8);
  EXPECT_EQ(compared->counts.total(), 300);
  ASSERT_EQ(compared->tasks.size(), 2U);
  EXPECT_EQ(compared->tasks[1].task, "b");
  EXPECT_EQ(compared->tasks[1].counts.lost, 10);
  EXPECT_EQ(compared->tasks[1].counts.total(), 100);
  ASSERT_EQ(compared->flips.size(), 28U);
  EXPECT_FALSE(compared->flips[0].gained);
  EXPECT_EQ(compared->flips[10].doc_id, 10);
  EXPECT_TRUE(compared->flips[10].gained);
  EXPECT_NEAR(compared->candidate.score_frac - compared->baseline.score_frac, -12.0 / 300, 1e-12);
  EXPECT_NEAR(compared->verdict.difference_frac, -0.04, 1e-12);
  EXPECT_TRUE(compared->clustered_difference.has_value());
  EXPECT_FALSE(compared->gold_nats.has_value());
}

TEST(Comparison, IsPairedByIdsNotByPlace) {
  Two two = two_models();
  std::reverse(two.candidate.begin(), two.candidate.end());
  const auto compared = compare_rows(two.baseline, two.candidate, {.margin_frac = 0.03});
  ASSERT_TRUE(compared.has_value());
  EXPECT_EQ(compared->counts.lost, 20);
  EXPECT_EQ(compared->counts.gained, 8);
}

TEST(Comparison, VerdictsAreOfTheKindThatWasAskedFor) {
  const Two two = two_models();
  const auto exact = compare_rows(two.baseline, two.candidate,
                                  {.kind = VerdictKind::kBenchmark, .margin_frac = 12.0 / 300});
  ASSERT_TRUE(exact.has_value());
  EXPECT_EQ(exact->verdict.decision, Decision::kPass);
  EXPECT_TRUE(exact->power.empty());
  const auto narrower = compare_rows(two.baseline, two.candidate,
                                     {.kind = VerdictKind::kBenchmark, .margin_frac = 11.0 / 300});
  EXPECT_EQ(narrower->verdict.decision, Decision::kFail);
  const auto sample = compare_rows(two.baseline, two.candidate, {.margin_frac = 12.0 / 300});
  EXPECT_EQ(sample->verdict.decision, Decision::kUndecided);
  ASSERT_EQ(sample->power.size(), 4U);
  EXPECT_EQ(sample->power[2].num_questions, 300);
  const auto part = compare_rows(
      two.baseline, two.candidate,
      {.kind = VerdictKind::kBenchmark, .margin_frac = 0.04, .benchmark_questions = 299});
  EXPECT_FALSE(part.has_value());
}

TEST(Comparison, ChoicesHaveSurrogates) {
  std::vector<SampleRow> baseline;
  std::vector<SampleRow> candidate;
  for (int64_t i = 0; i < 40; ++i) {
    SampleRow before = row(i < 20 ? "a" : "b", i, true);
    before.loglikelihoods = {-1.0, -3.0, -2.5, -9.0};
    before.target = 0;
    SampleRow after = before;
    after.loglikelihoods = {-1.5 - 0.01 * static_cast<double>(i % 2), -3.0, -1.0, -9.0};
    after.correct = false;
    baseline.push_back(before);
    candidate.push_back(after);
  }
  const auto compared = compare_rows(baseline, candidate, {.margin_frac = 0.1});
  ASSERT_TRUE(compared.has_value());
  ASSERT_TRUE(compared->gold_nats.has_value());
  EXPECT_NEAR(compared->gold_nats->mean, -0.505, 1e-12);
  EXPECT_NEAR(compared->margin_nats->mean, (-0.505) - 1.5, 1e-12);
  EXPECT_NEAR(*compared->flips[0].baseline_margin_nats, 1.5, 1e-12);
  EXPECT_NEAR(*compared->flips[1].candidate_margin_nats, -0.51, 1e-12);
  const Json json = comparison_to_json(*compared, 3);
  EXPECT_EQ(json["flips"].size(), 3U);
  EXPECT_EQ(json["verdict"]["decision"], "fail");
}

TEST(Comparison, RowsThatDoNotBelongTogetherAreRefused) {
  const Two two = two_models();
  const auto message = [&](auto change) {
    std::vector<SampleRow> candidate = two.candidate;
    change(candidate);
    const auto compared = compare_rows(two.baseline, candidate, {.margin_frac = 0.03});
    return compared.has_value() ? std::string() : compared.error().message;
  };
  EXPECT_NE(message([](auto& rows) { rows[3].prompt_sha256 = "x"; }).find("a, question 3: the pro"),
            std::string::npos);
  EXPECT_NE(message([](auto& rows) { rows[3].mode = "fixed"; }).find("mode = lm_eval and fixed"),
            std::string::npos);
  EXPECT_NE(message([](auto& rows) { rows[3].num_fewshot = 5; }).find("num_fewshot = 0 and 5"),
            std::string::npos);
  EXPECT_NE(message([](auto& rows) { rows.pop_back(); }).find("the candidate was not asked it"),
            std::string::npos);
  EXPECT_NE(message([](auto& rows) {
              rows.push_back(row("c", 1, true));
            }).find("the baseline was not asked it"),
            std::string::npos);
  EXPECT_NE(message([](auto& rows) { rows.push_back(rows[0]); }).find("occurs twice"),
            std::string::npos);
}

TEST(Comparison, FilesWithOtherLinesAreRefusedByLine) {
  const std::string path = test_folder() / "rows.jsonl";
  const std::string good =
      R"({"task":"a","doc_id":1,"mode":"fixed","num_fewshot":2,"prompt_sha256":"p","correct":true,)"
      R"("loglikelihoods":[-1,-2],"target":1})";
  std::ofstream(path) << good << "\n\n" << good << "\n";
  const auto rows = read_sample_rows(path);
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[1].target, 1);
  EXPECT_EQ((*rows)[1].loglikelihoods[1], -2);
  for (const char* bad : {"{", R"({"task":"a"})", R"({"task":1})", "[]", "7"}) {
    std::ofstream(path) << good << "\n" << bad << "\n";
    const auto refused = read_sample_rows(path);
    ASSERT_FALSE(refused.has_value()) << bad;
    EXPECT_NE(refused.error().message.find("rows.jsonl, line 2"), std::string::npos);
  }
  std::ofstream(path, std::ios::trunc) << "";
  EXPECT_FALSE(read_sample_rows(path).has_value());
  EXPECT_FALSE(read_sample_rows(test_folder() / "none.jsonl").has_value());
}

}  // namespace
}  // namespace dovetail::eval
