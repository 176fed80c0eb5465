// Does the winner survive the ranges of the technology constants?
//
// Every constant goes to both ends of its stated range. Twice: first the best chips of the space
// (the contenders) are priced and allocated again, which shows how far each constant moves the
// answer; then, for the constants that move most or that let another chip win, the whole space is
// searched again. `searched` says which of the two a row rests on.
#pragma once

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "study/scenario.h"

namespace dovetail::study {

// Rows as docs/record.md says, largest swing first; constants that change nothing are left out.
// Empty for a frozen chip or without a feasible joint answer. The predicted cap stays where the
// joint answer settled. Tier: analytical.
[[nodiscard]] Result<Json> tornado_to_json(const StudyState& state, const ScenarioAnswer& answer,
                                           const ProgressSink& progress);

}  // namespace dovetail::study
