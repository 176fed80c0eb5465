// The parts of a study's record (docs/record.md) that are plain copies of what the study holds.
#pragma once

#include "base/config.h"
#include "search/enumerate.h"
#include "silicon/technology.h"
#include "study/products.h"

namespace dovetail::study {

[[nodiscard]] Json product_to_json(const ProductState& product, int64_t off_grid_seed);
[[nodiscard]] Json menu_to_json(const StudyStates& states);
// The loss table under the product's rotation; what is forbidden is null.
[[nodiscard]] Json losses_to_json(const ProductState& product);
[[nodiscard]] Json constants_to_json(const silicon::Technology& technology);
// {"search", "front", "seconds"} of one pass over the space; `bias` turns predicted caps back into
// the caps of the study.
[[nodiscard]] Result<Json> sweep_to_json(const StudyState& state,
                                         const search::EnumerateResult& result, double bias,
                                         double front_epsilon_frac);

// Sweeps under several global choices as one: the numbers of `search` are those of the first, all
// of them stand under "by_global_choice" if there are several; exact if all are, bound_gap_frac the
// largest. Needs a sweep.
[[nodiscard]] Json joined_search(const StudyStates& states, const std::vector<Json>& sweeps);
// Of the front entries of all sweeps those that no other beats at the same cap and metric.
[[nodiscard]] Json joined_front(const StudyStates& states, const std::vector<Json>& sweeps);

}  // namespace dovetail::study
