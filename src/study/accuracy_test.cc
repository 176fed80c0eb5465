#include "study/accuracy.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "eval/benchmark_data.h"
#include "eval/benchmarks.h"
#include "eval/evaluate.h"
#include "eval/host_scorer.h"
#include "model/tokenizer.h"
#include "model/zoo.h"
#include "study/study_fixture.h"

namespace dovetail::study {
namespace {

bool files_are_here() {
  return fs::exists(eval::benchmark_folder() + "/mmlu/test");
}

std::string with_targets(std::string study, const std::string& targets) {
  study.replace(study.find("[0.02]"), 6, "[0.1, 0.02]");
  return study.insert(study.find("[text]"), targets);
}

// The score of the model as it lies in its folder, asked without a study.
Result<double> score_outside(const std::string& model, const eval::TaskParams& params) {
  DOVETAIL_TRY(const std::vector<eval::Task> tasks, eval::make_benchmark("mmlu", params));
  DOVETAIL_TRY(model::Weights weights, model::load_weights(model));
  DOVETAIL_TRY(const host::HostModel host,
               host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))));
  DOVETAIL_TRY(const std::unique_ptr<eval::Scorer> scorer, eval::make_host_scorer(host));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(model));
  DOVETAIL_TRY(const eval::Evaluation evaluation, eval::evaluate(tasks, tokenizer, *scorer, {}));
  return evaluation.overall.score_frac;
}

TEST_F(StudyTest, AnswersAreJudgedFromTheSmallestLossOn) {
  if (!files_are_here()) GTEST_SKIP() << "no benchmark files in " << eval::benchmark_folder();
  write("study.toml", with_targets(read_text_file(at("study.toml"), 1 << 20).value(),
                                   "[[accuracy]]\nbenchmark = \"mmlu\"\nmargin_frac = 0.9\n"
                                   "questions_per_task = 2\nexplained_flips = 3\n"));
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& accuracy = record->at("accuracy");
  const Json& target = accuracy.at("targets").at(0);
  EXPECT_EQ(target.at("num_questions"), 114);
  EXPECT_EQ(target.at("product"), "p");
  ASSERT_EQ(accuracy.at("answers").size(), 2U);
  EXPECT_EQ(accuracy.at("answers")[0].at("kl_cap_nats"), 0.02);
  EXPECT_EQ(accuracy.at("answers")[1].at("kl_cap_nats"), 0.1);
  for (const Json& answer : accuracy.at("answers")) {
    EXPECT_EQ(answer.at("decision"), "pass");
    const Json& verdict = answer.at("targets").at(0);
    EXPECT_EQ(verdict.at("num_asked"), 114);
    EXPECT_FALSE(verdict.at("stopped_early").get<bool>());
    EXPECT_GT(verdict.at("certified_kl_nats").get<double>(), 0);
    EXPECT_EQ(verdict.at("candidate").at("num_questions"), 114);
  }
  // The cheapest that passes is the one with the larger cap.
  const Json& recommended = accuracy.at("recommended").at(0);
  EXPECT_EQ(record->at("scenarios")[recommended.at("scenario").get<size_t>()].at("kl_cap_nats"),
            0.1);
  EXPECT_GE(target.at("map").at("num_points").get<int64_t>(), 1);

  const auto outside = score_outside(at("model"), {.limit = 2, .sample_seed = 1});
  ASSERT_TRUE(outside.has_value()) << outside.error().message;
  EXPECT_DOUBLE_EQ(target.at("baseline").at("score_frac").get<double>(), *outside);
}

TEST_F(StudyTest, AFailedAnswerEndsTheSequence) {
  if (!files_are_here()) GTEST_SKIP() << "no benchmark files in " << eval::benchmark_folder();
  write("study.toml", with_targets(read_text_file(at("study.toml"), 1 << 20).value(),
                                   "[[accuracy]]\nbenchmark = \"mmlu\"\nfloor_frac = 0.9\n"
                                   "questions_per_task = 1\n"));
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& accuracy = record->at("accuracy");
  ASSERT_EQ(accuracy.at("answers").size(), 1U);
  EXPECT_EQ(accuracy.at("answers")[0].at("kl_cap_nats"), 0.02);
  EXPECT_EQ(accuracy.at("answers")[0].at("decision"), "fail");
  EXPECT_TRUE(accuracy.at("recommended").at(0).at("scenario").is_null());
  EXPECT_EQ(accuracy.at("recommended").at(0).at("why_not"),
            "the answer with the smallest loss is fail");
}

TEST_F(StudyTest, ABenchmarkThatCannotBeRunIsSaidAndNothingPasses) {
  const char* before = std::getenv("DOVETAIL_DATA");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("DOVETAIL_DATA", at("nothing").c_str(), 1);
  write("study.toml", with_targets(read_text_file(at("study.toml"), 1 << 20).value(),
                                   "[[accuracy]]\nbenchmark = \"gsm8k\"\nmargin_frac = 0.03\n"));
  const auto record = run(at("study.toml"), at("out"));
  before == nullptr ? ::unsetenv("DOVETAIL_DATA") : ::setenv("DOVETAIL_DATA", kept.c_str(), 1);
  ASSERT_TRUE(record.has_value()) << record.error().message;
  const Json& accuracy = record->at("accuracy");
  EXPECT_NE(accuracy.at("targets")[0].at("why_not").get<std::string>().find("no such file"),
            std::string::npos);
  EXPECT_TRUE(accuracy.at("answers").empty());
  EXPECT_TRUE(accuracy.at("recommended")[0].at("scenario").is_null());
  EXPECT_EQ(accuracy.at("recommended")[0].at("why_not"), "no target could be run");
  EXPECT_TRUE(record->at("scenarios")[0].at("feasible").get<bool>());
}

TEST_F(StudyTest, AModelThatCannotBeAskedIsSaid) {
  if (!files_are_here()) GTEST_SKIP() << "no benchmark files in " << eval::benchmark_folder();
  write("study.toml", with_targets(read_text_file(at("study.toml"), 1 << 20).value(),
                                   "[[accuracy]]\nbenchmark = \"ifeval\"\nmargin_frac = 0.03\n"
                                   "questions_per_task = 4\n"));
  const auto record = run(at("study.toml"), at("out"));
  ASSERT_TRUE(record.has_value()) << record.error().message;
  EXPECT_FALSE(record->at("accuracy").at("targets")[0].at("why_not").get<std::string>().empty());
}

}  // namespace
}  // namespace dovetail::study
