// The record of a study that a verb was pointed at.
#pragma once

#include <string>

#include "base/config.h"

namespace dovetail::app {

// `study`: a study's folder, or a file that `dovetail optimize --json` wrote.
// Errors: kNotFound, kInvalidArgument (no JSON; no finished study), those of the database.
[[nodiscard]] Result<Json> load_study_record(const std::string& study);

}  // namespace dovetail::app
