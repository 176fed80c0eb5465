// Does the winner survive the guesses? The search runs again with every constant that the area of
// shared units rests on at both ends of its stated range.
#pragma once

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "study/scenario.h"

namespace dovetail::study {

// Rows of {constant, low, high, winner_changes, objective_change_low_frac,
// objective_change_high_frac, chip_low, chip_high}; empty for a frozen chip or no feasible answer.
// The predicted cap stays where the joint answer settled.
[[nodiscard]] Result<Json> sensitivity_to_json(const StudyState& state,
                                               const ScenarioAnswer& answer,
                                               const ProgressSink& progress);

}  // namespace dovetail::study
