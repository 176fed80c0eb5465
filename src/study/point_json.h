// A settled side as the record's `point` (docs/record.md).
#pragma once

#include "base/config.h"
#include "base/result.h"
#include "study/scenario.h"

namespace dovetail::study {

// Errors: kInvalidArgument from the cost estimate (a chip that the technology does not know).
[[nodiscard]] Result<Json> point_to_json(const StudyState& state, const SideAnswer& side);

// A point of the front, short: chip, recipe as menu indices, costs by group of ops.
[[nodiscard]] Result<Json> short_point_to_json(const StudyState& state,
                                               const search::Candidate& candidate);

// One scenario with its baselines, ratios and settle steps.
[[nodiscard]] Result<Json> scenario_to_json(const StudyStates& states,
                                            const ScenarioAnswer& answer);

}  // namespace dovetail::study
