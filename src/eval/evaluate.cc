#include "eval/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "base/hash.h"
#include "eval/token_requests.h"
#include "eval/wikitext.h"

namespace dovetail::eval {
namespace {

std::string where(const Task& task, const Question& question) {
  return fmt::format("{}, question {}", task.name, question.doc_id);
}

// What is known of a question once it is scored.
struct Outcome {
  Answer answer;
  Judgement verdict;
  bool truncated = false;
};

class TaskRunner {
 public:
  TaskRunner(const Task& task, const model::Tokenizer& tokenizer, Scorer& scorer)
      : task_(task), tokenizer_(tokenizer), scorer_(scorer) {}

  Result<std::vector<Outcome>> run(std::span<const Question> questions,
                                   const ProgressSink& progress) {
    switch (task_.kind) {
      case RequestKind::kChoice:
        return choices(questions, progress);
      case RequestKind::kRolling:
        return rolling(questions, progress);
      case RequestKind::kGeneration:
        break;
    }
    return generations(questions, progress);
  }

 private:
  // True if the beginning of the request was cut off.
  Result<bool> fit(const Question& question, LoglikelihoodRequest& request) const {
    auto cut = truncate_left(scorer_.max_length(), request);
    if (!cut.has_value()) return with_context(cut.error(), where(task_, question));
    if (*cut) DOVETAIL_TRY_STATUS(allow_truncation(question));
    return *cut;
  }

  Status allow_truncation(const Question& question) const {
    if (task_.mode == ScoringMode::kLmEval) return {};
    return invalid_argument(
        fmt::format("{}: the prompt does not fit into {} tokens; mode lm_eval cuts its beginning",
                    where(task_, question), scorer_.max_length()));
  }

  Result<std::vector<Loglikelihood>> loglikelihoods(
      std::span<const Question> questions, const std::vector<LoglikelihoodRequest>& requests,
      const std::vector<size_t>& owners, const ProgressSink& progress) {
    DOVETAIL_TRY(std::vector<Loglikelihood> results, scorer_.loglikelihoods(requests, progress));
    DOVETAIL_CHECK(results.size() == requests.size());
    for (size_t i = 0; i < results.size(); ++i) {
      if (std::isfinite(results[i].nats)) continue;
      return make_error(ErrorCode::kInternal,
                        fmt::format("{}: log-likelihood = {}, want a number",
                                    where(task_, questions[owners[i]]), results[i].nats));
    }
    return results;
  }

  Result<std::vector<Outcome>> choices(std::span<const Question> questions,
                                       const ProgressSink& progress) {
    std::vector<Outcome> outcomes(questions.size());
    std::vector<LoglikelihoodRequest> requests;
    std::vector<size_t> owners;
    for (size_t i = 0; i < questions.size(); ++i) {
      for (const std::string& choice : task_.choices) {
        auto request = encode_pair(tokenizer_, questions[i].prompt, choice);
        if (!request.has_value()) {
          return with_context(request.error(), where(task_, questions[i]));
        }
        DOVETAIL_TRY(const bool cut, fit(questions[i], *request));
        outcomes[i].truncated = outcomes[i].truncated || cut;
        requests.push_back(std::move(*request));
        owners.push_back(i);
      }
    }
    DOVETAIL_TRY(const auto results, loglikelihoods(questions, requests, owners, progress));
    for (size_t i = 0; i < results.size(); ++i) {
      outcomes[owners[i]].answer.loglikelihoods.push_back(results[i].nats);
      outcomes[owners[i]].answer.is_greedy.push_back(results[i].is_greedy);
    }
    for (size_t i = 0; i < questions.size(); ++i) {
      outcomes[i].verdict.correct = is_best(outcomes[i].answer.loglikelihoods, questions[i].gold);
    }
    return outcomes;
  }

  [[nodiscard]] bool is_best(const std::vector<double>& nats, int64_t gold) const {
    const auto best = std::max_element(nats.begin(), nats.end());  // the first of equals
    const bool tied = std::count(nats.begin(), nats.end(), *best) > 1;
    if (tied && task_.mode == ScoringMode::kFixed) return false;
    return best - nats.begin() == gold;
  }

  Result<std::vector<Outcome>> rolling(std::span<const Question> questions,
                                       const ProgressSink& progress) {
    if (tokenizer_.bos_id() < 0) {
      return invalid_argument("the tokenizer has no token that begins or ends a text");
    }
    std::vector<Outcome> outcomes(questions.size());
    std::vector<LoglikelihoodRequest> requests;
    std::vector<size_t> owners;
    for (size_t i = 0; i < questions.size(); ++i) {
      // lm-eval puts BOS before windows whose text has one already.
      const std::vector<int32_t> tokens = task_.mode == ScoringMode::kFixed
                                              ? tokenizer_.encode(questions[i].prompt)
                                              : encode_request(tokenizer_, questions[i].prompt);
      for (LoglikelihoodRequest& window :
           rolling_windows(tokens, tokenizer_.bos_id(), scorer_.max_length())) {
        requests.push_back(std::move(window));
        owners.push_back(i);
      }
      outcomes[i].answer.loglikelihoods = {0.0};
    }
    DOVETAIL_TRY(const auto results, loglikelihoods(questions, requests, owners, progress));
    for (size_t i = 0; i < results.size(); ++i) {
      outcomes[owners[i]].answer.loglikelihoods[0] += results[i].nats;
    }
    return outcomes;
  }

  Result<std::vector<Outcome>> generations(std::span<const Question> questions,
                                           const ProgressSink& progress) {
    const std::vector<std::string> stops = with_end_of_text(tokenizer_, task_.stops);
    const StopCheck is_done(tokenizer_, stops);
    const int64_t room = scorer_.max_length() - task_.max_new_tokens;
    if (room < 1) {
      return invalid_argument(
          fmt::format("{}: {} new tokens leave no room for a prompt in {} tokens", task_.name,
                      task_.max_new_tokens, scorer_.max_length()));
    }
    std::vector<Outcome> outcomes(questions.size());
    std::vector<GenerationRequest> requests;
    for (size_t i = 0; i < questions.size(); ++i) {
      GenerationRequest request{.prompt = encode_request(tokenizer_, questions[i].prompt),
                                .max_new_tokens = task_.max_new_tokens,
                                .is_done = is_done};
      const int64_t excess = std::ssize(request.prompt) - room;
      if (excess > 0) {
        DOVETAIL_TRY_STATUS(allow_truncation(questions[i]));
        request.prompt.erase(request.prompt.begin(), request.prompt.begin() + excess);
        outcomes[i].truncated = true;
      }
      requests.push_back(std::move(request));
    }
    DOVETAIL_TRY(const auto made, scorer_.generate(requests, progress));
    DOVETAIL_CHECK(made.size() == requests.size());
    for (size_t i = 0; i < questions.size(); ++i) {
      outcomes[i].answer.generation = generated_text(tokenizer_, made[i], stops);
      auto verdict = task_.judge(questions[i], outcomes[i].answer.generation);
      if (!verdict.has_value()) return with_context(verdict.error(), where(task_, questions[i]));
      outcomes[i].verdict = std::move(*verdict);
    }
    return outcomes;
  }

  const Task& task_;
  const model::Tokenizer& tokenizer_;
  Scorer& scorer_;
};

Json found_by(const Reading& reading) {
  return reading.in_list ? Json::array({reading.text}) : Json(reading.text);
}

// The keys of lm-eval's own logs, whose numbers and truths are Python's texts. Its `doc` and
// `arguments` are left out: they are the benchmark's text, which the hashes name.
void add_lm_eval_keys(const Task& task, const Question& question, const Outcome& outcome,
                      Json& row) {
  Json resps = Json::array();
  Json filtered = Json::array();
  const Answer& answer = outcome.answer;
  for (size_t i = 0; i < answer.loglikelihoods.size() && task.kind == RequestKind::kChoice; ++i) {
    const Json pair = {fmt::format("{}", answer.loglikelihoods[i]),
                       answer.is_greedy[i] ? "True" : "False"};
    resps.push_back(Json::array({pair}));
    filtered.push_back(pair);
  }
  if (task.kind == RequestKind::kRolling) {
    resps.push_back(Json::array({fmt::format("{}", answer.loglikelihoods[0])}));
    filtered.push_back(fmt::format("{}", answer.loglikelihoods[0]));
  }
  std::string filter = "none";
  if (task.kind == RequestKind::kGeneration) {
    resps.push_back(Json::array({answer.generation}));
    const std::vector<Reading>& readings = outcome.verdict.readings;
    filtered.push_back(readings.empty() ? Json(answer.generation) : found_by(readings.front()));
    if (!readings.empty()) filter = readings.front().filter;
  }
  row["resps"] = std::move(resps);
  row["filtered_resps"] = std::move(filtered);
  row["filter"] = filter;
  row["metrics"] = {task.metric};
  row["prompt_hash"] = sha256_hex(question.prompt);
}

Json sample_row(const Task& task, const Question& question, const Outcome& outcome) {
  Json row{{"task", task.name},
           {"doc_id", question.doc_id},
           {"mode", scoring_mode_name(task.mode)},
           {"num_fewshot", task.num_fewshot},
           {"prompt_sha256", sha256_hex(question.prompt)},
           {"target_hash", sha256_hex(question.target)}};
  if (task.kind == RequestKind::kGeneration)
    row["generation"] = outcome.answer.generation;
  else
    row["loglikelihoods"] = outcome.answer.loglikelihoods;
  if (task.kind == RequestKind::kChoice) row["target"] = question.gold;
  if (task.kind != RequestKind::kRolling) {
    row["correct"] = outcome.verdict.correct;
    row[task.metric] = outcome.verdict.correct ? 1.0 : 0.0;
  }
  for (const Reading& reading : outcome.verdict.readings) {
    row["filters"].push_back(Json{{"filter", reading.filter},
                                  {"filtered_resps", Json::array({found_by(reading)})},
                                  {task.metric, reading.correct ? 1.0 : 0.0}});
  }
  add_lm_eval_keys(task, question, outcome, row);
  if (outcome.verdict.fields.is_object()) row.update(outcome.verdict.fields);
  if (outcome.truncated) row["truncated"] = true;
  return row;
}

// Right answers of one task by filter, kept until its last question is scored.
class Tally {
 public:
  void add(const Outcome& outcome) {
    if (outcome.verdict.readings.empty()) add("", outcome.verdict.correct);
    for (const Reading& reading : outcome.verdict.readings) add(reading.filter, reading.correct);
  }
  [[nodiscard]] TaskScore score(const Task& task) const {
    TaskScore score{.task = task.name, .group = task.group};
    for (const auto& [filter, correct] : by_filter_) {
      score.by_filter.emplace_back(filter, score_of(correct));
    }
    return score;
  }

 private:
  void add(const std::string& filter, bool correct) {
    auto found = std::find_if(by_filter_.begin(), by_filter_.end(),
                              [&](const auto& entry) { return entry.first == filter; });
    if (found == by_filter_.end()) found = by_filter_.insert(found, {filter, {}});
    found->second.push_back(correct);
  }
  std::vector<std::pair<std::string, std::vector<bool>>> by_filter_;
};

// Progress of all questions from that of one batch of them.
ProgressSink part_of(const ProgressSink& whole, const std::string& what, int64_t done,
                     int64_t count, int64_t all) {
  if (!whole) return {};
  return [=](const Progress& part) {
    const double questions =
        static_cast<double>(done) + part.done_frac * static_cast<double>(count);
    whole({what, questions / static_cast<double>(all)});
  };
}

Result<int64_t> check_tasks(const std::vector<Task>& tasks, const EvaluateParams& params) {
  if (params.batch_questions < 1) {
    return invalid_argument(
        fmt::format("batch_questions = {}, want 1 or more", params.batch_questions));
  }
  int64_t questions = 0;
  for (const Task& task : tasks) {
    questions += std::ssize(task.questions);
    if (task.mode == tasks[0].mode && task.metric == tasks[0].metric &&
        task.num_fewshot == tasks[0].num_fewshot && !task.questions.empty()) {
      continue;
    }
    return invalid_argument(
        fmt::format("{}: no question, or another mode, metric or number of examples than {}",
                    task.name, tasks[0].name));
  }
  if (questions == 0) return invalid_argument("no question to ask");
  return questions;
}

// "mmlu_anatomy, 41.2 % right [36.0, 46.6] of 320"
std::string words_so_far(const std::string& task, int64_t num_right, int64_t asked) {
  if (asked == 0) return task;
  const ScoreInterval interval = score_interval(num_right, asked);
  return fmt::format("{}, {:.1f} % right [{:.1f}, {:.1f}] of {}", task,
                     100 * static_cast<double>(num_right) / static_cast<double>(asked),
                     100 * interval.lower_frac, 100 * interval.upper_frac, asked);
}

struct PageTotals {
  double nats = 0;
  PageSize size;
};

Status add_page(const Task& task, const Question& question, const Outcome& outcome,
                PageTotals& totals) {
  DOVETAIL_TRY(const PageSize size, page_size(question.target, task.mode));
  totals.nats += outcome.answer.loglikelihoods[0];
  totals.size.num_words += size.num_words;
  totals.size.num_bytes += size.num_bytes;
  return {};
}

void score_groups(Evaluation& evaluation) {
  std::map<std::string, std::vector<Score>> members;
  std::vector<Score> all;
  for (const TaskScore& task : evaluation.tasks) {
    all.push_back(task.by_filter[0].second);
    if (!task.group.empty()) members[task.group].push_back(all.back());
  }
  for (const auto& [group, scores] : members) {
    evaluation.groups[group] = pooled_score(scores, evaluation.mode);
  }
  evaluation.overall = all.size() == 1 ? all[0] : pooled_score(all, evaluation.mode);
}

}  // namespace

Result<Evaluation> evaluate(const std::vector<Task>& tasks, const model::Tokenizer& tokenizer,
                            Scorer& scorer, const EvaluateParams& params) {
  DOVETAIL_TRY(const int64_t all, check_tasks(tasks, params));
  const auto start = std::chrono::steady_clock::now();
  Evaluation evaluation{
      .mode = tasks[0].mode, .metric = tasks[0].metric, .num_fewshot = tasks[0].num_fewshot};
  PageTotals pages;
  int64_t done = 0;
  int64_t num_right = 0;
  for (const Task& task : tasks) {
    TaskRunner runner(task, tokenizer, scorer);
    Tally tally;
    std::vector<Judgement> verdicts;
    for (int64_t at = 0; at < std::ssize(task.questions); at += params.batch_questions) {
      const int64_t count = std::min(params.batch_questions, std::ssize(task.questions) - at);
      const auto batch =
          std::span(task.questions).subspan(static_cast<size_t>(at), static_cast<size_t>(count));
      const bool is_judged = task.kind != RequestKind::kRolling;
      const std::string what = words_so_far(task.name, num_right, is_judged ? done : 0);
      DOVETAIL_TRY(const std::vector<Outcome> outcomes,
                   runner.run(batch, part_of(params.progress, what, done, count, all)));
      for (size_t i = 0; i < outcomes.size(); ++i) {
        tally.add(outcomes[i]);
        num_right += outcomes[i].verdict.correct ? 1 : 0;
        if (task.summarize) verdicts.push_back(outcomes[i].verdict);
        evaluation.num_truncated += outcomes[i].truncated ? 1 : 0;
        if (!is_judged) {
          DOVETAIL_TRY_STATUS(add_page(task, batch[i], outcomes[i], pages));
        }
        if (params.take_sample) {
          DOVETAIL_TRY_STATUS(params.take_sample(sample_row(task, batch[i], outcomes[i])));
        }
      }
      done += count;
    }
    if (task.kind != RequestKind::kRolling) evaluation.tasks.push_back(tally.score(task));
    if (task.summarize) evaluation.summary[task.name] = task.summarize(verdicts);
  }
  if (evaluation.tasks.empty()) {
    evaluation.perplexity =
        perplexity_score(pages.nats, pages.size.num_words, pages.size.num_bytes);
    evaluation.overall.num_questions = all;
  } else {
    score_groups(evaluation);
  }
  evaluation.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return evaluation;
}

Json evaluation_to_json(const Evaluation& evaluation) {
  Json json;
  if (evaluation.perplexity.has_value()) {
    const PerplexityScore& score = *evaluation.perplexity;
    json = {{"word_perplexity", score.word_perplexity},
            {"byte_perplexity", score.byte_perplexity},
            {"bits_per_byte", score.bits_per_byte},
            {"loglikelihood_nats", score.nats},
            {"num_words", score.num_words},
            {"num_bytes", score.num_bytes},
            {"num_questions", evaluation.overall.num_questions}};
  } else {
    json = score_to_json(evaluation.overall);
  }
  json["questions_per_s"] =
      static_cast<double>(evaluation.overall.num_questions) / evaluation.seconds;
  json["metric"] = evaluation.metric;
  json["mode"] = scoring_mode_name(evaluation.mode);
  json["num_fewshot"] = evaluation.num_fewshot;
  json["num_truncated"] = evaluation.num_truncated;
  if (!evaluation.summary.empty()) json["summary"] = evaluation.summary;
  for (const auto& [group, score] : evaluation.groups) json["groups"][group] = score_to_json(score);
  for (const TaskScore& task : evaluation.tasks) {
    for (const auto& [filter, score] : task.by_filter) {
      const std::string key = filter.empty() ? task.task : task.task + "," + filter;
      json["tasks"][key] = score_to_json(score);
    }
  }
  return json;
}

}  // namespace dovetail::eval
