// The roadmap of a study (docs/roadmap.md) for the terminal and as a page.
#pragma once

#include <string>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::report {

// `roadmap`: as `dovetail roadmap --json` prints it. Errors: kInvalidArgument (another version, a
// value that is not of its kind).
[[nodiscard]] Result<std::string> roadmap_text(const Json& roadmap);
[[nodiscard]] Result<std::string> roadmap_html(const Json& roadmap);

}  // namespace dovetail::report
