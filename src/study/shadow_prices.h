// What one more unit of a resource is worth at the recommended point, by solving again.
//
// A limit of the budget moves and the whole space is searched again: one unit, and a tenth of the
// limit, because a space of lists answers in steps. Things that belong to the chip (SRAM, DRAM
// bandwidth, a native pair) move on the best chip itself and its recipe is solved again.
#pragma once

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "study/resolve.h"
#include "study/scenario.h"

namespace dovetail::study {

// Rows as docs/record.md says; empty without a feasible joint answer. With a frozen chip the rows
// of the budget are left out. The predicted cap stays where the joint answer settled. Tier:
// analytical, as the costs that it compares.
[[nodiscard]] Result<Json> shadow_prices_to_json(const StudyState& state,
                                                 const ScenarioAnswer& answer,
                                                 const ProgressSink& progress);

}  // namespace dovetail::study
