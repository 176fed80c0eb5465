#include "eval/host_scorer.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

// Rows whose logits are held at once: 64 MB at a vocabulary of 131,072.
constexpr int64_t kLogitRows = 128;
// Generation asks for so many tokens first and for twice as many each time, because the end of a
// text is only known from its tokens and each time the prompt runs again.
constexpr int64_t kFirstTokens = 64;

struct TokenScore {
  double nats = 0;
  bool is_greedy = false;
};

TokenScore score_token(const float* logits, int64_t vocab, int32_t token) {
  const float best = *std::max_element(logits, logits + vocab);
  double sum = 0;
  for (int64_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i] - best));
  const float own = logits[token];
  // The first of equals is the greedy one, as torch.argmax and generation have it.
  const bool is_greedy = std::max_element(logits, logits + vocab) - logits == token;
  return {.nats = static_cast<double>(own - best) - std::log(sum), .is_greedy = is_greedy};
}

std::vector<int32_t> fed_ids(const LoglikelihoodRequest& request) {
  std::vector<int32_t> ids = request.context;
  ids.insert(ids.end(), request.continuation.begin(), request.continuation.end());
  ids.pop_back();
  return ids;
}

class HostScorer : public Scorer {
 public:
  HostScorer(host::HostModel model, int64_t max_length)
      : model_(std::move(model)), max_length_(max_length) {}

  [[nodiscard]] int64_t max_length() const override { return max_length_; }

  Result<std::vector<Loglikelihood>> loglikelihoods(
      const std::vector<LoglikelihoodRequest>& requests, const ProgressSink& progress) override {
    std::map<std::vector<int32_t>, std::vector<size_t>> groups;
    for (size_t i = 0; i < requests.size(); ++i) {
      DOVETAIL_TRY_STATUS(check_request(requests[i]));
      groups[fed_ids(requests[i])].push_back(i);
    }
    std::vector<Loglikelihood> results(requests.size());
    size_t done = 0;
    for (const auto& [ids, members] : groups) {
      DOVETAIL_TRY_STATUS(score_group(ids, members, requests, results));
      done += members.size();
      report_progress(progress, "log-likelihoods",
                      static_cast<double>(done) / static_cast<double>(requests.size()));
    }
    return results;
  }

  Result<std::vector<std::vector<int32_t>>> generate(const std::vector<GenerationRequest>& requests,
                                                     const ProgressSink& progress) override {
    std::vector<std::vector<int32_t>> results;
    for (const GenerationRequest& request : requests) {
      DOVETAIL_TRY(std::vector<int32_t> made, generate_one(request));
      results.push_back(std::move(made));
      report_progress(progress, "generating",
                      static_cast<double>(results.size()) / static_cast<double>(requests.size()));
    }
    return results;
  }

 private:
  Status check_length(int64_t size) const {
    if (size <= max_length_) return {};
    return invalid_argument(
        fmt::format("a request of {} tokens, want at most {}", size, max_length_));
  }

  // What is fed, the model checks; the last token is not.
  Status check_request(const LoglikelihoodRequest& request) const {
    if (request.context.empty() || request.continuation.empty()) {
      return invalid_argument("a request with an empty context or continuation");
    }
    const int32_t last = request.continuation.back();
    if (last >= 0 && last < model_.shape().vocab_size) return {};
    return invalid_argument(
        fmt::format("token id {}, want 0..{}", last, model_.shape().vocab_size - 1));
  }

  // Logits of the positions first .. first + rows - 1.
  Result<model::Matrix> logits_of(const model::Matrix& hidden, int64_t first, int64_t rows) const {
    model::Matrix part{rows, hidden.cols, {}};
    const float* begin = hidden.values.data() + first * hidden.cols;
    part.values.assign(begin, begin + rows * hidden.cols);
    return model_.logits(part);
  }

  // All members are fed `ids`; they differ in where the continuation begins and in its last token.
  Status score_group(const std::vector<int32_t>& ids, const std::vector<size_t>& members,
                     const std::vector<LoglikelihoodRequest>& requests,
                     std::vector<Loglikelihood>& results) const {
    const auto length = std::ssize(ids);
    DOVETAIL_TRY_STATUS(check_length(length));
    DOVETAIL_TRY(const model::Matrix hidden,
                 model_.hidden_states({.batch = 1, .seq = length, .ids = ids}));
    int64_t longest = 0;
    for (const size_t i : members) {
      longest = std::max(longest, static_cast<int64_t>(std::ssize(requests[i].continuation)));
      results[i] = {.nats = 0, .is_greedy = true};
    }
    for (int64_t from = length - longest; from < length; from += kLogitRows) {
      const int64_t rows = std::min(kLogitRows, length - from);
      DOVETAIL_TRY(const model::Matrix logits, logits_of(hidden, from, rows));
      for (const size_t i : members) add_rows(logits, from, length, requests[i], results[i]);
    }
    return {};
  }

  // Adds the tokens of a continuation that positions from .. from + logits.rows predict.
  static void add_rows(const model::Matrix& logits, int64_t from, int64_t length,
                       const LoglikelihoodRequest& request, Loglikelihood& result) {
    const int64_t begin = length - std::ssize(request.continuation);
    for (int64_t at = std::max(from, begin); at < from + logits.rows; ++at) {
      const int32_t token = request.continuation[static_cast<size_t>(at - begin)];
      const TokenScore score =
          score_token(logits.values.data() + (at - from) * logits.cols, logits.cols, token);
      result.nats += score.nats;
      result.is_greedy = result.is_greedy && score.is_greedy;
    }
  }

  Result<std::vector<int32_t>> generate_one(const GenerationRequest& request) const {
    DOVETAIL_TRY_STATUS(check_length(std::ssize(request.prompt) + request.max_new_tokens));
    std::vector<int32_t> made;
    bool is_done = false;
    for (int64_t count = kFirstTokens; !is_done; count *= 2) {
      std::vector<int32_t> text = request.prompt;
      text.insert(text.end(), made.begin(), made.end());
      const int64_t left = request.max_new_tokens - std::ssize(made);
      DOVETAIL_TRY(
          const auto more,
          model_.generate({text}, {.max_new_tokens = std::min(count, left), .temperature = 0}));
      for (size_t i = 0; i < more[0].size() && !is_done; ++i) {
        made.push_back(more[0][i]);
        is_done = request.is_done(made) || std::ssize(made) == request.max_new_tokens;
      }
    }
    DOVETAIL_TRY_STATUS(check_finite(request.prompt, made));
    return made;
  }

  // Greedy choice cannot see that logits are no numbers; those behind the whole text can.
  Status check_finite(const std::vector<int32_t>& prompt, const std::vector<int32_t>& made) const {
    std::vector<int32_t> text = prompt;
    text.insert(text.end(), made.begin(), made.end());
    const auto length = std::ssize(text);
    DOVETAIL_TRY(const model::Matrix hidden,
                 model_.hidden_states({.batch = 1, .seq = length, .ids = text}));
    DOVETAIL_TRY(const model::Matrix logits, logits_of(hidden, length - 1, 1));
    const bool finite = std::all_of(logits.values.begin(), logits.values.end(),
                                    [](float value) { return std::isfinite(value); });
    if (finite) return {};
    return make_error(ErrorCode::kInternal, "the model's logits are not numbers");
  }

  host::HostModel model_;
  int64_t max_length_ = 0;
};

}  // namespace

Result<std::unique_ptr<Scorer>> make_host_scorer(const host::HostModel& model, int64_t max_length) {
  const int64_t positions = model.shape().max_positions;
  if (max_length < 0 || max_length > positions) {
    return invalid_argument(
        fmt::format("max_length = {}, want 1..{} or 0 for all", max_length, positions));
  }
  return std::make_unique<HostScorer>(model, max_length == 0 ? positions : max_length);
}

}  // namespace dovetail::eval
