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
  size_t state = 0;         // the global choice, index into the study's states
  Settled settled;
  std::vector<MeasuredLoss> certified;  // per product, third text; empty without weights
  // The joint side of a study with numerics = "chip": per product what LossLab::measure_chip_sums
  // gives, null without weights or without a bf16 pair on the chip.
  std::vector<LossLab::ChipSums> chip_sums;
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

// Measured over predicted loss of whole recipes.
struct LossBias {
  double ratio = 1;         // geometric mean
  double spread_ratio = 1;  // geometric standard deviation, >= 1
};

struct ScenarioQuestion {
  search::Objective objective;
  double kl_cap_nats = 0;
  std::vector<LossBias> bias;  // of every state
  std::vector<chip::Chip> reference_chips;
  Json key;  // all that the answers of this scenario depend on
};

// Every side is settled under each global choice, at the measured loss of each; of a side's answers
// the cheapest stands, the joint one's as the baselines'.
//
// What answer_scenario() remembers, as pieces that several workers can share: the settling of each
// side; then, when those are there, the measurements that certify them.
[[nodiscard]] Result<std::vector<Piece>> side_pieces(const StudyStates& states,
                                                     const ScenarioQuestion& question,
                                                     const ProgressSink& progress);
[[nodiscard]] Result<std::vector<Piece>> certificate_pieces(const StudyStates& states,
                                                            const ScenarioQuestion& question,
                                                            const ProgressSink& progress);

[[nodiscard]] Result<ScenarioAnswer> answer_scenario(const StudyStates& states,
                                                     const ScenarioQuestion& question,
                                                     const ProgressSink& progress);

}  // namespace dovetail::study
