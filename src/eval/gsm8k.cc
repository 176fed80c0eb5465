#include "eval/gsm8k.h"

#include <algorithm>
#include <array>
#include <memory>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/config.h"
#include "base/paths.h"
#include "eval/exact_match.h"
#include "eval/python_random.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr uint64_t kShotSeed = 1234;    // lm-eval's default
constexpr int64_t kMaxNewTokens = 256;  // lm-eval's default for a task that names none
constexpr int64_t kMostShots = 64;
constexpr std::string_view kAnyNumber = R"((-?[$0-9.,]{2,})|(-?[0-9]+))";
// Of the mode `fixed`: digits with their commas and decimals, and no other punctuation.
constexpr std::string_view kNumber = R"((-?\$?[0-9][0-9,]*(?:\.[0-9]+)?))";

// Two readings of a generation: after the words that an answer should have, and any last number.
class Gsm8kJudge {
 public:
  // `marker`: the words, as a pattern. `lm_eval_strict`: lm-eval's pattern for that reading.
  static Result<Gsm8kJudge> create(ScoringMode mode, std::string_view marker,
                                   std::string_view lm_eval_strict) {
    const bool fixed = mode == ScoringMode::kFixed;
    DOVETAIL_TRY(
        RegexFilter strict,
        RegexFilter::create(
            "strict-match",
            fixed ? fmt::format("{}{}", marker, kNumber) : std::string(lm_eval_strict), false));
    DOVETAIL_TRY(RegexFilter flexible,
                 RegexFilter::create("flexible-extract", fixed ? kNumber : kAnyNumber, true));
    DOVETAIL_TRY(ExactMatch exact_match, ExactMatch::create());
    return Gsm8kJudge(mode, {std::move(strict), std::move(flexible)}, std::move(exact_match));
  }

  Result<Judgement> operator()(const Question& question, const std::string& generation) const {
    Judgement verdict;
    for (const RegexFilter& filter : parts_->filters) {
      Reading reading{.filter = filter.name()};
      DOVETAIL_TRY(reading.text, filter.apply(generation));
      if (mode_ == ScoringMode::kFixed) {
        const size_t mark = question.target.rfind("#### ");
        reading.correct =
            same_number(reading.text, mark == std::string::npos ? question.target
                                                                : question.target.substr(mark + 5));
      } else {
        DOVETAIL_TRY(reading.correct, parts_->exact_match(reading.text, question.target));
      }
      verdict.readings.push_back(std::move(reading));
    }
    verdict.correct = verdict.readings.front().correct;
    return verdict;
  }

 private:
  struct Parts {
    std::vector<RegexFilter> filters;
    ExactMatch exact_match;
  };
  Gsm8kJudge(ScoringMode mode, std::array<RegexFilter, 2> filters, ExactMatch exact_match)
      : mode_(mode) {
    std::vector<RegexFilter> list;
    for (RegexFilter& filter : filters) list.push_back(std::move(filter));
    parts_ = std::make_shared<const Parts>(Parts{std::move(list), std::move(exact_match)});
  }

  ScoringMode mode_;
  std::shared_ptr<const Parts> parts_;  // shared, because std::function copies
};

Task empty_task(const std::string& name, const TaskParams& params) {
  return {.name = name,
          .kind = RequestKind::kGeneration,
          .metric = "exact_match",
          .mode = params.mode,
          .stops = {"</s>", "<|im_end|>"},
          .max_new_tokens = kMaxNewTokens};
}

// What stands behind the last "####" of a reference answer, or all of it.
std::string final_answer(const std::string& answer) {
  const size_t mark = answer.rfind("####");
  return std::string(strip(mark == std::string::npos ? answer : answer.substr(mark + 4)));
}

}  // namespace

Result<Task> gsm8k_task(const std::vector<Gsm8kRow>& test, const std::vector<Gsm8kRow>& train,
                        const TaskParams& params) {
  Task task = empty_task("gsm8k", params);
  task.stops.insert(task.stops.begin(), "Question:");
  const int64_t most = std::min(kMostShots, static_cast<int64_t>(std::ssize(train)));
  DOVETAIL_TRY(task.num_fewshot, fewshot_of(task.name, params, 5, most));
  DOVETAIL_TRY(task.judge, Gsm8kJudge::create(params.mode, "#### ", R"(#### (\-?[0-9\.\,]+))"));
  DOVETAIL_TRY(const int64_t count, limited(std::ssize(test), params));
  const auto asked = [](const std::string& text) {
    return fmt::format("Question: {}\nAnswer:", text);
  };
  PythonRandom random(kShotSeed);
  for (int64_t i = 0; i < count; ++i) {
    const Gsm8kRow& row = test[static_cast<size_t>(i)];
    PromptParts parts{.question = asked(row.question)};
    for (const int64_t drawn : random.sample(std::ssize(train), task.num_fewshot)) {
      const Gsm8kRow& shot = train[static_cast<size_t>(drawn)];
      parts.shots.push_back({asked(shot.question), shot.answer});
    }
    Question question{.doc_id = i, .target = row.answer};
    DOVETAIL_TRY(question.prompt, build_prompt(parts, params.chat));
    task.questions.push_back(std::move(question));
  }
  return task;
}

Result<std::vector<Gsm8kRow>> parse_gsm8k_cot_shots(const std::string& yaml,
                                                    const std::string& name) {
  std::vector<Gsm8kRow> shots;
  try {
    const YAML::Node samples = YAML::Load(yaml)["fewshot_config"]["samples"];
    for (const YAML::Node& sample : samples) {
      shots.push_back({.question = sample["question"].as<std::string>(),
                       .answer = sample["target"].as<std::string>()});
    }
  } catch (const YAML::Exception& error) {
    return invalid_argument(fmt::format("{}: {}", name, error.what()));
  }
  if (shots.empty()) {
    return invalid_argument(
        fmt::format("{}: fewshot_config.samples is empty, want examples", name));
  }
  return shots;
}

Result<Task> gsm8k_cot_task(const std::vector<Gsm8kRow>& test, const std::vector<Gsm8kRow>& shots,
                            const TaskParams& params) {
  Task task = empty_task("gsm8k_cot", params);
  task.stops.insert(task.stops.begin(), "Q:");
  const auto all = static_cast<int64_t>(std::ssize(shots));
  DOVETAIL_TRY(task.num_fewshot, fewshot_of(task.name, params, all, all));
  DOVETAIL_TRY(task.judge, Gsm8kJudge::create(params.mode, "The answer is ",
                                              R"(The answer is (\-?[0-9\.\,]+).)"));
  DOVETAIL_TRY(const int64_t count, limited(std::ssize(test), params));
  const auto asked = [](const std::string& text) { return fmt::format("Q: {}\nA:", text); };
  PromptParts parts;
  for (int64_t i = 0; i < task.num_fewshot; ++i) {
    const Gsm8kRow& shot = shots[static_cast<size_t>(i)];
    parts.shots.push_back({asked(shot.question), shot.answer});
  }
  for (int64_t i = 0; i < count; ++i) {
    const Gsm8kRow& row = test[static_cast<size_t>(i)];
    parts.question = asked(row.question);
    Question question{.doc_id = i, .target = final_answer(row.answer)};
    DOVETAIL_TRY(question.prompt, build_prompt(parts, params.chat));
    task.questions.push_back(std::move(question));
  }
  return task;
}

}  // namespace dovetail::eval
