// Brings one side of a comparison to the measured loss cap.
//
// The search works with predicted losses, and a prediction is off by a factor that depends on the
// text and on the search itself. So every side (the joint answer and each baseline) moves its own
// predicted cap and is measured again, with the same number of measurements for each side, until
// its measured loss is within the cap; the cheapest point that was measured within the cap stands.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "search/enumerate.h"

namespace dovetail::study {

// Measured loss of one product's recipe.
struct MeasuredLoss {
  double kl_nats = 0;         // per token; predicted * bias where the model has no weights here
  double kl_stderr_nats = 0;  // over sequences
  std::vector<double> window_kl_nats = {};  // of each sequence; empty where not measured
  double top1_agreement_frac = 0;
  std::string row = {};   // of the study's database, where the measurement stands
  bool measured = false;  // false: predicted only, the model has no weights here
};

// A side at a predicted cap; nothing when no chip and recipe reach it.
using Side = std::function<Result<std::optional<search::Candidate>>(double predicted_cap)>;
// Losses of a candidate on the selection text, one per product.
using Measure = std::function<Result<std::vector<MeasuredLoss>>(const search::Candidate&)>;

struct SettleStep {
  double predicted_cap = 0;
  double worst_ratio = 0;  // largest measured loss over the cap; above 1 is outside
  double objective = 0;
};

struct Settled {
  bool feasible = false;
  search::Candidate candidate;
  std::vector<MeasuredLoss> losses;  // per product, selection text
  double predicted_cap = 0;
  std::vector<SettleStep> steps;
};

struct SettleParams {
  int64_t confirmations = 3;     // measurements
  double initial_bias = 1.0;     // measured over predicted, from the validation recipes
  double tolerance_frac = 0.02;  // a measured loss within this of the cap ends the search
};

[[nodiscard]] Result<Settled> settle(const Side& side, const Measure& measure, double kl_cap,
                                     const SettleParams& params);

}  // namespace dovetail::study
