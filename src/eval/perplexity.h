// Perplexity of a model on a text: exp of the mean negative log-likelihood per scored token.
//
// Non-overlapping windows, no BOS, the first token of a window unscored (eval/kl.h scores the
// same).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.h"
#include "base/result.h"
#include "eval/text.h"
#include "host/host_model.h"

namespace dovetail::eval {

struct PerplexityStats {
  double perplexity = 0;
  double nll_nats_per_token = 0;  // mean over scored positions
  int64_t num_tokens = 0;         // scored positions
  std::string text_name;
};

[[nodiscard]] Json perplexity_stats_to_json(const PerplexityStats& stats);

// `max_rows`: tokens that run side by side. Errors: kInvalidArgument (no window, a window shorter
// than 2 tokens, tokens out of range).
[[nodiscard]] Result<PerplexityStats> measure_perplexity(const host::HostModel& model,
                                                         const TextWindows& text,
                                                         int64_t max_rows = 2048);

}  // namespace dovetail::eval
