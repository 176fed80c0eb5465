// The technology constants by name, resolved once: what the formulas of this folder read.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "recipe/lower.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

// Relative to n7 at its nominal clock.
struct NodeConstants {
  double logic_area_rel = 0;
  double energy_rel = 0;
  double sram_um2_per_bit = 0;
  double logic_leakage_w_per_mm2 = 0;
  double sram_leakage_mw_per_mib = 0;
  double wafer_price_usd = 0;
  double defects_per_cm2 = 0;
  double nominal_clock_mhz = 0;
  double mask_set_usd = 0;
  double delay_rel = 0;  // of a gate
};

// Per channel (LPDDR x16, GDDR6 device, HBM stack).
struct DramConstants {
  double channel_gb_per_s = 0;  // 1e9 B/s, so also B/ns
  double energy_pj_per_bit = 0;
  double phy_energy_frac = 0;  // of energy_pj_per_bit: burnt on the die, not in the devices
  double phy_mm2 = 0;
  double controller_mm2 = 0;  // at n7
  double price_usd_per_gib = 0;
  double burst_bytes = 0;
  double banked_channels = 0;  // parts of it that have banks of their own
  double row_bytes = 0;        // of one of them, as the rest: silicon/dram.h
  double banks = 0;
  double row_cycle_ns = 0;           // tRC
  double row_open_ns = 0;            // tRTP + tRP + tRCD
  double activate_ns = 0;            // max(tRRD, tFAW / 4)
  double row_open_exposed_frac = 0;  // of row_open_ns, per row that a long stream opens
  double turnaround_ns = 0;          // read to write and back, beyond the transfers
  double refresh_frac = 0;           // tRFC / tREFI
  double integration_usd_per_channel = 0;
  double background_mw_per_channel = 0;
};

// A synthesised set of pairs on one unit, without timing constraint: docs/units.md.
struct SynthesizedSet {
  double lane_um2 = 0;       // per lane: multiplier, alignment, exact sum, granule accumulator
  double register_bits = 0;  // flip-flops per lane: operands, granule accumulator
  double depth_cells = 0;    // longest path from the operand registers to the sum
};

// Per link between chips. Taken as constant over nodes.
struct LinkConstants {
  double gb_per_s = 0;           // one direction, 1e9 B/s
  double efficiency_frac = 0;    // of it that payload reaches
  double energy_pj_per_bit = 0;  // both ends, at the full rate
  double idle_energy_frac = 0;   // of the power at the full rate: burnt whatever is sent
  double phy_mm2 = 0;            // with its controller
  double hop_ns = 0;             // from one chip's memory to its neighbour's, one step of a ring
};

// Areas and energies at n7.
struct Constants {
  std::map<std::string, NodeConstants> nodes;
  std::map<std::string, DramConstants> dram;
  std::map<std::string, LinkConstants> links;
  std::map<std::string, SynthesizedSet> sets;  // by "int5_int8+bf16_bf16@half", pairs in order
  std::map<std::string, double> lane_um2;      // by "int4_int8": what switches, see lane_um2_of
  // By set, then by pair: energy in the set over that on a unit of its own.
  std::map<std::string, std::map<std::string, double>> shared_energy_rel;
  // Lane area that a pair switches a cycle for what its unit's lane has beyond its own.
  double shared_energy_um2_per_um2 = 0;
  double separate_energy_um2_per_um2 = 0;
  double composed_energy_um2_per_bit = 0;
  double conversion_um2 = 0;  // the same for an aligned sum to FP32 with its addition

  double mac_energy_pj_per_um2 = 0;
  double mac_timing_area_rel = 0;   // of synthesised logic, sized for the clock
  double cell_delay_ps = 0;         // of a cell on the longest path
  double register_overhead_ps = 0;  // clock to output, setup, skew
  double accumulate_cells = 0;      // of the integer accumulation, which is a loop
  double stage_register_frac = 0;   // of register_bits: flip-flops of a further stage
  double set_depth_rel = 0;         // deepest path of a set over that of its pairs alone
  double register_um2_per_bit = 0;
  double convert_exact_um2 = 0;    // an exact sum to FP32
  double convert_aligned_um2 = 0;  // the same where a pair has bf16: any exponent, wider sums
  double scale_multiply_um2 = 0;   // one FP32 multiplier
  double scale_add_um2 = 0;        // one FP32 adder
  double scale_register_bits = 0;  // of the multipliers: scales, results of the two steps
  double granule_energy_pj = 0;
  double placement_utilization_frac = 0;
  double shared_frac = 0;
  double shared_bf16_frac = 0;
  double composed_overhead_frac = 0;
  double decoder_value_um2 = 0;
  double decoder_value_energy_pj = 0;
  double vector_lane_um2 = 0;
  double vector_cycle_energy_pj = 0;
  double hadamard_lane_um2 = 0;       // seven stages of adders: blocks of up to 128
  double hadamard_add_energy_pj = 0;  // per element and stage
  std::array<double, recipe::kNumVectorKinds>
      vector_cycles{};  // by VectorKind, per element and lane
  double quantize_cycles = 0;
  double convert_cycles = 0;

  double sram_area_overhead_rel = 0;
  double sram_bytes_per_cycle_per_mib = 0;
  double sram_energy_pj_per_byte_at_1mib = 0;
  double sram_energy_exponent = 0;
  double sram_macro_periphery_um2 = 0;
  double sram_port_bytes = 0;
  double buffer_area_overhead_rel = 0;
  double dram_window_ns = 0;
  double dram_interleave_bytes = 0;
  double dram_block_bytes = 0;  // that a DMA queue moves before another has its turn
  double noc_energy_pj_per_byte_mm = 0;
  double noc_area_mm2_per_core = 0;

  double op_overhead_ns = 0;
  double vector_op_overhead_ns = 0;
  double fill_cycles = 0;
  double clock_energy_exponent = 0;
  double clock_floor_frac = 0;
  double core_control_mm2 = 0;
  double fixed_mm2 = 0;
  double other_frac = 0;
  double working_sram_max_frac = 0;
  double wafer_diameter_mm = 0;
  double cluster_alpha = 0;
  double package_usd = 0;
  double package_usd_per_mm2 = 0;
};

// Errors: kNotFound naming a missing key, kInvalidArgument for a value that no formula can take
// (not positive, a fraction above 1).
[[nodiscard]] Result<Constants> resolve_constants(const Technology& technology);

// "int4_int8": the name of a pair in data/technology/units.toml.
[[nodiscard]] std::string pair_key(const chip::NativePair& pair);
// False for the key of a synthesised set with a pair that is none of these, or of its energies: it
// moves nothing of a chip that has no other pairs.
[[nodiscard]] bool concerns_pairs(const std::string& key,
                                  const std::vector<chip::NativePair>& pairs);

// Errors: kInvalidArgument naming the chip's key, its value and the entries that exist.
[[nodiscard]] Result<const NodeConstants*> node_of(const Constants& constants,
                                                   const chip::Chip& chip);
[[nodiscard]] Result<const DramConstants*> dram_of(const Constants& constants,
                                                   const chip::Chip& chip);
[[nodiscard]] Result<const LinkConstants*> link_of(const Constants& constants,
                                                   const chip::Chip& chip);
// Lane area that a multiply-accumulate of the pair switches on a unit of its own: the energy
// measured in synthesis, relative to int8 x int8, times the lane of int8 x int8. Energy is
// proportional to it; area is not. Inside a unit of several pairs: matrix_unit.h.
[[nodiscard]] Result<double> lane_um2_of(const Constants& constants, const chip::NativePair& pair);

}  // namespace dovetail::silicon
