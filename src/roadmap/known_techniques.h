// Techniques that Dovetail knows and a study did not price, with the key that would price them; and
// those that are not built.
#pragma once

#include "base/config.h"
#include "recipe/site.h"

namespace dovetail::roadmap {

// Rows {technique, kind, status, how}; status: "not priced in this study", "no study prices it",
// "not built". `rotations`: those of the study.
[[nodiscard]] Json unpriced_techniques(const recipe::Menu& menu,
                                       const std::vector<recipe::Rotation>& rotations);

}  // namespace dovetail::roadmap
