// Whether products can be searched at all.
#pragma once

#include <vector>

#include "search/enumerate.h"

namespace dovetail::search {

// Errors: kInvalidArgument naming product and field (no cost model, a loss table that does not fit
// its model, a weight that is not positive).
[[nodiscard]] Status check_products(const std::vector<Product>& products);

}  // namespace dovetail::search
