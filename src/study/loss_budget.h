// Backward from accuracy to loss: the largest KL at which an accuracy target of a finished study
// still holds, and what every site may spend of it.
#pragma once

#include <optional>
#include <string>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::study {

struct LossBudgetParams {
  std::string benchmark = {};              // only these targets; "": all
  std::optional<double> margin_frac = {};  // instead of the target's own, (0, 1)
  double confidence_frac = 0.95;           // one-sided, (0.5, 1)
};

// One entry a target of the record (docs/record.md, "accuracy"): benchmark, product, margin_frac
// (of a floor: what the released model scores above it), confidence_frac, and
//   proven_kl_nats   the largest certified KL of an answer that passed this target; null if none
//   mapped_kl_nats   the largest KL whose lower band meets the margin (eval/accuracy_map.h); null
//   if
//                    nothing was measured or no KL near the points breaks it
//   kl_nats          the budget: mapped, else proven; null if neither
//   sites[]          site, share_frac, budget_nats: the budget in the shares of the answer whose
//                    predicted loss is nearest to it, loss being taken as additive over sites
//   why_not          where there is no budget
// Errors: kInvalidArgument (a record without accuracy, no such benchmark, parameters).
[[nodiscard]] Result<Json> loss_budgets(const Json& record, const LossBudgetParams& params);

}  // namespace dovetail::study
