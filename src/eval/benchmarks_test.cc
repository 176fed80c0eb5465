#include "eval/benchmarks.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "eval/benchmark_data.h"

namespace dovetail::eval {
namespace {

bool files_are_here() {
  return std::filesystem::exists(benchmark_folder() + "/mmlu/test/anatomy_test.csv");
}

TEST(Benchmarks, UnknownNamesAreRefusedWithThoseThatExist) {
  const auto tasks = make_benchmark("mmlu_pro", {});
  ASSERT_FALSE(tasks.has_value());
  EXPECT_NE(tasks.error().message.find("benchmark = mmlu_pro, want one of mmlu, gsm8k"),
            std::string::npos);
}

TEST(Benchmarks, AMissingFileIsNamedWithItsPlace) {
  const char* before = std::getenv("DOVETAIL_DATA");
  const std::string kept = before == nullptr ? "" : before;
  setenv("DOVETAIL_DATA", "/nonexistent", 1);
  const auto tasks = make_benchmark("gsm8k", {});
  before == nullptr ? unsetenv("DOVETAIL_DATA") : setenv("DOVETAIL_DATA", kept.c_str(), 1);
  ASSERT_FALSE(tasks.has_value());
  EXPECT_EQ(tasks.error().code, ErrorCode::kNotFound);
  EXPECT_NE(tasks.error().message.find("/nonexistent/eval"), std::string::npos);
}

TEST(Benchmarks, ASampleIsOfTheSameQuestionsHoweverOftenItIsDrawn) {
  if (!files_are_here()) GTEST_SKIP() << "no benchmark files in " << benchmark_folder();
  const TaskParams params{.limit = 5, .sample_seed = 7};
  const auto whole = make_benchmark("mmlu", {});
  const auto first = make_benchmark("mmlu", params);
  const auto again = make_benchmark("mmlu", params);
  const auto other = make_benchmark("mmlu", {.limit = 5, .sample_seed = 8});
  ASSERT_TRUE(whole.has_value() && first.has_value() && again.has_value() && other.has_value());
  ASSERT_EQ(first->size(), 57U);
  EXPECT_EQ(num_questions(*first), 57 * 5);
  EXPECT_EQ(num_questions(*whole), 14042);
  int64_t differs = 0;
  int64_t beyond_the_first = 0;
  for (size_t t = 0; t < first->size(); ++t) {
    std::map<int64_t, std::string> prompts;
    for (const Question& question : (*whole)[t].questions) {
      prompts[question.doc_id] = question.prompt;
    }
    std::set<int64_t> ids;
    for (size_t q = 0; q < 5; ++q) {
      const Question& drawn = (*first)[t].questions[q];
      EXPECT_EQ(drawn.prompt, prompts.at(drawn.doc_id));
      EXPECT_EQ(drawn.doc_id, (*again)[t].questions[q].doc_id);
      differs += drawn.doc_id != (*other)[t].questions[q].doc_id ? 1 : 0;
      beyond_the_first += drawn.doc_id >= 5 ? 1 : 0;
      ids.insert(drawn.doc_id);
    }
    EXPECT_EQ(ids.size(), 5U);
  }
  EXPECT_GT(differs, 200);
  EXPECT_GT(beyond_the_first, 200);
}

// Each question's examples come from one stream of random numbers: a sample must not shift it.
TEST(Benchmarks, ASampledQuestionHasTheExamplesThatItHasInTheWhole) {
  if (!files_are_here()) GTEST_SKIP() << "no benchmark files in " << benchmark_folder();
  const auto whole = make_benchmark("gsm8k", {});
  const auto sample = make_benchmark("gsm8k", {.limit = 20, .sample_seed = 1});
  ASSERT_TRUE(whole.has_value() && sample.has_value());
  ASSERT_EQ(num_questions(*sample), 20);
  for (const Question& question : (*sample)[0].questions) {
    EXPECT_EQ(question.prompt, (*whole)[0].questions[static_cast<size_t>(question.doc_id)].prompt);
  }
}

}  // namespace
}  // namespace dovetail::eval
