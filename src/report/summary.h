// The answer of a study in at most 25 lines of text.
#pragma once

#include <string>

#include "base/config.h"

namespace dovetail::report {

// Errors: kInvalidArgument if the record is not one that this version writes.
[[nodiscard]] Result<std::string> summarize(const Json& record);

}  // namespace dovetail::report
