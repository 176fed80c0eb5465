// The weight formats that studies may choose from: those that a loss profile prices.
//
// A format more costs every profile about half a second on a model of 135M parameters, so this is a
// choice of the formats that chips are asked for, not every one that the codec has.
#pragma once

#include <vector>

#include "formats/format.h"

namespace dovetail::recipe {

// bf16 first.
[[nodiscard]] const std::vector<formats::WeightFormat>& profiled_weight_formats();

}  // namespace dovetail::recipe
