// One matrix unit from its whole set of native pairs: area of a lane, what a multiply-accumulate
// switches, scale units, and the clock that it reaches. Tier: analytical.
//
// What was measured, by which rules the rest goes and how far they are off: docs/units.md.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "chip/chip.h"
#include "silicon/constants.h"

namespace dovetail::silicon {

// Bits of an element as it is stored: "bf16" 16, "int9" 9.
[[nodiscard]] double element_bits(const std::string& element);

// What one lane of a unit takes at n7, from its whole set of pairs.
struct UnitArea {
  double lane_um2 = 0;  // logic, before sizing for the clock
  double register_bits = 0;
  double depth_cells = 0;    // longest path from the operand registers to the sum, not pipelined
  bool synthesized = false;  // this very set was synthesised; else by the rule
};

// Pairs that another pair of a shared unit holds (the same or a narrower weight, the same
// activation, no higher rate) cost nothing and are dropped first. A set that was synthesised is
// looked up; any other goes by the rule, from the lanes a_p that its pairs have alone, times their
// macs_per_cycle_rel:
//   separate  sum of a_p
//   shared    largest a_p + shared_frac * sum of the others (shared_bf16_frac if a pair has bf16)
//   composed  largest a_p * (1 + composed_overhead_frac * (number of pairs - 1))
//   shared, some pairs at half rate: half of the lanes have all pairs, half have those at full rate
// with the largest register_bits times rate and the deepest path times set_depth_rel. How far the
// rule is off: docs/units.md. Errors: kInvalidArgument naming a pair that was not synthesised.
[[nodiscard]] Result<UnitArea> unit_area(const Constants& constants, const chip::MatrixUnit& unit);

// Lane area that a multiply-accumulate of each pair of the unit switches (as lane_um2_of): its own,
// times what was measured inside this set. A set or a held pair that was not: its own and, a cycle,
// a fitted energy for every square micrometre (composed: flip-flop) that the lane has beyond the
// pair's own. Never below its own. bf16 x bf16 has its share of a conversion and an FP32 addition.
// Errors: kInvalidArgument naming a pair that was not synthesised.
[[nodiscard]] Result<std::vector<double>> switched_um2(const Constants& constants,
                                                       const chip::MatrixUnit& unit);

// Products that a dot unit sums in a cycle before the sum can leave as one FP32 value: those of a
// dot, at most the finest granule of the unit.
[[nodiscard]] double elements_per_sum(const chip::MatrixUnit& unit, const chip::NativePair& pair);

// Pairs of multiplications by scales that one dot unit needs a cycle, in scale units (may be a
// fraction: several dot units take turns when the granule is longer than the depth). Integers, fp4
// and fp8 against bf16 are scaled every dot, as their sums align anew; bf16 x bf16 has no scales.
[[nodiscard]] double granule_units_per_dot(const chip::MatrixUnit& unit);

// Conversions to FP32 with an addition that one dot unit needs a cycle: one a granule; pairs with
// bf16 align anew every cycle, so at least one.
[[nodiscard]] double conversions_per_dot(const chip::MatrixUnit& unit);
[[nodiscard]] bool has_aligned_pair(const chip::MatrixUnit& unit);  // one with bf16

// Sums of one output that the pair multiplies by scales, where the treatment has `granules` of them
// in k elements: one a granule, one a dot where a pair other than bf16 x bf16 has bf16.
[[nodiscard]] double scaled_sums(const chip::MatrixUnit& unit, const chip::NativePair& pair,
                                 double granules, double k);

// Elements of k a cycle of a treatment whose finest group has `group` elements (0: no groups). The
// unit's scale units take a granule of the pair in time; finer groups wait for them.
[[nodiscard]] double reduction_per_cycle(const chip::MatrixUnit& unit, const chip::NativePair& pair,
                                         int64_t group);

// A dot has at most four stages behind its operand registers: product, aligned term, sum,
// accumulation. The path is cut evenly, between cells; the accumulation is a loop and cannot be
// cut. FP32 additions are taken to alternate between outputs, so they may be pipelined.
inline constexpr double kMaxStages = 4;
struct UnitTiming {
  double reaches_ghz = 0;    // with all stages
  double stages = 0;         // that the clock needs, 1..kMaxStages
  double pipeline_bits = 0;  // flip-flops a lane of the stages beyond the first
};
[[nodiscard]] UnitTiming unit_timing(const Constants& constants, const NodeConstants& node,
                                     double clock_mhz, const UnitArea& area);
// The clock that all units of a chip reach. Errors: kInvalidArgument (unknown node or pair).
[[nodiscard]] Result<double> reaches_mhz(const Constants& constants, const chip::Chip& chip);

}  // namespace dovetail::silicon
