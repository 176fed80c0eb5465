// Whether a chip file fits the technology: entries that exist, a clock that its units reach.
#pragma once

#include <string>

#include "base/result.h"
#include "chip/chip.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

// A node, a DRAM kind, a link kind or a pair of a chip file that the technology does not know; a
// clock that a unit cannot reach with every constant of its timing at its best end.
// Errors: kInvalidArgument naming `file`, the chip's key, its value, the entries that exist and the
// nearest.
[[nodiscard]] Status check_known(const chip::Chip& chip, const Technology& technology,
                                 const std::string& file);

}  // namespace dovetail::silicon
