#include "search/infeasible.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "search/block_walk.h"

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string describe(const chip::Chip& chip) {
  const chip::MatrixUnit& unit = chip.units.front();
  const int64_t chips = chip.scale_up.tensor_parallel;
  return fmt::format("{}{} core(s) of {} x {} x {} {} at {} MHz, {} MiB SRAM, {} channel(s) of {}",
                     chips > 1 ? fmt::format("{} chips with ", chips) : "", chip.cores, unit.rows,
                     unit.cols, unit.depth, unit.format_set, chip.clock_mhz, chip.sram_mib,
                     chip.dram.channels, chip.dram.kind);
}

std::string rejected_counts(const EnumerateStats& stats) {
  std::vector<std::pair<int64_t, std::string>> counts;
  for (const auto& [limit, count] : stats.rejected) counts.emplace_back(count, limit);
  std::ranges::sort(counts, std::greater{});
  std::string text;
  for (const auto& [count, limit] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", limit, count);
  }
  return text.empty() ? "none" : text;
}

// Over the roomiest and the smallest chip of every block.
Result<std::string> nearest_to_budget(const BudgetScreen& screen) {
  BudgetScreen::Excess least{kInfinity, Limit::kNone};
  AxisValues where{};
  const AxisValues largest = largest_positions(screen.space());
  for (int64_t index = 0; index < screen.num_blocks(); ++index) {
    DOVETAIL_TRY(const Block block, screen.block(index));
    AxisValues roomiest = block.position;
    AxisValues smallest = block.position;
    for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
      const size_t axis = kFirstInnerAxis + inner;
      roomiest[axis] = largest[axis];
      double area = kInfinity;
      for (size_t value = 0; value < block.terms[inner].size(); ++value) {
        const Block::Term& term = block.terms[inner][value];
        if (!term.valid || term.area_mm2 >= area) continue;
        area = term.area_mm2;
        smallest[axis] = static_cast<int64_t>(value);
      }
    }
    for (const AxisValues& position : {smallest, roomiest}) {
      DOVETAIL_TRY(const BudgetScreen::Excess excess, screen.excess(position));
      if (excess.ratio < least.ratio) {
        least = excess;
        where = position;
      }
    }
  }
  if (!(least.ratio < kInfinity)) {
    return std::string("no chip has buffers large enough for its grid");
  }
  return fmt::format("the nearest chip ({}) exceeds {} by {:.1f} %",
                     describe(chip_of(screen.space(), where)), limit_name(least.limit),
                     100 * (least.ratio - 1));
}

struct Reach {
  double least_loss = kInfinity;  // largest over products
  double missing_bytes = 0;       // DRAM that the smallest recipe would need beyond capacity
};

double missing_memory(const silicon::CostTable& table, const LossTable& losses) {
  double needed = table.fixed_dram_bytes - table.dram_bytes - std::max(0.0, table.sram_bytes);
  for (int64_t s = 0; s < losses.num_sites(); ++s) {
    const silicon::SiteCosts& site = table.sites[static_cast<size_t>(site_kind(losses, s))];
    float least = silicon::kIllegal;
    for (size_t t = 0; t < site.bytes.size(); ++t) {
      const bool allowed = losses.loss[static_cast<size_t>(s)][t] != kForbidden;
      if (allowed && site.latency_ns[t] < silicon::kIllegal) least = std::min(least, site.bytes[t]);
    }
    needed += static_cast<double>(least);
  }
  return needed;
}

Result<Reach> reach_of(const std::vector<Product>& products, const chip::Chip& chip) {
  std::vector<silicon::CostTable> tables;
  DOVETAIL_TRY_STATUS(fill_tables(products, chip, tables));
  Reach reach{.least_loss = 0};
  for (size_t p = 0; p < products.size(); ++p) {
    const ResidencyLevels levels = residency_levels(products[p].costs->shape());
    DOVETAIL_TRY(const double loss, least_loss(tables[p], products[p].losses, levels));
    reach.least_loss = std::max(reach.least_loss, loss);
    reach.missing_bytes =
        std::max(reach.missing_bytes, missing_memory(tables[p], products[p].losses));
  }
  return reach;
}

// The first block inside the budget of every (format set, SRAM, chips) stands for its kind.
Result<std::string> nearest_loss(const std::vector<Product>& products, const BudgetScreen& screen,
                                 double cap) {
  std::vector<std::array<int64_t, 3>> seen;
  Reach best;
  best.missing_bytes = kInfinity;
  chip::Chip best_chip;
  const AxisValues largest = largest_positions(screen.space());
  for (int64_t index = 0; index < screen.num_blocks(); ++index) {
    DOVETAIL_TRY(const Block block, screen.block(index));
    const std::array kind{at(block.position, Axis::kFormatSet), at(block.position, Axis::kSram),
                          at(block.position, Axis::kTensorParallel)};
    if (std::ranges::find(seen, kind) != seen.end()) continue;
    DOVETAIL_TRY(const BlockSummary summary, screen.summarise(block));
    if (summary.count[0] == 0) continue;
    seen.push_back(kind);
    AxisValues position = block.position;
    for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) position[axis] = largest[axis];
    const chip::Chip chip = chip_of(screen.space(), position);
    DOVETAIL_TRY(const Reach reach, reach_of(products, chip));
    if (std::make_pair(reach.least_loss, reach.missing_bytes) <
        std::make_pair(best.least_loss, best.missing_bytes)) {
      best = reach;
      best_chip = chip;
    }
  }
  if (best.least_loss < kInfinity) {
    return fmt::format(
        "the least predicted loss inside the budget is {:.4g} nats per token (with {}"
        "), the cap is {:.4g}",
        best.least_loss, best_chip.units.front().format_set, cap);
  }
  if (best.missing_bytes > 0 && best.missing_bytes < 0.5 * static_cast<double>(silicon::kIllegal)) {
    return fmt::format("the smallest recipe misses {:.3g} MiB of DRAM",
                       best.missing_bytes / (1024.0 * 1024.0));
  }
  return std::string("no chip inside the budget executes any treatment of some site");
}

}  // namespace

Result<double> least_loss(const silicon::CostTable& table, const LossTable& losses,
                          const ResidencyLevels& levels) {
  auto spelled_out = make_problem(table, Metric::kLatency, losses, levels, kInfinity);
  if (!spelled_out.has_value()) return kInfinity;
  std::swap(spelled_out->problem.cost, spelled_out->problem.loss);
  DOVETAIL_TRY(const Allocation allocation, solve_allocation(spelled_out->problem, {}));
  return allocation.status == AllocationStatus::kSolved ? allocation.cost : kInfinity;
}

Result<std::string> explain_infeasible(const std::vector<Product>& products, const Space& space,
                                       const Budget& budget, const Scenario& scenario,
                                       const EnumerateStats& stats) {
  const BudgetScreen screen(*products.front().costs, space, budget);
  const std::string head =
      fmt::format("{} within {:.4g} nats per token: of {} chips, rejected by {}",
                  objective_name(scenario.objective), scenario.max_loss, stats.num_chips,
                  rejected_counts(stats));
  if (stats.num_in_budget == 0) {
    DOVETAIL_TRY(const std::string nearest, nearest_to_budget(screen));
    return fmt::format("{}; {}", head, nearest);
  }
  const auto power = stats.rejected.find("sustained_power");
  if (power != stats.rejected.end()) {
    return fmt::format("{}; every recipe closed needs more than {} W sustained", head,
                       budget.max_sustained_power_w);
  }
  DOVETAIL_TRY(const std::string nearest, nearest_loss(products, screen, scenario.max_loss));
  return fmt::format("{}; {}", head, nearest);
}

}  // namespace dovetail::search
