// The report page's own files (src/report/page) and the chart library, embedded at build time by
// cmake/report_page.cmake.
#pragma once

#include <string_view>

namespace dovetail::report {

extern const std::string_view kPageShell;        // page.html
extern const std::string_view kComparisonShell;  // comparison.html
extern const std::string_view kRoadmapShell;     // roadmap.html
extern const std::string_view kPageStyle;        // page.css
extern const std::string_view kPageScript;       // the scripts, in their order
extern const std::string_view kChartLibrary;     // D3, minified
extern const std::string_view kChartLicence;     // its licence, plain text

}  // namespace dovetail::report
