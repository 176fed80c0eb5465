// The report of a study as one self-contained HTML page, made from the record alone
// (docs/record.md). What stands on the page: docs/report.md.
#pragma once

#include <string>

#include "base/config.h"

namespace dovetail::report {

// The page, no external resource, light and dark, with the chart library inside.
// Errors: kInvalidArgument naming the key if the record is not one that this version writes.
[[nodiscard]] Result<std::string> render_html(const Json& record);

}  // namespace dovetail::report
