// A cost report as JSON, for commands and records: numbers with units in their keys, parts beside
// totals, the tier of each group.
#pragma once

#include "base/config.h"
#include "silicon/estimate.h"

namespace dovetail::silicon {

[[nodiscard]] Json area_to_json(const ChipArea& area);     // parts in mm2, total_mm2
[[nodiscard]] Json power_to_json(const PeakPower& power);  // parts in mW, total_mw
[[nodiscard]] Json price_to_json(const ChipPrice& price);  // parts in USD, total_usd
[[nodiscard]] Json roofs_to_json(const Roofs& roofs);
// Totals, energy parts, busy times of prefill and decode by op name (summed over layers), bytes;
// `tiers` says which keys are bounds and which are analytical.
[[nodiscard]] Json cost_to_json(const CostReport& report);

}  // namespace dovetail::silicon
