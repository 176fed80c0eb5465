// By how much the joint answer beats a baseline, with the band that measurement leaves.
#pragma once

#include <string>
#include <vector>

namespace dovetail::study {

// One side of a comparison, after settling.
struct SideMeasure {
  double objective = 0;  // cost at the selection text's cap
  double kl_nats = 0;    // selection text
  // Its sequences: the same ones in the same order on both sides; empty where not measured.
  std::vector<double> window_kl_nats = {};
  double certified_kl_nats = 0;  // third text, 0 if the model has no weights here
};

struct Ratio {
  double value = 1;  // baseline objective / joint objective, at measured loss
  double low = 1;
  double high = 1;
  std::string verdict;  // "established", "not established", "same point"
};

// Losses are means over a few sequences and differ between texts, so each side's cost is known only
// up to (relative loss error) * elasticity, with elasticity = -d log cost / d log loss. What both
// sides share cancels: the band covers two standard errors of the pairwise difference of relative
// losses over sequences, and the ratio at equal certified loss.
// `elasticity` is 0..2; `extra_frac` (>= 0) widens both ends (allocation gaps, borrowed profiles).
[[nodiscard]] Ratio compare(const SideMeasure& joint, const SideMeasure& baseline,
                            double elasticity, double extra_frac);

}  // namespace dovetail::study
