#include "eval/host_scorer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "eval/logit_rows.h"
#include "eval/prefix_work.h"
#include "host/lanes.h"
#include "host/paged_model.h"
#include "host/vocabulary_scores.h"

namespace dovetail::eval {
namespace {

// Tokens that are worth a pass of their own for those that share them.
constexpr int64_t kMinShared = 8;

// Requests that are fed the same ids.
struct Group {
  std::vector<size_t> members;
  int64_t length = 0;  // of the ids
};

struct Generation {
  size_t request = 0;
  host::KvSequence kv;
  std::vector<int32_t> made = {};
};

struct Choice {
  int32_t token = 0;
  bool is_finite = true;
};

// The first of the largest.
Choice greedy_choice(const float* logits, int64_t vocab) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  host::FloatLanes largest = host::FloatLanes{} + kLowest;
  host::FloatLanes zeros{};  // NaN as soon as one logit is not a number or infinite
  for (int64_t i = 0; i < vocab; i += host::kFloatLanes) {
    host::FloatLanes x;
    host::load_lanes(logits + i, vocab - i, kLowest, x);
    largest = x > largest ? x : largest;
    zeros += x * 0.0F;
  }
  const float best = host::max_lanes(largest);
  return {static_cast<int32_t>(std::find(logits, logits + vocab, best) - logits),
          host::sum_lanes(zeros) == 0};
}

std::vector<int32_t> fed_ids(const LoglikelihoodRequest& request) {
  std::vector<int32_t> ids = request.context;
  ids.insert(ids.end(), request.continuation.begin(), request.continuation.end());
  ids.pop_back();
  return ids;
}

class HostScorer : public Scorer {
 public:
  HostScorer(const host::HostModel& model, int64_t max_length, const HostScorerParams& params)
      : model_(model, params.tile_unit), max_length_(max_length), params_(params) {}

  [[nodiscard]] int64_t max_length() const override { return max_length_; }

  Result<std::vector<Loglikelihood>> loglikelihoods(
      const std::vector<LoglikelihoodRequest>& requests, const ProgressSink& progress) override {
    std::map<std::vector<int32_t>, std::vector<size_t>> by_ids;
    for (size_t i = 0; i < requests.size(); ++i) {
      DOVETAIL_TRY_STATUS(check_request(requests[i]));
      by_ids[fed_ids(requests[i])].push_back(i);
    }
    std::vector<SharedSequence> sequences;
    std::vector<Group> groups;
    for (auto& [ids, members] : by_ids) {
      int64_t longest = 0;
      for (const size_t i : members)
        longest = std::max(longest, static_cast<int64_t>(std::ssize(requests[i].continuation)));
      sequences.push_back({ids, longest});
      groups.push_back({std::move(members), std::ssize(ids)});
    }
    std::vector<Loglikelihood> results(requests.size(), {.nats = 0, .is_greedy = true});
    PrefixWork work = work_on(sequences, {});
    int64_t done = 0;
    while (!work.is_done()) {
      const std::vector<Piece> pieces =
          work.take({.rows = params_.rows_at_once, .leaves = std::numeric_limits<int64_t>::max()});
      score_pieces(pieces, groups, requests, results);
      done += std::ssize(work.finish(pieces));
      report_progress(progress, "log-likelihoods",
                      static_cast<double>(done) / static_cast<double>(sequences.size()));
    }
    return results;
  }

  Result<std::vector<std::vector<int32_t>>> generate(const std::vector<GenerationRequest>& requests,
                                                     const ProgressSink& progress) override {
    std::vector<SharedSequence> prompts;
    std::vector<int64_t> rooms;
    for (const GenerationRequest& request : requests) {
      DOVETAIL_TRY_STATUS(check_request(request));
      prompts.push_back({request.prompt, 1});
      rooms.push_back(request.max_new_tokens);
    }
    std::vector<std::vector<int32_t>> results(requests.size());
    std::vector<Generation> running;
    PrefixWork work = work_on(prompts, rooms);
    size_t done = 0;
    while (!work.is_done() || !running.empty()) {
      DOVETAIL_TRY_STATUS(step(requests, work, running));
      const size_t before = done;
      std::erase_if(running, [&](Generation& generation) {
        if (!is_over(requests[generation.request], generation.made)) return false;
        results[generation.request] = std::move(generation.made);
        ++done;
        return true;
      });
      if (done == before) continue;
      report_progress(progress, "generating",
                      static_cast<double>(done) / static_cast<double>(requests.size()));
    }
    return results;
  }

 private:
  Status check_ids(const std::vector<int32_t>& ids, int64_t length) const {
    if (length > max_length_) {
      return invalid_argument(
          fmt::format("a request of {} tokens, want at most {}", length, max_length_));
    }
    return host::check_tokens(model_.shape(), {.batch = 1, .seq = std::ssize(ids), .ids = ids});
  }

  Status check_request(const LoglikelihoodRequest& request) const {
    if (request.context.empty() || request.continuation.empty()) {
      return invalid_argument("a request with an empty context or continuation");
    }
    const std::vector<int32_t> fed = fed_ids(request);
    DOVETAIL_TRY_STATUS(check_ids(fed, std::ssize(fed)));
    return check_ids({request.continuation.back()}, 1);
  }

  Status check_request(const GenerationRequest& request) const {
    if (request.max_new_tokens < 1) {
      return invalid_argument(
          fmt::format("max_new_tokens = {}, want 1 or more", request.max_new_tokens));
    }
    return check_ids(request.prompt, std::ssize(request.prompt) + request.max_new_tokens);
  }

  PrefixWork work_on(const std::vector<SharedSequence>& sequences, std::vector<int64_t> rooms) {
    const int64_t min_shared =
        params_.share_prefixes ? kMinShared : std::numeric_limits<int64_t>::max();
    return {model_, cache_, sequences, std::move(rooms), min_shared, params_.max_kv_bytes};
  }

  // Feeds the pieces and adds what their wanted rows predict.
  void score_pieces(const std::vector<Piece>& pieces, const std::vector<Group>& groups,
                    const std::vector<LoglikelihoodRequest>& requests,
                    std::vector<Loglikelihood>& results) {
    std::vector<host::Segment> segments;
    std::vector<std::pair<size_t, int64_t>> owners;  // of each wanted row: its piece and position
    for (size_t i = 0; i < pieces.size(); ++i) {
      segments.push_back(pieces[i].segment);
      for (int64_t row = 0; row < pieces[i].segment.wanted; ++row)
        owners.emplace_back(i, pieces[i].first_wanted + row);
    }
    const model::Matrix hidden = model_.feed(segments);
    std::vector<std::vector<Loglikelihood>> scores(owners.size());
    const auto group_of = [&](size_t row) -> const Group& {
      return groups[static_cast<size_t>(pieces[owners[row].first].sequence)];
    };
    visit_logits(model_, hidden, [&](int64_t at, const float* logits, int64_t vocab) {
      const auto row = static_cast<size_t>(at);
      scores[row] = score_row(logits, vocab, owners[row].second, group_of(row), requests);
    });
    // Rows come in the order of their positions, whatever the passes: so are the sums.
    for (size_t row = 0; row < scores.size(); ++row) {
      const Group& group = group_of(row);
      for (size_t i = 0; i < group.members.size(); ++i) {
        Loglikelihood& result = results[group.members[i]];
        result.nats += scores[row][i].nats;
        result.is_greedy = result.is_greedy && scores[row][i].is_greedy;
      }
    }
  }

  // What the logits behind `position` say of each member's next token; nothing of those whose
  // continuation begins later.
  static std::vector<Loglikelihood> score_row(const float* logits, int64_t vocab, int64_t position,
                                              const Group& group,
                                              const std::vector<LoglikelihoodRequest>& requests) {
    const host::RowSummary summary = host::summarize_row(vocab, logits);
    std::vector<Loglikelihood> scores;
    for (const size_t i : group.members) {
      const std::vector<int32_t>& continuation = requests[i].continuation;
      const int64_t index = position - (group.length - std::ssize(continuation));
      scores.push_back({.nats = 0, .is_greedy = true});
      if (index < 0) continue;
      const int32_t token = continuation[static_cast<size_t>(index)];
      scores.back() = {.nats = static_cast<double>(logits[token]) - summary.log_sum_exp,
                       .is_greedy = summary.best == token};
    }
    return scores;
  }

  // Keys and values that running generations have no pages for yet.
  int64_t reserved_bytes(const std::vector<GenerationRequest>& requests,
                         const std::vector<Generation>& running) {
    const int64_t tokens = model_.pool().layout().tokens;
    int64_t pages = 0;
    for (const Generation& generation : running) {
      const int64_t left =
          requests[generation.request].max_new_tokens - std::ssize(generation.made);
      pages += (left + tokens - 1) / tokens + 1;
    }
    return pages * model_.pool().page_bytes();
  }

  // One more token of all that run and of prompts that end in this pass, which then run as well.
  Status step(const std::vector<GenerationRequest>& requests, PrefixWork& work,
              std::vector<Generation>& running) {
    const auto steps = std::ssize(running);
    const std::vector<Piece> pieces =
        work.take({.rows = std::max<int64_t>(1, params_.rows_at_once - steps),
                   .leaves = params_.max_running - steps,
                   .reserved_bytes = reserved_bytes(requests, running)});
    std::vector<host::Segment> segments;
    for (Generation& generation : running) {
      segments.push_back({.kv = &generation.kv,
                          .ids = std::span(generation.made).last(1),
                          .wanted = 1,
                          .is_step = true});
    }
    for (const Piece& piece : pieces) segments.push_back(piece.segment);
    const model::Matrix hidden = model_.feed(segments);
    for (auto& [sequence, kv] : work.finish(pieces))
      running.push_back({static_cast<size_t>(sequence), std::move(kv)});
    DOVETAIL_CHECK(hidden.rows == std::ssize(running));
    std::vector<Choice> choices(running.size());
    visit_logits(model_, hidden, [&](int64_t row, const float* logits, int64_t vocab) {
      choices[static_cast<size_t>(row)] = greedy_choice(logits, vocab);
    });
    for (size_t i = 0; i < running.size(); ++i) {
      if (!choices[i].is_finite) {
        return make_error(ErrorCode::kInternal, "the model's logits are not numbers");
      }
      running[i].made.push_back(choices[i].token);
    }
    return {};
  }

  static bool is_over(const GenerationRequest& request, const std::vector<int32_t>& made) {
    const bool is_done = request.is_done && request.is_done(made);
    return is_done || std::ssize(made) == request.max_new_tokens;
  }

  host::PagedModel model_;
  PrefixCache cache_;
  int64_t max_length_ = 0;
  HostScorerParams params_;
};

}  // namespace

Result<std::unique_ptr<Scorer>> make_host_scorer(const host::HostModel& model, int64_t max_length,
                                                 const HostScorerParams& params) {
  const int64_t positions = model.shape().max_positions;
  if (max_length < 0 || max_length > positions) {
    return invalid_argument(
        fmt::format("max_length = {}, want 1..{} or 0 for all", max_length, positions));
  }
  if (params.rows_at_once < 1 || params.max_running < 1) {
    return invalid_argument(fmt::format("rows_at_once = {}, max_running = {}, want 1 or more",
                                        params.rows_at_once, params.max_running));
  }
  return std::make_unique<HostScorer>(model, max_length == 0 ? positions : max_length, params);
}

}  // namespace dovetail::eval
