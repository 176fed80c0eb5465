// What a chip can do per nanosecond and what that costs: rates, energies and power, derived from
// its description and the constants. Tier: analytical.
#pragma once

#include "base/result.h"
#include "silicon/area.h"
#include "silicon/constants.h"
#include "silicon/dram.h"

namespace dovetail::silicon {

// Times in ns, energies in pJ at the chip's node and clock. Decoder and buffers are of one core,
// the rest is of one whole chip.
struct ChipRates {
  double cycle_ns = 0;
  DramAccess dram;
  double dram_stream_ns_per_byte = 0;  // one long stream, efficiency included
  double dram_copy_ns_per_byte = 0;    // one stream read, one written
  double dram_spill_ns_per_byte = 0;   // weights and inputs read, outputs written
  double dram_turn_ns_per_byte = 0;    // a written byte's share of turning the bus, in addition
  double dram_pj_per_byte = 0;
  double sram_ns_per_byte = 0;  // 0 without a shared SRAM
  double sram_pj_per_byte = 0;
  double noc_pj_per_byte = 0;
  double link_ns_per_byte = 0;  // sent over all links of a chip; 0 without links
  double link_pj_per_byte = 0;  // beyond what idle links burn
  double link_hop_ns = 0;
  double vector_ns_per_cycle = 0;  // one element-cycle spread over all lanes
  double vector_pj_per_cycle = 0;
  double hadamard_ns_per_element = 0;  // over all lanes; 0 without a unit
  double hadamard_pj_per_add = 0;      // per element and stage: log2(block) stages
  double decode_ns_per_value = 0;
  double decode_pj_per_value = 0;
  double weight_buffer_pj_per_byte = 0;
  double activation_buffer_pj_per_byte = 0;
  double mac_pj_per_um2 = 0;  // of lane area
  double granule_pj = 0;
  double leakage_mw = 0;       // logic, memories, DRAM standby and idle links; mW = pJ/ns
  double sram_leakage_mw = 0;  // shared SRAM, DRAM standby and idle links alone
};

// Dynamic energy at this node and clock relative to n7 at its nominal clock.
[[nodiscard]] double energy_scale(const Constants& constants, const NodeConstants& node,
                                  double clock_mhz);

// Errors: kInvalidArgument (unknown node, DRAM kind or pair).
[[nodiscard]] Result<ChipRates> chip_rates(const Constants& constants, const chip::Chip& chip,
                                           const ChipArea& area);

// Everything of one chip at once, mW: the pair that burns most on all lanes, vector lanes,
// decoders, buffers and shared SRAM ports busy every cycle, DRAM at its peak rate, and links at
// theirs, leakage.
struct PeakPower {
  double multipliers_mw = 0;
  double scale_units_mw = 0;
  double decoder_mw = 0;
  double vector_mw = 0;
  double buffers_mw = 0;
  double sram_mw = 0;
  double dram_mw = 0;         // device and PHY, at peak bandwidth
  double link_mw = 0;         // beyond idle
  double leakage_mw = 0;      // DRAM standby and idle links included
  double dram_device_mw = 0;  // share of the two lines above that the DRAM devices burn

  [[nodiscard]] double total_mw() const;
  [[nodiscard]] double die_mw() const { return total_mw() - dram_device_mw; }  // heats the die
};
[[nodiscard]] Result<PeakPower> estimate_peak_power(const Constants& constants,
                                                    const chip::Chip& chip, const ChipRates& rates);

}  // namespace dovetail::silicon
