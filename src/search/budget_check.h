// Does one design point stay inside the limits of the silicon? For chips that no sweep visits:
// chips from a file, and chips that a shadow price has changed.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "search/enumerate.h"

namespace dovetail::search {

// The first limit that the candidate breaks, as in EnumerateStats::rejected, or "" if none.
// `candidate` has its limits and recipes (as solve_on_chip returns it).
[[nodiscard]] Result<std::string> broken_limit(const std::vector<Product>& products,
                                               const Candidate& candidate, const Budget& budget);

}  // namespace dovetail::search
