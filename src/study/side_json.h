// A settled side as a row of the study's database, so that sides can be settled by several workers.
#pragma once

#include <optional>

#include "base/config.h"
#include "base/result.h"
#include "study/scenario.h"

namespace dovetail::study {

// Without the certificate, and of the candidate what the study reads: not limits and allocations.
[[nodiscard]] Json side_to_json(const SideAnswer& side);

// `chip_of` gives the chip of an index in the space, or the frozen chip for -1.
// Errors: kInvalidArgument (a row that this program did not write).
[[nodiscard]] Result<SideAnswer> side_from_json(
    const Json& json, const std::function<chip::Chip(int64_t index)>& chip_of);

}  // namespace dovetail::study
