#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/hash.h"
#include "eval/fixtures.h"
#include "eval/gsm8k.h"
#include "eval/host_scorer.h"
#include "eval/mmlu.h"
#include "eval/token_requests.h"
#include "eval/wikitext.h"

namespace dovetail::eval {
namespace {

model::Tokenizer smollm2() {
  return model::load_tokenizer(model::test_data("tokenizers/smollm2")).value();
}

// Answers from functions, and remembers what it was asked.
class ScriptedScorer : public Scorer {
 public:
  std::function<double(const LoglikelihoodRequest&)> nats = [](const auto&) { return -1.0; };
  std::vector<int32_t> generation = {};
  int64_t length = 4096;
  std::vector<LoglikelihoodRequest> asked = {};
  std::vector<std::vector<int32_t>> prompts = {};

  [[nodiscard]] int64_t max_length() const override { return length; }
  Result<std::vector<Loglikelihood>> loglikelihoods(
      const std::vector<LoglikelihoodRequest>& requests, const ProgressSink& progress) override {
    std::vector<Loglikelihood> results;
    for (const LoglikelihoodRequest& request : requests) {
      asked.push_back(request);
      results.push_back({.nats = nats(request)});
      report_progress(progress, "",
                      static_cast<double>(results.size()) / static_cast<double>(requests.size()));
    }
    return results;
  }
  Result<std::vector<std::vector<int32_t>>> generate(const std::vector<GenerationRequest>& requests,
                                                     const ProgressSink&) override {
    std::vector<std::vector<int32_t>> results;
    for (const GenerationRequest& request : requests) {
      prompts.push_back(request.prompt);
      std::vector<int32_t>& made = results.emplace_back();
      for (const int32_t id : generation) {
        made.push_back(id);
        if (request.is_done(made)) break;
      }
    }
    return results;
  }
};

const MmluRow kRow{.question = "q", .choices = {"1", "2", "3", "4"}, .answer = 2};

std::vector<Task> two_subjects(ScoringMode mode) {
  MmluRow other = kRow;
  other.answer = 0;
  return {mmlu_task({"anatomy", "stem"}, {kRow, kRow, other}, {}, {.mode = mode}).value(),
          mmlu_task({"virology", "other"}, {kRow, other}, {}, {.mode = mode}).value()};
}

// Prefers " C".
double prefers_c(const LoglikelihoodRequest& request) {
  return request.continuation == smollm2().encode(" C") ? -0.5 : -2.0;
}

TEST(Evaluate, ScoresChoicesAndGroups) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  ScriptedScorer scorer;
  scorer.nats = prefers_c;
  std::vector<Json> rows;
  std::vector<double> progress;
  const EvaluateParams params{
      .batch_questions = 2,
      .progress = [&](const Progress& p) { progress.push_back(p.done_frac); },
      .take_sample = [&](const Json& row) -> Status {
        rows.push_back(row);
        return {};
      }};
  const auto tasks = two_subjects(ScoringMode::kLmEval);
  const auto evaluation = evaluate(tasks, smollm2(), scorer, params);
  ASSERT_TRUE(evaluation.has_value()) << evaluation.error().message;
  EXPECT_DOUBLE_EQ(evaluation->overall.score_frac, 3.0 / 5);
  EXPECT_EQ(evaluation->overall.num_questions, 5);
  EXPECT_DOUBLE_EQ(evaluation->groups.at("stem").score_frac, 2.0 / 3);
  EXPECT_DOUBLE_EQ(evaluation->groups.at("other").score_frac, 0.5);
  ASSERT_EQ(rows.size(), 5U);
  EXPECT_EQ(rows[2]["task"], "mmlu_anatomy");
  EXPECT_EQ(rows[2]["doc_id"], 2);
  EXPECT_EQ(rows[2]["correct"], false);
  EXPECT_EQ(rows[2]["acc"], 0.0);
  EXPECT_EQ(rows[2]["target"], 0);
  EXPECT_EQ(rows[2]["prompt_sha256"], sha256_hex(tasks[0].questions[2].prompt));
  EXPECT_EQ(rows[2]["loglikelihoods"], (std::vector<double>{-2, -2, -0.5, -2}));
  EXPECT_EQ(rows[2]["prompt_hash"], rows[2]["prompt_sha256"]);
  EXPECT_EQ(rows[2]["resps"][2], Json::parse(R"([["-0.5", "False"]])"));
  EXPECT_EQ(rows[2]["filtered_resps"][0], Json::parse(R"(["-2", "False"])"));
  EXPECT_EQ(rows[2]["filter"], "none");
  EXPECT_EQ(rows[2]["metrics"], Json::array({"acc"}));
  EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
  EXPECT_DOUBLE_EQ(progress.back(), 1);
  const Json json = evaluation_to_json(*evaluation);
  EXPECT_DOUBLE_EQ(json["score_frac"].get<double>(), 0.6);
  EXPECT_TRUE(json["stderr_frac"].is_number());
  EXPECT_EQ(json["num_questions"], 5);
  EXPECT_GT(json["questions_per_s"].get<double>(), 0);
  EXPECT_EQ(json["mode"], "lm_eval");
  EXPECT_EQ(json["tasks"]["mmlu_virology"]["num_questions"], 2);
}

TEST(Evaluate, BatchesDoNotMatter) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  std::vector<std::string> all;
  for (const int64_t batch : {1, 3, 64}) {
    ScriptedScorer scorer;
    scorer.nats = [](const LoglikelihoodRequest& r) { return -0.01 * r.continuation[0]; };
    std::string text;
    const EvaluateParams params{.batch_questions = batch,
                                .take_sample = [&](const Json& row) -> Status {
                                  text += row.dump();
                                  return {};
                                }};
    ASSERT_TRUE(evaluate(two_subjects(ScoringMode::kFixed), smollm2(), scorer, params).has_value());
    all.push_back(text);
  }
  EXPECT_EQ(all[0], all[1]);
  EXPECT_EQ(all[0], all[2]);
}

TEST(Evaluate, TiesGoToTheFirstOrToNobody) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  ScriptedScorer scorer;  // all choices are alike
  const auto tied = evaluate(two_subjects(ScoringMode::kLmEval), smollm2(), scorer, {});
  EXPECT_DOUBLE_EQ(tied->overall.score_frac, 2.0 / 5);  // those whose answer is A
  const auto fixed = evaluate(two_subjects(ScoringMode::kFixed), smollm2(), scorer, {});
  EXPECT_EQ(fixed->overall.score_frac, 0);
}

TEST(Evaluate, WhatIsNoNumberIsNotScored) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  ScriptedScorer scorer;
  scorer.nats = [&](const auto&) {
    return scorer.asked.size() == 10 ? std::numeric_limits<double>::quiet_NaN() : -1.0;
  };
  const auto evaluation = evaluate(two_subjects(ScoringMode::kLmEval), smollm2(), scorer, {});
  ASSERT_FALSE(evaluation.has_value());
  EXPECT_EQ(evaluation.error().message,
            "mmlu_anatomy, question 2: log-likelihood = nan, want a number");
}

TEST(Evaluate, LongPromptsLoseTheirBeginningOrAreRefused) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  ScriptedScorer scorer;
  scorer.length = 6;
  const auto cut = evaluate(two_subjects(ScoringMode::kLmEval), smollm2(), scorer, {});
  EXPECT_EQ(cut->num_truncated, 5);
  for (const LoglikelihoodRequest& request : scorer.asked) EXPECT_EQ(request.context.size(), 6U);
  const auto refused = evaluate(two_subjects(ScoringMode::kFixed), smollm2(), scorer, {});
  EXPECT_EQ(
      refused.error().message,
      "mmlu_anatomy, question 0: the prompt does not fit into 6 tokens; mode lm_eval cuts its "
      "beginning");
}

TEST(Evaluate, CutsGenerationsAndReadsThem) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  const std::vector<Gsm8kRow> rows = {{.question = "q", .answer = "#### 18"}};
  ScriptedScorer scorer;
  scorer.generation = smollm2().encode(" 9 * 2 = 18\n#### 18\n\nQuestion: 5\n#### 7");
  Json row;
  const EvaluateParams params{.take_sample = [&](const Json& sample) -> Status {
    row = sample;
    return {};
  }};
  const auto tasks = std::vector{gsm8k_task(rows, rows, {.num_fewshot = 1}).value()};
  const auto evaluation = evaluate(tasks, smollm2(), scorer, params);
  ASSERT_TRUE(evaluation.has_value()) << evaluation.error().message;
  EXPECT_EQ(row["generation"], " 9 * 2 = 18\n#### 18\n\n");
  EXPECT_EQ(row["correct"], true);
  EXPECT_EQ(row["filters"][0]["filter"], "strict-match");
  EXPECT_EQ(row["filters"][0]["filtered_resps"], Json::array({"18"}));
  EXPECT_EQ(row["filter"], "strict-match");
  EXPECT_EQ(row["filtered_resps"], Json::array({"18"}));
  EXPECT_EQ(row["resps"][0][0], row["generation"]);
  EXPECT_EQ(scorer.prompts[0], smollm2().encode(tasks[0].questions[0].prompt));
  scorer.generation = {smollm2().eos_id(), 5};  // an empty generation is wrong, not an error
  EXPECT_EQ(evaluate(tasks, smollm2(), scorer, params)->overall.score_frac, 0);
  EXPECT_EQ(row["generation"], "");
  scorer.length = 256;
  EXPECT_EQ(evaluate(tasks, smollm2(), scorer, params).error().message,
            "gsm8k: 256 new tokens leave no room for a prompt in 256 tokens");
  scorer.length = 260;
  EXPECT_EQ(evaluate(tasks, smollm2(), scorer, params)->num_truncated, 1);
  EXPECT_EQ(scorer.prompts.back().size(), 4U);
}

TEST(Evaluate, ErrorsOfJudgesNameTheQuestion) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  const std::vector<Gsm8kRow> rows = {{.question = "q", .answer = "#### 18"}};
  Task task = gsm8k_task(rows, rows, {.num_fewshot = 0}).value();
  task.judge = [](const Question&, const std::string&) -> Result<Judgement> {
    return unavailable("no sandbox");
  };
  ScriptedScorer scorer;
  scorer.generation = {50};
  EXPECT_EQ(evaluate({task}, smollm2(), scorer, {}).error().message,
            "gsm8k, question 0: no sandbox");
}

TEST(Evaluate, PerplexityCountsWholePages) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  ScriptedScorer scorer;
  scorer.length = 4;
  scorer.nats = [](const LoglikelihoodRequest& r) {
    return -0.25 * static_cast<double>(r.continuation.size());
  };
  const std::string page = "one two three four five six seven eight nine";
  const auto tasks = std::vector{wikitext_task({page, page}, {}).value()};
  const auto evaluation = evaluate(tasks, smollm2(), scorer, {});
  ASSERT_TRUE(evaluation.has_value()) << evaluation.error().message;
  const auto tokens = static_cast<double>(smollm2().encode(page).size());
  EXPECT_NEAR(evaluation->perplexity->nats, -0.5 * tokens, 1e-12);
  EXPECT_NEAR(evaluation->perplexity->word_perplexity, std::exp(0.25 * tokens / 9), 1e-12);
  EXPECT_EQ(scorer.asked[0].context, std::vector<int32_t>{smollm2().bos_id()});
  EXPECT_EQ(evaluation_to_json(*evaluation)["num_questions"], 2);
}

TEST(Evaluate, PutsBosWhereTheTokenizerDoesAndTwiceWhereLmEvalDoes) {
  const model::Tokenizer tokenizer = model::load_tokenizer("tests/golden/bos_tokenizer").value();
  const int32_t bos = tokenizer.bos_id();
  const std::vector<Gsm8kRow> rows = {{.question = "hello", .answer = "#### 18"}};
  ScriptedScorer scorer;
  scorer.generation = {tokenizer.eos_id()};
  Task task = gsm8k_task(rows, rows, {.num_fewshot = 0}).value();
  ASSERT_TRUE(evaluate({task}, tokenizer, scorer, {}).has_value());
  ASSERT_EQ(scorer.prompts.size(), 1U);
  EXPECT_EQ(scorer.prompts[0][0], bos);
  EXPECT_NE(scorer.prompts[0][1], bos);
  Task pages = wikitext_task({"hello"}, {}).value();
  ASSERT_EQ(pages.mode, ScoringMode::kLmEval);
  ASSERT_TRUE(evaluate({pages}, tokenizer, scorer, {}).has_value());
  EXPECT_EQ(scorer.asked[0].context, std::vector<int32_t>{bos});
  EXPECT_EQ(scorer.asked[0].continuation[0], bos);
  pages.mode = ScoringMode::kFixed;
  ASSERT_TRUE(evaluate({pages}, tokenizer, scorer, {}).has_value());
  EXPECT_EQ(scorer.asked[1].context, std::vector<int32_t>{bos});
  EXPECT_NE(scorer.asked[1].continuation[0], bos);
}

TEST(Evaluate, RefusesTasksThatDoNotBelongTogether) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("tokenizers/smollm2"));
  ScriptedScorer scorer;
  std::vector<Task> tasks = two_subjects(ScoringMode::kLmEval);
  tasks[1].mode = ScoringMode::kFixed;
  EXPECT_EQ(evaluate(tasks, smollm2(), scorer, {}).error().message,
            "mmlu_virology: no question, or another mode, metric or number of examples than "
            "mmlu_anatomy");
  EXPECT_EQ(evaluate({}, smollm2(), scorer, {}).error().message, "no question to ask");
  EXPECT_FALSE(evaluate({tasks[0]}, smollm2(), scorer, {.batch_questions = 0}).has_value());
}

// Values of transformers 5.23 in FP32 on the GGUF file's weights.
TEST(Evaluate, MmluLikelihoodsAreThoseOfTransformers) {
  const std::string path = model::zoo_file("smollm2-135m");
  DOVETAIL_SKIP_WITHOUT(path);
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/mmlu"));
  const auto model = host::HostModel::create(
      std::make_shared<const model::Weights>(model::load_weights(path).value()));
  const auto scorer = make_host_scorer(*model).value();
  const BenchmarkFiles files = benchmark_files();
  const MmluSubject& algebra = mmlu_subjects()[0];
  const auto task = mmlu_task(algebra, files.mmlu("abstract_algebra", "test").value(),
                              files.mmlu("abstract_algebra", "dev").value(), {.limit = 2});
  std::vector<Json> rows;
  const EvaluateParams params{.take_sample = [&](const Json& row) -> Status {
    rows.push_back(row);
    return {};
  }};
  ASSERT_TRUE(evaluate({*task}, model::load_tokenizer(path).value(), *scorer, params).has_value());
  const double expected[2][4] = {{-4.9725, -11.6136, -8.5410, -8.0554},
                                 {-5.4990, -12.0997, -9.2073, -8.5730}};
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 4; ++j) {
      EXPECT_NEAR(rows[i]["loglikelihoods"][j].get<double>(), expected[i][j], 1e-3) << i << j;
    }
  }
}

}  // namespace
}  // namespace dovetail::eval
