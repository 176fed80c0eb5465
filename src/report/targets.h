// targets.json: what each team has to reach, with the tier and the band of every number.
#pragma once

#include "base/config.h"

namespace dovetail::report {

// Rows of {team, scenario, quantity, value, unit, tier, band_low, band_high, depends_on} from the
// recommendations of a record (docs/record.md). Teams: model, compiler, runtime, silicon.
// Errors: kInvalidArgument naming the key if the record is not one that this version writes.
[[nodiscard]] Result<Json> make_targets(const Json& record);

}  // namespace dovetail::report
