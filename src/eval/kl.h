// Measured loss: KL(reference || treated) over the full vocabulary.
//
// Non-overlapping windows, no BOS. Of a window of t tokens the t - 1 predictions of tokens 1..t-1
// are scored; its first token is not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "eval/text.h"
#include "host/host_model.h"

namespace dovetail::eval {

struct KlStats {
  double kl_nats_per_token = 0;  // mean over scored positions
  // Standard error of the mean over windows; nothing for a single window.
  std::optional<double> kl_stderr_nats_per_token;
  // Mean of each window, in order: two treated models measured on one text are compared pairwise.
  std::vector<double> window_kl_nats_per_token;
  double top1_agreement_frac = 0;  // positions where both have the same best token
  int64_t num_tokens = 0;          // scored positions
  std::string text_name;
};

// Keys as the fields, plus text_name; a missing standard error is null.
[[nodiscard]] Json kl_stats_to_json(const KlStats& stats);

struct KlParams {
  int64_t max_rows = 2048;                        // tokens that run side by side
  int64_t max_logits_bytes = int64_t{512} << 20;  // reference logits are kept if they fit
};

// The reference's side of the measurement, computed once and used for every treated model.
class KlReference {
 public:
  // Errors: kInvalidArgument (no window, a window shorter than 2 tokens, tokens out of range).
  [[nodiscard]] static Result<KlReference> create(const host::HostModel& reference,
                                                  TextWindows text, const KlParams& params = {});

  // Errors: kInvalidArgument if the treated model has another vocabulary.
  [[nodiscard]] Result<KlStats> measure(const host::HostModel& treated) const;

  [[nodiscard]] const TextWindows& text() const { return text_; }

 private:
  KlReference(host::HostModel reference, TextWindows text);
  struct Part {
    host::TokenBatch tokens;
    model::Matrix hidden;  // (b * (s - 1), h), the scored positions
    model::Matrix logits;  // (b * (s - 1), v), or empty
  };
  host::HostModel reference_;
  TextWindows text_;
  std::vector<Part> parts_;
};

// Once, without keeping the reference.
[[nodiscard]] Result<KlStats> measure_kl(const host::HostModel& reference,
                                         const host::HostModel& treated, const TextWindows& text);

}  // namespace dovetail::eval
