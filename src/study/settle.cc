#include "study/settle.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dovetail::study {
namespace {

// The largest predicted cap known to be within, the smallest known to be outside.
struct Bracket {
  double inside = 0;
  double outside = std::numeric_limits<double>::infinity();
};

// Aims a little inside the cap: a point just outside is worth nothing.
double next_cap(double cap, double worst_ratio, const Bracket& bracket, double tolerance_frac) {
  const double aimed = cap * (1.0 - 0.5 * tolerance_frac) / std::max(worst_ratio, 1e-3);
  const bool beyond = aimed >= bracket.outside || aimed <= bracket.inside;
  if (!beyond) return aimed;
  if (bracket.inside > 0 && std::isfinite(bracket.outside)) {
    return std::sqrt(bracket.inside * bracket.outside);
  }
  constexpr double kStepBack = 0.8;
  return bracket.inside > 0 ? bracket.inside / kStepBack : bracket.outside * kStepBack;
}

double worst_ratio(const std::vector<MeasuredLoss>& losses, double kl_cap) {
  double worst = 0;
  for (const MeasuredLoss& loss : losses) worst = std::max(worst, loss.kl_nats / kl_cap);
  return worst;
}

}  // namespace

Result<Settled> settle(const Side& side, const Measure& measure, double kl_cap,
                       const SettleParams& params) {
  Settled settled;
  Bracket bracket;
  double cap = kl_cap / params.initial_bias;
  for (int64_t i = 0; i < params.confirmations; ++i) {
    DOVETAIL_TRY(const std::optional<search::Candidate> candidate, side(cap));
    if (!candidate.has_value()) {
      // Nothing reaches this predicted cap; a larger one may still measure within the cap.
      bracket.inside = cap;
      cap = next_cap(cap, 0.5, bracket, params.tolerance_frac);
      continue;
    }
    DOVETAIL_TRY(const std::vector<MeasuredLoss> losses, measure(*candidate));
    const double ratio = worst_ratio(losses, kl_cap);
    settled.steps.push_back({cap, ratio, candidate->objective});
    const bool within = ratio <= 1.0;
    if (within && (!settled.feasible || candidate->objective < settled.candidate.objective)) {
      settled.feasible = true;
      settled.candidate = *candidate;
      settled.losses = losses;
      settled.predicted_cap = cap;
    }
    if (within && ratio >= 1.0 - params.tolerance_frac) break;
    (within ? bracket.inside : bracket.outside) = cap;
    cap = next_cap(cap, ratio, bracket, params.tolerance_frac);
  }
  return settled;
}

}  // namespace dovetail::study
