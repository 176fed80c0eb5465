// The parts of a study's record (docs/record.md) that are plain copies of what the study holds.
#pragma once

#include "base/config.h"
#include "search/enumerate.h"
#include "silicon/technology.h"
#include "study/products.h"

namespace dovetail::study {

[[nodiscard]] Json product_to_json(const ProductState& product, int64_t off_grid_seed);
[[nodiscard]] Json menu_to_json(const recipe::Menu& menu);
// The loss table; what a frozen recipe forbids is null.
[[nodiscard]] Json losses_to_json(const ProductState& product);
[[nodiscard]] Json constants_to_json(const silicon::Technology& technology);
// {"search", "front", "seconds"} of one pass over the space; `bias` turns predicted caps back into
// the caps of the study.
[[nodiscard]] Result<Json> sweep_to_json(const StudyState& state,
                                         const search::EnumerateResult& result, double bias,
                                         double front_epsilon_frac);

}  // namespace dovetail::study
