// How far an answer moves inside the ranges of the technology constants.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "chip/chip.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

// What chips in question are made of.
struct ConstantScope {
  std::vector<std::string> nodes, dram_kinds, link_kinds;
  std::vector<chip::NativePair> pairs;
};
// False for the key of a constant of another node, DRAM kind, link or pair: it moves nothing there.
[[nodiscard]] bool concerns(const std::string& key, const ConstantScope& scope);

struct Band {
  double value = 0;
  double low = 0;  // low <= value <= high
  double high = 0;
  // The constants that move it most, largest first: share of the summed squares.
  struct Cause {
    std::string constant;
    double share_frac = 0;
  };
  std::vector<Cause> causes;
};

// Answers of a model, always as many and in the same order.
using BandedAnswers = std::function<Result<std::vector<double>>(const Technology&)>;

// Moves one constant at a time to either end of its range; deviations to one side add as the root
// of the sum of squares, so the constants count as independent. Constants of other nodes,
// DRAM kinds and pairs than the chip's are left alone. What a constant makes impossible (infinite)
// is left out. Errors: those of `answers` at the given constants.
[[nodiscard]] Result<std::vector<Band>> bands(const Technology& technology, const chip::Chip& chip,
                                              const BandedAnswers& answers);

}  // namespace dovetail::silicon
