#include "search/budget_screen.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dovetail::search {
namespace {

// Sums of terms and the cost model's own sum differ by rounding alone: far less than this.
constexpr double kRoundingFrac = 1e-9;
// A wire term that changes less than this cannot be told from rounding.
constexpr double kResolvableFrac = 1e-6;
constexpr double kMilliwattPerWatt = 1e3;
// A budget without a price limit has 1e9 USD; pricing every chip is then a waste.
constexpr double kPriceUnlimitedUsd = 1e9;

bool close_to(double value, double limit) {
  return std::abs(value - limit) <= kRoundingFrac * std::abs(limit);
}

// Every inner axis away from the roomiest chip: at its first or at its last valid value.
AxisValues far_corner(const Block& block, const AxisValues& roomy, bool first) {
  AxisValues corner = roomy;
  for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
    const size_t axis = kFirstInnerAxis + inner;
    for (size_t value = 0; value < block.terms[inner].size(); ++value) {
      const auto position = static_cast<int64_t>(value);
      if (!block.terms[inner][value].valid || position == roomy[axis]) continue;
      corner[axis] = position;
      if (first) break;
    }
  }
  return corner;
}

template <typename T>
int64_t position_of_largest(const std::vector<T>& list) {
  return std::ranges::max_element(list) - list.begin();
}

}  // namespace

std::string_view limit_name(Limit limit) {
  switch (limit) {
    case Limit::kNone:
      return "none";
    case Limit::kBuffers:
      return "buffers";
    case Limit::kClock:
      return "clock";
    case Limit::kDramBandwidth:
      return "dram_bandwidth";
    case Limit::kArea:
      return "area";
    case Limit::kPeakPower:
      return "peak_power";
    case Limit::kPowerDensity:
      return "power_density";
    case Limit::kPrice:
      return "price";
  }
  return "none";
}

AxisValues largest_positions(const Space& space) {
  AxisValues result{};
  at(result, Axis::kDramChannels) = position_of_largest(space.dram_channels);
  at(result, Axis::kClock) = position_of_largest(space.clock_mhz);
  at(result, Axis::kSram) = position_of_largest(space.sram_mib);
  at(result, Axis::kCores) = position_of_largest(space.cores);
  at(result, Axis::kRows) = position_of_largest(space.rows);
  at(result, Axis::kCols) = position_of_largest(space.cols);
  at(result, Axis::kDepth) = position_of_largest(space.depth);
  at(result, Axis::kVectorLanes) = position_of_largest(space.vector_lanes);
  at(result, Axis::kHadamardLanes) = position_of_largest(space.hadamard_lanes);
  at(result, Axis::kDecoder) = position_of_largest(space.decoder_values_per_cycle);
  at(result, Axis::kAccumulator) = position_of_largest(space.accumulator_kib);
  at(result, Axis::kWeightBuffer) = position_of_largest(space.weight_buffer_kib);
  at(result, Axis::kActivationBuffer) = position_of_largest(space.activation_buffer_kib);
  return result;
}

BudgetScreen::BudgetScreen(const silicon::CostModel& costs, const Space& space,
                           const Budget& budget)
    : costs_(costs),
      space_(space),
      budget_(budget),
      lengths_(axis_lengths(space)),
      largest_(largest_positions(space)),
      price_limited_(budget.max_price_usd < kPriceUnlimitedUsd) {
  num_blocks_ = 1;
  block_size_ = 1;
  for (int64_t axis = 0; axis < kNumAxes; ++axis) {
    (axis < kFirstInnerAxis ? num_blocks_ : block_size_) *= lengths_[static_cast<size_t>(axis)];
  }
}

Result<Block> BudgetScreen::block(int64_t index) const {
  Block block;
  block.first_index = index * block_size_;
  block.position = split_index(lengths_, block.first_index);
  AxisValues roomy = block.position;  // all inner axes at their largest
  for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) roomy[axis] = largest_[axis];
  chip::Chip chip = chip_of(space_, roomy);
  if (!chip::check_chip(chip).has_value()) {  // then no chip of the block is valid
    for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
      block.terms[inner].assign(static_cast<size_t>(lengths_[kFirstInnerAxis + inner]),
                                {.valid = false});
    }
    return block;
  }
  DOVETAIL_TRY(const silicon::ChipLimits base, costs_.limits(chip));
  DOVETAIL_TRY(const double reaches_mhz, costs_.reaches_mhz(chip));
  block.reaches_clock = chip.clock_mhz <= reaches_mhz;
  block.num_chips = static_cast<double>(base.num_chips);
  block.area_mm2 = base.area_mm2;
  block.peak_power_mw = base.peak_power_mw;
  block.dram_device_mw = base.peak_power_mw - base.die_peak_power_mw;
  block.dram_gb_per_s = base.dram_gb_per_s;
  block.sqrt_area_mm = std::sqrt(base.area_mm2);
  for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
    const size_t axis = kFirstInnerAxis + inner;
    for (int64_t value = 0; value < lengths_[axis]; ++value) {
      AxisValues moved = roomy;
      moved[axis] = value;
      set_inner_axes(space_, moved, chip);
      Block::Term term{.valid = chip::check_chip(chip).has_value()};
      if (term.valid && value != roomy[axis]) {
        DOVETAIL_TRY(const silicon::ChipLimits limits, costs_.limits(chip));
        term.area_mm2 = limits.area_mm2 - base.area_mm2;
        term.peak_power_mw = limits.peak_power_mw - base.peak_power_mw;
      }
      block.terms[inner].push_back(term);
    }
  }
  DOVETAIL_TRY_STATUS(fit_wires(block, roomy, chip));
  return block;
}

Status BudgetScreen::fit_wires(Block& block, const AxisValues& roomy, chip::Chip& chip) const {
  const auto wire_change = [&block](double area_change) {
    return std::sqrt(block.area_mm2 + area_change) - block.sqrt_area_mm;
  };
  // Every axis at its first valid value other than the roomiest; then at its last, or, where that
  // is the same chip, with one axis back at the roomiest.
  AxisValues fitted{};
  for (const bool first : {true, false}) {
    AxisValues corner = far_corner(block, roomy, first);
    if (!first && corner == fitted) {
      for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) {
        if (corner[axis] == roomy[axis]) continue;
        corner[axis] = roomy[axis];
        break;
      }
    }
    fitted = corner;
    double area = block.area_mm2;
    double power = block.peak_power_mw;
    double unexplained_mm = 0;  // wire length that the single moves do not add up to
    for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
      const int64_t value = corner[kFirstInnerAxis + inner];
      const Block::Term& term = block.terms[inner][static_cast<size_t>(value)];
      area += term.area_mm2;
      power += term.peak_power_mw;
      unexplained_mm -= first ? wire_change(term.area_mm2) : 0;
    }
    set_inner_axes(space_, corner, chip);
    DOVETAIL_TRY(const silicon::ChipLimits limits, costs_.limits(chip));
    if (first) {
      unexplained_mm += wire_change(area - block.area_mm2);
      const double unexplained_mw = limits.peak_power_mw - power;
      if (std::abs(unexplained_mm) > kResolvableFrac * block.sqrt_area_mm) {
        block.wire_mw_per_mm = unexplained_mw / unexplained_mm;
      }
      for (std::vector<Block::Term>& terms : block.terms) {
        for (Block::Term& term : terms) {
          term.peak_power_mw -= block.wire_mw_per_mm * wire_change(term.area_mm2);
        }
      }
      continue;
    }
    block.additive = block.wire_mw_per_mm >= 0 && close_to(area, limits.area_mm2) &&
                     close_to(peak_power(block, area, power), limits.peak_power_mw);
  }
  return {};
}

Limit BudgetScreen::judge(const Figures& chip) const {
  if (!chip.reaches_clock) return Limit::kClock;
  if (chip.dram_gb_per_s > budget_.max_dram_gb_per_s) return Limit::kDramBandwidth;
  if (chip.area_mm2 > max_area_mm2(chip)) return Limit::kArea;
  if (chip.peak_power_mw > budget_.max_peak_power_w * kMilliwattPerWatt) return Limit::kPeakPower;
  if (chip.die_peak_power_mw >
      chip.area_mm2 * budget_.max_power_density_w_per_mm2 * kMilliwattPerWatt) {
    return Limit::kPowerDensity;
  }
  if (chip.price_usd > budget_.max_price_usd) return Limit::kPrice;
  return Limit::kNone;
}

bool BudgetScreen::near_a_limit(const Figures& chip) const {
  return close_to(chip.area_mm2, max_area_mm2(chip)) ||
         close_to(chip.peak_power_mw, budget_.max_peak_power_w * kMilliwattPerWatt) ||
         close_to(chip.die_peak_power_mw,
                  chip.area_mm2 * budget_.max_power_density_w_per_mm2 * kMilliwattPerWatt);
}

Result<Limit> BudgetScreen::classify_exactly(const AxisValues& position) const {
  const chip::Chip chip = chip_of(space_, position);
  if (!chip::check_chip(chip).has_value()) return Limit::kBuffers;
  DOVETAIL_TRY(const silicon::ChipLimits limits, costs_.limits(chip));
  DOVETAIL_TRY(const double reaches_mhz, costs_.reaches_mhz(chip));
  return judge({.num_chips = static_cast<double>(limits.num_chips),
                .reaches_clock = chip.clock_mhz <= reaches_mhz,
                .area_mm2 = limits.area_mm2,
                .peak_power_mw = limits.peak_power_mw,
                .die_peak_power_mw = limits.die_peak_power_mw,
                .price_usd = limits.die_price_usd + limits.dram_price_usd,
                .dram_gb_per_s = limits.dram_gb_per_s});
}

Result<Limit> BudgetScreen::classify(const Block& block, const AxisValues& position, double area,
                                     double power_sum) const {
  const double power = peak_power(block, area, power_sum);
  const Figures chip{.num_chips = block.num_chips,
                     .reaches_clock = block.reaches_clock,
                     .area_mm2 = area,
                     .peak_power_mw = power,
                     .die_peak_power_mw = power - block.dram_device_mw,
                     .dram_gb_per_s = block.dram_gb_per_s};
  if (!block.additive || near_a_limit(chip)) return classify_exactly(position);
  const Limit limit = judge(chip);
  if (limit == Limit::kNone && price_limited_) return classify_exactly(position);
  return limit;
}

Result<BudgetScreen::Excess> BudgetScreen::excess(const AxisValues& position) const {
  const chip::Chip chip = chip_of(space_, position);
  if (!chip::check_chip(chip).has_value()) {
    return Excess{std::numeric_limits<double>::infinity(), Limit::kBuffers};
  }
  DOVETAIL_TRY(const silicon::ChipLimits limits, costs_.limits(chip));
  DOVETAIL_TRY(const double reaches_mhz, costs_.reaches_mhz(chip));
  const double power_w = limits.peak_power_mw / kMilliwattPerWatt;
  const std::array<Excess, 6> all = {{
      {chip.clock_mhz / reaches_mhz, Limit::kClock},
      {limits.dram_gb_per_s / budget_.max_dram_gb_per_s, Limit::kDramBandwidth},
      {limits.area_mm2 / static_cast<double>(limits.num_chips) / budget_.max_area_mm2,
       Limit::kArea},
      {power_w / budget_.max_peak_power_w, Limit::kPeakPower},
      {limits.die_peak_power_mw / kMilliwattPerWatt / limits.area_mm2 /
           budget_.max_power_density_w_per_mm2,
       Limit::kPowerDensity},
      {(limits.die_price_usd + limits.dram_price_usd) / budget_.max_price_usd, Limit::kPrice},
  }};
  return *std::ranges::max_element(all, {}, &Excess::ratio);
}

Result<BlockSummary> BudgetScreen::summarise(const Block& block) const {
  BlockSummary summary;
  summary.min_area_mm2 = std::numeric_limits<double>::infinity();
  const auto& [outermost, second, third, fourth, innermost] = block.terms;
  AxisValues position = block.position;
  for (size_t l = 0; l < outermost.size(); ++l) {
    for (size_t d = 0; d < second.size(); ++d) {
      for (size_t a = 0; a < third.size(); ++a) {
        for (size_t w = 0; w < fourth.size(); ++w) {
          const double outer_area = block.area_mm2 + outermost[l].area_mm2 + second[d].area_mm2 +
                                    third[a].area_mm2 + fourth[w].area_mm2;
          const double outer_power = block.peak_power_mw + outermost[l].peak_power_mw +
                                     second[d].peak_power_mw + third[a].peak_power_mw +
                                     fourth[w].peak_power_mw;
          const bool valid =
              outermost[l].valid && second[d].valid && third[a].valid && fourth[w].valid;
          for (size_t b = 0; b < innermost.size(); ++b) {
            Limit limit = Limit::kBuffers;
            const double area = outer_area + innermost[b].area_mm2;
            if (valid && innermost[b].valid) {
              const std::array<size_t, kNumInnerAxes> inner = {l, d, a, w, b};
              for (size_t i = 0; i < kNumInnerAxes; ++i) {
                position[kFirstInnerAxis + i] = static_cast<int64_t>(inner[i]);
              }
              DOVETAIL_TRY(
                  limit, classify(block, position, area, outer_power + innermost[b].peak_power_mw));
            }
            ++summary.count[static_cast<size_t>(limit)];
            if (limit == Limit::kNone) summary.min_area_mm2 = std::min(summary.min_area_mm2, area);
          }
        }
      }
    }
  }
  return summary;
}

}  // namespace dovetail::search
