#include "silicon/power.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "silicon/matrix_unit.h"

namespace dovetail::silicon {

double energy_scale(const Constants& c, const NodeConstants& node, double clock_mhz) {
  const double relative = std::max(clock_mhz / node.nominal_clock_mhz, c.clock_floor_frac);
  return node.energy_rel * std::pow(relative, c.clock_energy_exponent);
}

Result<ChipRates> chip_rates(const Constants& c, const chip::Chip& chip, const ChipArea& area) {
  DOVETAIL_TRY(const NodeConstants* node, node_of(c, chip));
  DOVETAIL_TRY(const DramConstants* dram, dram_of(c, chip));
  DOVETAIL_TRY(const LinkConstants* link, link_of(c, chip));
  const double scale = energy_scale(c, *node, chip.clock_mhz);
  const double lanes = static_cast<double>(chip.vector_lanes) * static_cast<double>(chip.cores);
  const auto memory_pj = [&](double mib) {
    return scale * c.sram_energy_pj_per_byte_at_1mib * std::pow(mib, c.sram_energy_exponent);
  };
  ChipRates rates;
  rates.cycle_ns = 1000 / chip.clock_mhz;
  rates.dram = dram_access(c, *dram, chip.dram.channels);
  const auto taking_turns = [&](double streams) {
    return ns_per_byte(rates.dram, {.streams = streams, .turn_bytes = c.dram_block_bytes});
  };
  rates.dram_stream_ns_per_byte = taking_turns(1);
  rates.dram_copy_ns_per_byte = taking_turns(2);
  rates.dram_spill_ns_per_byte = taking_turns(3);
  rates.dram_turn_ns_per_byte = turnaround_ns_per_byte(rates.dram);
  rates.dram_pj_per_byte = 8 * dram->energy_pj_per_bit;
  if (chip.sram_mib > 0) {
    // Whatever comes from DRAM crosses the shared SRAM, so it is never narrower.
    rates.sram_ns_per_byte =
        std::min(rates.cycle_ns / (chip.sram_mib * c.sram_bytes_per_cycle_per_mib),
                 best_ns_per_byte(rates.dram));
    rates.sram_pj_per_byte = memory_pj(chip.sram_mib);
  }
  // Half the edge of the die between the shared SRAM and a core.
  rates.noc_pj_per_byte = scale * c.noc_energy_pj_per_byte_mm * 0.5 * std::sqrt(area.total_mm2());
  const double link_gb_per_s = link->gb_per_s * static_cast<double>(chip.scale_up.links);
  const double link_pj_per_byte = 8 * link->energy_pj_per_bit;
  if (chip.scale_up.links > 0) {
    rates.link_ns_per_byte = 1 / (link_gb_per_s * link->efficiency_frac);
    rates.link_pj_per_byte = link_pj_per_byte * (1 - link->idle_energy_frac);
    rates.link_hop_ns = link->hop_ns;
  }
  rates.vector_ns_per_cycle = rates.cycle_ns / lanes;
  rates.vector_pj_per_cycle = scale * c.vector_cycle_energy_pj;
  if (chip.hadamard_lanes > 0) {
    rates.hadamard_ns_per_element =
        rates.cycle_ns / static_cast<double>(chip.hadamard_lanes * chip.cores);
  }
  rates.hadamard_pj_per_add = scale * c.hadamard_add_energy_pj;
  rates.decode_ns_per_value = rates.cycle_ns / static_cast<double>(chip.decoder_values_per_cycle);
  rates.decode_pj_per_value = scale * c.decoder_value_energy_pj;
  rates.weight_buffer_pj_per_byte = memory_pj(static_cast<double>(chip.weight_buffer_kib) / 1024);
  rates.activation_buffer_pj_per_byte =
      memory_pj(static_cast<double>(chip.activation_buffer_kib) / 1024);
  rates.mac_pj_per_um2 = scale * c.mac_energy_pj_per_um2;
  rates.granule_pj = scale * c.granule_energy_pj;
  const double buffers_mib =
      static_cast<double>(chip.cores * static_cast<int64_t>(chip.units.size())) *
      static_cast<double>(chip.weight_buffer_kib + chip.activation_buffer_kib +
                          chip.accumulator_kib) /
      1024;
  rates.sram_leakage_mw =
      node->sram_leakage_mw_per_mib * chip.sram_mib +
      dram->background_mw_per_channel * static_cast<double>(chip.dram.channels) +
      link_gb_per_s * link_pj_per_byte * link->idle_energy_frac;
  rates.leakage_mw = rates.sram_leakage_mw + node->sram_leakage_mw_per_mib * buffers_mib +
                     1000 * node->logic_leakage_w_per_mm2 * area.logic_mm2();
  return rates;
}

double PeakPower::total_mw() const {
  return multipliers_mw + scale_units_mw + decoder_mw + vector_mw + buffers_mw + sram_mw + dram_mw +
         link_mw + leakage_mw;
}

Result<PeakPower> estimate_peak_power(const Constants& c, const chip::Chip& chip,
                                      const ChipRates& rates) {
  DOVETAIL_TRY(const DramConstants* dram, dram_of(c, chip));
  const auto cores = static_cast<double>(chip.cores);
  const double core_cycles_per_ns = cores / rates.cycle_ns;
  PeakPower power;
  for (const chip::MatrixUnit& unit : chip.units) {
    double worst_pj = 0;  // one lane, one cycle
    double throughput = 0;
    DOVETAIL_TRY(const std::vector<double> switched, switched_um2(c, unit));
    for (size_t i = 0; i < unit.pairs.size(); ++i) {
      const double rate = unit.pairs[i].macs_per_cycle_rel;
      worst_pj = std::max(worst_pj, switched[i] * rate * rates.mac_pj_per_um2);
      throughput = std::max(throughput, rate);
    }
    const auto dots = static_cast<double>(unit.rows * unit.cols);
    const auto depth = static_cast<double>(unit.depth);
    power.multipliers_mw += core_cycles_per_ns * dots * depth * worst_pj;
    power.scale_units_mw +=
        core_cycles_per_ns * dots * granule_units_per_dot(unit) * rates.granule_pj;
    // One byte per operand, two where bf16 runs at full rate: the worst is taken.
    power.buffers_mw += core_cycles_per_ns * depth * 2 * throughput *
                        (static_cast<double>(unit.cols) * rates.weight_buffer_pj_per_byte +
                         static_cast<double>(unit.rows) * rates.activation_buffer_pj_per_byte);
  }
  power.decoder_mw = core_cycles_per_ns * static_cast<double>(chip.decoder_values_per_cycle) *
                     rates.decode_pj_per_value;
  constexpr double kStages = 7;  // of the largest block, 128
  power.vector_mw =
      core_cycles_per_ns *
      (static_cast<double>(chip.vector_lanes) * rates.vector_pj_per_cycle +
       static_cast<double>(chip.hadamard_lanes) * kStages * rates.hadamard_pj_per_add);
  if (rates.sram_ns_per_byte > 0) {
    power.sram_mw = (rates.sram_pj_per_byte + rates.noc_pj_per_byte) / rates.sram_ns_per_byte;
  }
  power.dram_mw =
      dram->channel_gb_per_s * static_cast<double>(chip.dram.channels) * rates.dram_pj_per_byte;
  DOVETAIL_TRY(const LinkConstants* link, link_of(c, chip));
  power.link_mw =
      link->gb_per_s * static_cast<double>(chip.scale_up.links) * rates.link_pj_per_byte;
  power.leakage_mw = rates.leakage_mw;
  power.dram_device_mw = power.dram_mw * (1 - dram->phy_energy_frac) +
                         dram->background_mw_per_channel * static_cast<double>(chip.dram.channels);
  return power;
}

}  // namespace dovetail::silicon
