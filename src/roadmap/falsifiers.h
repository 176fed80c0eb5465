// What would show a row to be wrong: one measurement each, with the threshold that the row's own
// numbers give.
#pragma once

#include <string>
#include <vector>

#include "roadmap/asker.h"
#include "roadmap/roadmap.h"

namespace dovetail::roadmap {

// Loss of the recommended recipe, its cost, area of the technique's own pairs.
[[nodiscard]] Result<std::vector<std::string>> falsifiers_of_used(const Asker& asker,
                                                                  const Row& row);

// Loss of a recipe that uses the technique everywhere.
[[nodiscard]] std::vector<std::string> falsifiers_of_unused(const Asker& asker, const Row& row,
                                                            const Entry& entry);

}  // namespace dovetail::roadmap
