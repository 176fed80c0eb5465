// The hardware that a technique rests on in an answer.
#pragma once

#include <optional>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "roadmap/solve.h"

namespace dovetail::roadmap {

struct PairNeed {
  chip::NativePair pair = {};
  bool own = false;      // nothing else of the answer uses it
  bool decoded = false;  // packed codes reach it through the decoder
};

struct SiliconNeed {
  std::vector<PairNeed> pairs = {};  // that execute its sites, in the chip's order
  bool hadamard = false;             // the online Hadamard unit
  double resident_bytes = 0;         // of its sites, kept in shared SRAM
  std::optional<chip::Chip> chip_without =
      {};                   // without its own pairs; absent if none, or no pair is left
  double own_area_mm2 = 0;  // that those pairs take: the chip's area less that of chip_without
};

// Errors: those of the cost model's limits.
[[nodiscard]] Result<SiliconNeed> silicon_need(const Tables& tables, const Point& answer,
                                               const Technique& technique);

// The elements that a multiplier needs for the technique's treatments, for a chip that has none:
// "int4_g64 x int8", distinct.
[[nodiscard]] std::vector<std::string> wanted_pairs(const Tables& tables,
                                                    const Technique& technique);

[[nodiscard]] Json need_to_json(const SiliconNeed& need);

}  // namespace dovetail::roadmap
