#include "eval/completer.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/random.h"
#include "eval/kept_prefixes.h"
#include "eval/logit_rows.h"
#include "host/lanes.h"
#include "host/paged_model.h"
#include "host/vocabulary_scores.h"

namespace dovetail::eval {
namespace {

// Tokens that are worth waiting a pass for.
constexpr int64_t kMinShared = 16;

struct Waiting {
  CompletionRequest request;
  int64_t number = 0;  // in the order of their coming
};

struct Running {
  CompletionRequest request;
  int64_t number = 0;
  host::KvSequence kv;
  int64_t prompt_end = 0;             // prompt tokens that must be fed
  std::vector<ScoredToken> scores{};  // of prompt tokens 1.., as far as they are known
  Random random{0};
  std::vector<int32_t> last{};  // the token that was made and is not fed yet; empty: none
  int64_t num_made = 0;
  bool is_over = false;

  [[nodiscard]] bool is_in_prompt() const { return kv.length() < prompt_end; }
};

// A row of hidden states: what is asked of it.
struct RowTask {
  Running* owner = nullptr;
  int32_t target = -1;  // the prompt's next token; -1: choose one
  double uniform = 0;   // for the choice
};

struct RowAnswer {
  ScoredToken token;
  bool is_finite = true;
};

// The largest logits, of equals the lower id first.
std::vector<TokenChoice> top_of_row(const float* logits, int64_t vocab, int64_t count) {
  std::vector<TokenChoice> top;
  const auto room = static_cast<size_t>(std::min(count, vocab));
  if (room == 0) return top;
  for (int64_t i = 0; i < vocab; ++i) {
    const auto x = static_cast<double>(logits[i]);
    if (top.size() == room && x <= top.back().nats) continue;
    if (top.size() == room) top.pop_back();
    const auto after = std::find_if(top.begin(), top.end(),
                                    [&](const TokenChoice& other) { return other.nats < x; });
    top.insert(after, {static_cast<int32_t>(i), x});
  }
  return top;
}

bool all_finite(const float* logits, int64_t vocab) {
  host::FloatLanes zeros{};  // NaN as soon as one logit is not a number or infinite
  for (int64_t i = 0; i < vocab; i += host::kFloatLanes) {
    host::FloatLanes x;
    host::load_lanes(logits + i, vocab - i, 0.0F, x);
    zeros += x * 0.0F;
  }
  return host::sum_lanes(zeros) == 0;
}

RowAnswer answer_row(const float* logits, int64_t vocab, const RowTask& task) {
  const CompletionRequest& request = task.owner->request;
  if (!all_finite(logits, vocab)) return {.token = {}, .is_finite = false};
  const host::RowSummary summary = host::summarize_row(vocab, logits);
  RowAnswer answer;
  int64_t id = task.target;
  if (id < 0) {
    id = request.temperature > 0
             ? host::sample_row(vocab, logits, request.temperature, task.uniform)
             : summary.best;
  }
  answer.token.id = static_cast<int32_t>(id);
  answer.token.nats = static_cast<double>(logits[id]) - summary.log_sum_exp;
  answer.token.top = top_of_row(logits, vocab, request.num_top);
  for (TokenChoice& choice : answer.token.top) choice.nats -= summary.log_sum_exp;
  return answer;
}

class HostCompleter : public Completer {
 public:
  HostCompleter(const host::HostModel& model, const CompleterParams& params)
      : model_(model, params.tile_unit), params_(params) {}

  [[nodiscard]] int64_t max_length() const override { return params_.max_length; }
  [[nodiscard]] int64_t vocab_size() const override { return model_.shape().vocab_size; }

  [[nodiscard]] Status check(const CompletionRequest& request) const override {
    if (request.max_new_tokens < 0) {
      return invalid_argument(
          fmt::format("max_new_tokens = {}, want 0 or more", request.max_new_tokens));
    }
    if (request.num_top < 0 || request.num_top > kMaxAlternatives) {
      return invalid_argument(
          fmt::format("num_top = {}, want 0..{}", request.num_top, kMaxAlternatives));
    }
    if (!(request.temperature >= 0 && std::isfinite(request.temperature))) {
      return invalid_argument(fmt::format("temperature = {}, want 0 or more", request.temperature));
    }
    const auto length = std::ssize(request.prompt);
    if (length > max_length() || request.max_new_tokens > max_length() - length) {
      return invalid_argument(
          fmt::format("a prompt of {} and an answer of {} tokens, want at most "
                      "{} together",
                      length, request.max_new_tokens, max_length()));
    }
    return host::check_tokens(model_.shape(), {.batch = 1, .seq = length, .ids = request.prompt});
  }

  void add(CompletionRequest request) override {
    waiting_.push_back({std::move(request), next_number_++});
  }
  [[nodiscard]] bool has_work() const override { return !waiting_.empty() || !running_.empty(); }

  void step() override {
    drop_abandoned();
    start_waiting();
    feed_pass();
    finish_over();
  }

 private:
  void drop_abandoned() {
    const auto is_abandoned = [](const CompletionRequest& request) {
      return request.is_abandoned && request.is_abandoned();
    };
    std::erase_if(waiting_, [&](const Waiting& one) { return is_abandoned(one.request); });
    std::erase_if(running_, [&](const auto& one) { return is_abandoned(one->request); });
  }

  // Pages that a sequence of so many positions does not have yet; one more, which is shared in
  // part.
  [[nodiscard]] int64_t bytes_of(int64_t positions) {
    const int64_t tokens = model_.pool().layout().tokens;
    return ((positions + tokens - 1) / tokens + 1) * model_.pool().page_bytes();
  }
  [[nodiscard]] int64_t reserved_bytes() {
    int64_t bytes = 0;
    for (const auto& one : running_) {
      const int64_t end = std::ssize(one->request.prompt) + one->request.max_new_tokens;
      bytes += bytes_of(end - one->kv.length());
    }
    return bytes;
  }
  // Gives up kept prefixes until the request fits beside what runs.
  bool make_room(const CompletionRequest& request) {
    const int64_t wanted =
        reserved_bytes() + bytes_of(std::ssize(request.prompt) + request.max_new_tokens);
    const auto fits = [&] { return model_.pool().bytes_in_use() + wanted <= params_.max_kv_bytes; };
    while (!fits() && kept_.drop_oldest()) {
    }
    return fits() || running_.empty();
  }

  [[nodiscard]] KeptPrefixes::Found find_kept(const CompletionRequest& request) {
    return kept_.find(request.prompt, request.scores_prompt ? request.num_top : -1);
  }

  // Whether a prompt that came earlier and is being fed begins with so much of this one that
  // waiting for it saves work. Earlier ones only: nobody waits for ever.
  [[nodiscard]] bool is_worth_waiting(const Waiting& waiting) {
    const int64_t kept = find_kept(waiting.request).length;
    return std::any_of(running_.begin(), running_.end(), [&](const auto& one) {
      return one->number < waiting.number && one->is_in_prompt() &&
             shared_length(one->request.prompt, waiting.request.prompt) >= kept + kMinShared;
    });
  }

  void start_waiting() {
    for (auto next = waiting_.begin(); next != waiting_.end();) {
      if (std::ssize(running_) >= params_.max_running) return;
      if (is_worth_waiting(*next)) {
        ++next;
        continue;
      }
      if (!make_room(next->request)) return;
      start(std::move(*next));
      next = waiting_.erase(next);
    }
  }

  void start(Waiting waiting) {
    auto one = std::make_unique<Running>(Running{.request = std::move(waiting.request),
                                                 .number = waiting.number,
                                                 .kv = host::KvSequence(model_.pool())});
    const CompletionRequest& request = one->request;
    one->random = Random(request.seed);
    const auto length = std::ssize(request.prompt);
    // The last token of a prompt is fed for what follows it only.
    if (request.max_new_tokens > 0)
      one->prompt_end = length;
    else if (request.scores_prompt)
      one->prompt_end = length - 1;
    const KeptPrefixes::Found found = find_kept(request);
    // The row before the first position that differs, or that is wanted, is computed afresh.
    const int64_t known = std::min(found.length, one->prompt_end) - 1;
    if (known > 0) {
      one->kv = found.entry->kv.fork(known);
      if (request.scores_prompt) {
        one->scores.assign(found.entry->scores.begin(), found.entry->scores.begin() + known);
        for (ScoredToken& score : one->scores) score.top.resize(kept_top(request, score));
      }
    }
    running_.push_back(std::move(one));
    if (!running_.back()->is_in_prompt()) end_prompt(*running_.back());
  }

  static size_t kept_top(const CompletionRequest& request, const ScoredToken& score) {
    return std::min(score.top.size(), static_cast<size_t>(request.num_top));
  }

  // The pieces of this pass and what is asked of each of its wanted rows, in order.
  struct Pass {
    std::vector<host::Segment> segments;
    std::vector<RowTask> rows;
    std::vector<Running*> prompts;  // whose tokens were fed
  };

  void add_piece(Running& one, int64_t room, Pass& pass) const {
    const std::vector<int32_t>& prompt = one.request.prompt;
    const int64_t begin = one.kv.length();
    const int64_t end = std::min(one.prompt_end, begin + room);
    const size_t rows_before = pass.rows.size();
    for (int64_t at = begin; at < end; ++at) {
      const bool is_last = at + 1 == std::ssize(prompt);
      if (!is_last && !one.request.scores_prompt) continue;
      RowTask& row = pass.rows.emplace_back(RowTask{.owner = &one});
      if (is_last)
        row.uniform = one.random.uniform();
      else
        row.target = prompt[static_cast<size_t>(at) + 1];
    }
    pass.segments.push_back({.kv = &one.kv,
                             .ids = std::span(prompt).subspan(static_cast<size_t>(begin),
                                                              static_cast<size_t>(end - begin)),
                             .wanted = static_cast<int64_t>(pass.rows.size() - rows_before)});
    pass.prompts.push_back(&one);
  }

  [[nodiscard]] Pass make_pass() const {
    Pass pass;
    int64_t room = params_.rows_at_once;
    for (const auto& one : running_) {
      if (one->last.empty()) continue;
      pass.segments.push_back({.kv = &one->kv, .ids = one->last, .wanted = 1, .is_step = true});
      pass.rows.push_back({.owner = one.get(), .uniform = one->random.uniform()});
      --room;
    }
    for (const auto& one : running_) {
      if (room <= 0 && !pass.segments.empty()) break;
      if (!one->is_in_prompt()) continue;
      const int64_t before = one->kv.length();
      add_piece(*one, std::max<int64_t>(room, 1), pass);
      room -= std::min(one->prompt_end, before + std::max<int64_t>(room, 1)) - before;
    }
    return pass;
  }

  void feed_pass() {
    const Pass pass = make_pass();
    if (pass.segments.empty()) return;
    const model::Matrix hidden = model_.feed(pass.segments);
    DOVETAIL_CHECK(hidden.rows == std::ssize(pass.rows));
    std::vector<RowAnswer> answers(pass.rows.size());
    visit_logits(model_, hidden, [&](int64_t row, const float* logits, int64_t vocab) {
      const auto at = static_cast<size_t>(row);
      answers[at] = answer_row(logits, vocab, pass.rows[at]);
    });
    // All scores of a prompt come before the token that follows it.
    for (size_t i = 0; i < answers.size(); ++i) {
      if (pass.rows[i].target >= 0) take_score(*pass.rows[i].owner, std::move(answers[i]));
    }
    for (Running* one : pass.prompts) {
      if (!one->is_over && !one->is_in_prompt()) end_prompt(*one);
    }
    for (size_t i = 0; i < answers.size(); ++i) {
      if (pass.rows[i].target < 0) take_token(*pass.rows[i].owner, std::move(answers[i]));
    }
  }

  static void take_score(Running& one, RowAnswer answer) {
    if (one.is_over) return;
    if (!answer.is_finite) return fail(one);
    one.scores.push_back(std::move(answer.token));
  }

  void end_prompt(Running& one) {
    const CompletionRequest& request = one.request;
    const int64_t length = one.kv.length();
    const auto begin = request.prompt.begin();
    KeptPrefixes::Entry entry{.ids = {begin, begin + length}, .kv = one.kv.fork(length)};
    if (request.scores_prompt && length > 0) {
      entry.scores.assign(one.scores.begin(), one.scores.begin() + length - 1);
      entry.num_top = request.num_top;
    }
    kept_.put(std::move(entry));
    if (request.scores_prompt && request.take_prompt) request.take_prompt(std::move(one.scores));
    if (request.max_new_tokens == 0) end(one, {});
  }

  static void take_token(Running& one, RowAnswer answer) {
    if (one.is_over) return;
    if (!answer.is_finite) return fail(one);
    one.last = {answer.token.id};
    const bool was_last = one.request.take_token && one.request.take_token(answer.token);
    if (was_last || ++one.num_made == one.request.max_new_tokens) end(one, {});
  }

  static void fail(Running& one) {
    end(one, make_error(ErrorCode::kInternal, "the model's logits are not numbers"));
  }
  static void end(Running& one, const Status& status) {
    one.is_over = true;
    if (one.request.finish) one.request.finish(status);
  }
  void finish_over() {
    std::erase_if(running_, [](const auto& one) { return one->is_over; });
  }

  host::PagedModel model_;
  CompleterParams params_;
  KeptPrefixes kept_;
  std::deque<Waiting> waiting_;
  std::vector<std::unique_ptr<Running>> running_;  // addresses stay
  int64_t next_number_ = 0;
};

}  // namespace

Result<std::unique_ptr<Completer>> make_completer(const host::HostModel& model,
                                                  const CompleterParams& params) {
  const int64_t positions = model.shape().max_positions;
  if (params.max_length < 0 || params.max_length > positions) {
    return invalid_argument(
        fmt::format("max_length = {}, want 1..{} or 0 for all", params.max_length, positions));
  }
  if (params.rows_at_once < 1 || params.max_running < 1) {
    return invalid_argument(fmt::format("rows_at_once = {}, max_running = {}, want 1 or more",
                                        params.rows_at_once, params.max_running));
  }
  CompleterParams filled = params;
  if (filled.max_length == 0) filled.max_length = positions;
  return std::make_unique<HostCompleter>(model, filled);
}

}  // namespace dovetail::eval
