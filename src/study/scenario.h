// One scenario of a study: the joint answer and every baseline, settled at measured loss, certified
// on the third text and compared.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "eval/kl.h"
#include "search/baselines.h"
#include "search/enumerate.h"
#include "study/compare.h"
#include "study/products.h"
#include "study/settle.h"

namespace dovetail::study {

// A settled side with its certificate.
struct SideAnswer {
  std::string name;         // "joint" or the baseline's
  std::string fixed_first;  // baselines: what the way of working fixed first
  std::string why_not;      // when not feasible
  Settled settled;
  std::vector<MeasuredLoss> certified;  // per product, third text; empty without weights
};

struct ScenarioAnswer {
  Json key;  // all that it depends on
  search::Objective objective;
  double kl_cap_nats = 0;
  SideAnswer joint;
  std::string joint_from;  // "joint", or the baseline that the joint answer took over
  std::vector<SideAnswer> baselines;
  std::vector<Ratio> ratios;  // by baseline; meaningless where a side is not feasible
  double elasticity = 0;      // -d log objective / d log loss at the joint answer
};

struct ScenarioQuestion {
  search::Objective objective;
  double kl_cap_nats = 0;
  double bias = 1;               // measured over predicted loss of whole recipes
  double bias_spread_ratio = 1;  // its geometric standard deviation, >= 1
  std::vector<chip::Chip> reference_chips;
  Json key;  // all that the answers of this scenario depend on
};

// What answer_scenario() remembers, as pieces that several workers can share: the settling of each
// side; then, when those are there, the measurements that certify them.
[[nodiscard]] Result<std::vector<Piece>> side_pieces(const StudyState& state,
                                                     const ScenarioQuestion& question,
                                                     const ProgressSink& progress);
[[nodiscard]] Result<std::vector<Piece>> certificate_pieces(const StudyState& state,
                                                            const ScenarioQuestion& question,
                                                            const ProgressSink& progress);

[[nodiscard]] Result<ScenarioAnswer> answer_scenario(const StudyState& state,
                                                     const ScenarioQuestion& question,
                                                     const ProgressSink& progress);

}  // namespace dovetail::study
