// What changed between two studies and why, in words, on a page and as JSON.
#pragma once

#include <string>

#include "report/comparison.h"

namespace dovetail::report {

// What the answer did: "the answer changed in 2 of 6 scenarios: ...".
[[nodiscard]] std::string effect_words(const Comparison& comparison);
// Why, as far as two records can tell: the only cause, several at once, or none that they hold.
[[nodiscard]] std::string cause_words(const Comparison& comparison);

[[nodiscard]] std::string comparison_text(const Comparison& comparison);
[[nodiscard]] Result<std::string> comparison_html(const Comparison& comparison);
[[nodiscard]] Json to_json(const Comparison& comparison);

}  // namespace dovetail::report
