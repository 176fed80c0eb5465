#include "eval/perplexity.h"

#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace dovetail::eval {

Json perplexity_stats_to_json(const PerplexityStats& stats) {
  Json json = Json::object();
  json["perplexity"] = stats.perplexity;
  json["nll_nats_per_token"] = stats.nll_nats_per_token;
  json["num_tokens"] = stats.num_tokens;
  json["text_name"] = stats.text_name;
  return json;
}

Result<PerplexityStats> measure_perplexity(const host::HostModel& model, const TextWindows& text,
                                           int64_t max_rows) {
  if (text.windows.empty()) return invalid_argument("text: no windows, want 1 or more");
  for (const std::vector<int32_t>& window : text.windows) {
    if (window.size() < 2) {
      return invalid_argument(
          fmt::format("text: a window of {} tokens, want 2 or more", window.size()));
    }
  }
  double total = 0;
  for (const host::TokenBatch& tokens : batches_of(text, max_rows)) {
    DOVETAIL_TRY(const std::vector<double> nll, model.nll(tokens));
    total = std::accumulate(nll.begin(), nll.end(), total);
  }
  PerplexityStats stats;
  stats.text_name = text.name;
  stats.num_tokens = text.num_scored();
  stats.nll_nats_per_token = total / static_cast<double>(stats.num_tokens);
  stats.perplexity = std::exp(stats.nll_nats_per_token);
  return stats;
}

}  // namespace dovetail::eval
