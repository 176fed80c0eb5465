// Costs of accepted chips and workloads: any that the readers let through must give finite numbers.
#pragma once

#include "chip/chip.h"
#include "model/model.h"
#include "recipe/workload.h"

namespace dovetail::fuzz {

// With two uniform recipes, which the chip may not be able to execute: then the error says so.
void require_finite_costs(const chip::Chip& chip, const model::ModelShape& shape,
                          const recipe::Workload& workload);

// What the other two of the three are while one is fuzzed.
[[nodiscard]] const chip::Chip& reference_chip();
[[nodiscard]] model::ModelShape large_shape();

}  // namespace dovetail::fuzz
