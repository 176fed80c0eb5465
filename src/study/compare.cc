#include "study/compare.h"

#include <algorithm>
#include <cmath>

namespace dovetail::study {
namespace {

double relative_error(const SideMeasure& side) {
  return side.kl_nats > 0 ? side.kl_stderr_nats / side.kl_nats : 0.0;
}

}  // namespace

Ratio compare(const SideMeasure& joint, const SideMeasure& baseline, double elasticity,
              double extra_frac) {
  Ratio ratio;
  ratio.value = baseline.objective / joint.objective;
  const double spread =
      2.0 * elasticity * std::hypot(relative_error(joint), relative_error(baseline));
  double log_low = std::log(ratio.value) - spread;
  double log_high = std::log(ratio.value) + spread;
  if (joint.certified_kl_nats > 0 && baseline.certified_kl_nats > 0) {
    // A side that came out with more loss on the third text would have to spend more to match.
    const double shift = elasticity * (std::log(baseline.certified_kl_nats / baseline.kl_nats) -
                                       std::log(joint.certified_kl_nats / joint.kl_nats));
    log_low = std::min(log_low, std::log(ratio.value) + shift);
    log_high = std::max(log_high, std::log(ratio.value) + shift);
  }
  ratio.low = std::exp(log_low) * (1.0 - extra_frac);
  ratio.high = std::exp(log_high) * (1.0 + extra_frac);
  ratio.verdict = ratio.low > 1.0 ? "established" : "not established";
  return ratio;
}

}  // namespace dovetail::study
