// targets.json: what each team has to reach, with the tier, the band and the slack of every number.
#pragma once

#include "base/config.h"

namespace dovetail::report {

// Rows of {team, scenario, scenario_index, product, quantity, value, unit, tier, band_low,
// band_high, depends_on, limit, limit_from, slack_frac} from the recommendations of a record
// (docs/record.md). Teams: model, compiler, runtime, silicon.
//
// slack_frac: how far the value may move the wrong way, relative to itself, before it meets
// `limit`; limit_from says whose limit that is: the cap or the budget of the study, or the closest
// baseline (the joint answer then has lost its margin, all else equal). Absent where nothing limits
// it. Errors: kInvalidArgument naming the key if the record is not one that this version writes.
[[nodiscard]] Result<Json> make_targets(const Json& record);

}  // namespace dovetail::report
