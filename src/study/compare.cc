#include "study/compare.h"

#include <algorithm>
#include <cmath>

namespace dovetail::study {
namespace {

// Standard error of mean(b)/b - mean(a)/a over paired sequences; 0 without two of them.
double paired_error(const SideMeasure& a, const SideMeasure& b) {
  const size_t count = a.window_kl_nats.size();
  if (count < 2 || b.window_kl_nats.size() != count) return 0.0;
  double squares = 0;
  for (size_t i = 0; i < count; ++i) {
    const double difference = b.window_kl_nats[i] / b.kl_nats - a.window_kl_nats[i] / a.kl_nats;
    squares += difference * difference;  // its mean is 0 by construction
  }
  return std::sqrt(squares / static_cast<double>(count - 1) / static_cast<double>(count));
}

}  // namespace

Ratio compare(const SideMeasure& joint, const SideMeasure& baseline, double elasticity,
              double extra_frac) {
  Ratio ratio;
  ratio.value = baseline.objective / joint.objective;
  const double spread = 2.0 * elasticity * paired_error(joint, baseline);
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
