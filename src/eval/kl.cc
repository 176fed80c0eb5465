#include "eval/kl.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

// The rows of all sequences but the last of each: (b * s, h) -> (b * (s - 1), h).
model::Matrix scored_rows(const model::Matrix& hidden, const host::TokenBatch& tokens) {
  model::Matrix scored{.rows = tokens.batch * (tokens.seq - 1), .cols = hidden.cols, .values = {}};
  scored.values.reserve(static_cast<size_t>(scored.rows * scored.cols));
  for (int64_t b = 0; b < tokens.batch; ++b) {
    const auto first = hidden.values.begin() + b * tokens.seq * hidden.cols;
    scored.values.insert(scored.values.end(), first, first + (tokens.seq - 1) * hidden.cols);
  }
  return scored;
}

// The mean is over positions, so a window counts by its length; the error of such a ratio is that
// of the windows' deviations from it.
std::optional<double> standard_error(const std::vector<double>& sums,
                                     const std::vector<double>& lengths, double mean) {
  const auto count = static_cast<double>(sums.size());
  if (sums.size() < 2) return std::nullopt;
  double total = 0;
  double squares = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    const double deviation = sums[i] - mean * lengths[i];
    squares += deviation * deviation;
    total += lengths[i];
  }
  return std::sqrt(squares / (count - 1) * count) / total;
}

}  // namespace

Json kl_stats_to_json(const KlStats& stats) {
  Json json = Json::object();
  json["kl_nats_per_token"] = stats.kl_nats_per_token;
  json["kl_stderr_nats_per_token"] = nullptr;
  if (stats.kl_stderr_nats_per_token.has_value()) {
    json["kl_stderr_nats_per_token"] = *stats.kl_stderr_nats_per_token;
  }
  json["window_kl_nats_per_token"] = stats.window_kl_nats_per_token;
  json["top1_agreement_frac"] = stats.top1_agreement_frac;
  json["num_tokens"] = stats.num_tokens;
  json["text_name"] = stats.text_name;
  return json;
}

KlReference::KlReference(host::HostModel reference, TextWindows text)
    : reference_(std::move(reference)), text_(std::move(text)) {}

Result<KlReference> KlReference::create(const host::HostModel& reference, TextWindows text,
                                        const KlParams& params) {
  if (text.windows.empty()) return invalid_argument("text: no windows, want 1 or more");
  for (const std::vector<int32_t>& window : text.windows) {
    if (window.size() < 2) {
      return invalid_argument(
          fmt::format("text: a window of {} tokens, want 2 or more", window.size()));
    }
  }
  KlReference result(reference, std::move(text));
  const int64_t logits_bytes = result.text_.num_scored() * reference.shape().vocab_size *
                               static_cast<int64_t>(sizeof(float));
  for (host::TokenBatch& tokens : batches_of(result.text_, params.max_rows)) {
    DOVETAIL_TRY(const model::Matrix hidden, reference.hidden_states(tokens));
    Part part{.tokens = std::move(tokens), .hidden = {}, .logits = {}};
    part.hidden = scored_rows(hidden, part.tokens);
    if (logits_bytes <= params.max_logits_bytes) {
      DOVETAIL_TRY(part.logits, reference.logits(part.hidden));
    }
    result.parts_.push_back(std::move(part));
  }
  return result;
}

Result<KlStats> KlReference::measure(const host::HostModel& treated) const {
  std::vector<double> sums;
  std::vector<double> lengths;
  KlStats stats;
  double total = 0;
  int64_t agree = 0;
  for (const Part& part : parts_) {
    DOVETAIL_TRY(const model::Matrix all, treated.hidden_states(part.tokens));
    const model::Matrix hidden = scored_rows(all, part.tokens);
    DOVETAIL_TRY(const host::KlResult kl,
                 part.logits.values.empty()
                     ? host::kl_divergence(reference_, part.hidden, treated, hidden)
                     : host::kl_divergence(part.logits, treated, hidden));
    agree += kl.top1_agree;
    const int64_t scored = part.tokens.seq - 1;
    for (int64_t b = 0; b < part.tokens.batch; ++b) {
      double sum = 0;
      for (int64_t i = 0; i < scored; ++i) {
        sum += kl.kl_nats_per_position[static_cast<size_t>(b * scored + i)];
      }
      sums.push_back(sum);
      stats.window_kl_nats_per_token.push_back(sum / static_cast<double>(scored));
      lengths.push_back(static_cast<double>(scored));
      total += sum;
    }
  }
  stats.text_name = text_.name;
  stats.num_tokens = text_.num_scored();
  stats.kl_nats_per_token = total / static_cast<double>(stats.num_tokens);
  stats.kl_stderr_nats_per_token = standard_error(sums, lengths, stats.kl_nats_per_token);
  stats.top1_agreement_frac = static_cast<double>(agree) / static_cast<double>(stats.num_tokens);
  return stats;
}

Result<KlStats> measure_kl(const host::HostModel& reference, const host::HostModel& treated,
                           const TextWindows& text) {
  // Kept logits pay off only for repeated measurements.
  DOVETAIL_TRY(const KlReference once,
               KlReference::create(reference, text, {.max_logits_bytes = 0}));
  return once.measure(treated);
}

}  // namespace dovetail::eval
