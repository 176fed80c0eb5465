// Asks a model the questions of tasks and scores its answers.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "eval/score.h"
#include "eval/scorer.h"
#include "eval/task.h"
#include "model/tokenizer.h"

namespace dovetail::eval {

struct EvaluateParams {
  int64_t batch_questions = 64;  // given to the scorer at once, 1 or more
  ProgressSink progress = {};
  // Called with each question's row, in order, as soon as it is scored (docs/evaluation.md). An
  // error ends the evaluation.
  std::function<Status(const Json&)> take_sample = {};
};

// One task's score by each of its filters, in the task's order; "" for a task without filters.
struct TaskScore {
  std::string task;
  std::string group = {};
  std::vector<std::pair<std::string, Score>> by_filter = {};  // the first one counts
};

struct Evaluation {
  ScoringMode mode = ScoringMode::kLmEval;
  std::string metric = {};
  int64_t num_fewshot = 0;
  int64_t num_truncated = 0;  // prompts whose beginning did not fit into the model's context
  double seconds = 0;         // of the wall clock, without building the tasks
  std::vector<TaskScore> tasks = {};
  std::map<std::string, Score> groups = {};
  Score overall = {};  // by the first filter; of kRolling only the number
  std::optional<PerplexityScore> perplexity = {};  // of kRolling
  Json summary = Json::object();                   // by task, of those that summarize
};

// Tasks are of one benchmark: the same mode, metric and number of examples. A prompt longer than
// the context loses its beginning in kLmEval and is an error in kFixed; ties for the best choice go
// to the first in kLmEval and count as wrong in kFixed.
// Errors: kInvalidArgument (no question, tasks that differ in mode), kInternal naming task and
// question where a log-likelihood is not a number, those of scorer, judge and take_sample. Nothing
// is scored that was not answered.
[[nodiscard]] Result<Evaluation> evaluate(const std::vector<Task>& tasks,
                                          const model::Tokenizer& tokenizer, Scorer& scorer,
                                          const EvaluateParams& params);

// score_frac, stderr_frac, num_questions, questions_per_s, or the perplexities; then the parts.
[[nodiscard]] Json evaluation_to_json(const Evaluation& evaluation);

}  // namespace dovetail::eval
