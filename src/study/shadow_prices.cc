#include "study/shadow_prices.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace dovetail::study {
namespace {

constexpr double kUnlimited = 1e8;  // limits at or above this were not set
constexpr double kTenth = 0.1;

// One resource and how one step of it changes the question.
struct BudgetMove {
  std::string resource;
  std::string unit;
  double base = 0;
  double step = 0;
  search::Budget moved;
};

struct ChipMove {
  std::string resource;
  std::string unit;
  double base = 0;
  double step = 0;
  chip::Chip chip;
  silicon::Technology technology;
  search::Budget budget;
};

// For a chip from a file: it is what it is, whatever the budget says.
search::Budget no_limits() {
  constexpr double kNone = 1e30;
  return {.max_area_mm2 = kNone,
          .max_peak_power_w = kNone,
          .max_sustained_power_w = kNone,
          .max_power_density_w_per_mm2 = kNone,
          .max_price_usd = kNone,
          .max_dram_gb_per_s = kNone};
}

// What every row is compared with.
struct Base {
  const Question& question;
  const search::Candidate& best;
  const ProgressSink& progress;
};

bool same_recipe(const search::Candidate& a, const search::Candidate& b) {
  return a.treatments == b.treatments && a.resident_frac == b.resident_frac;
}

template <typename Move>
Json row(const Base& base, const std::string& kind, const Move& move, const OnChip& found) {
  Json json = {{"resource", move.resource}, {"kind", kind},      {"unit", move.unit},
               {"base", move.base},         {"step", move.step}, {"feasible", found.in_budget()}};
  if (found.candidate.has_value()) {
    const double change = found.candidate->objective / base.best.objective - 1.0;
    json["objective_change_frac"] = change;
    json["binding"] = found.in_budget() && change < -kReportedGapFrac;
    json["chip"] = found.candidate->chip.name;
    json["recipe_changes"] = !same_recipe(*found.candidate, base.best);
  }
  if (!found.broken_limit.empty()) json["broken_limit"] = found.broken_limit;
  return json;
}

// A degree of thermal headroom lets the limits that stand for heat grow by its share of the whole
// difference between junction and ambient.
BudgetMove thermal_move(const search::Budget& budget) {
  const double share = 1.0 / budget.thermal_headroom_c;
  BudgetMove move{.resource = "thermal headroom",
                  .unit = "C",
                  .base = budget.thermal_headroom_c,
                  .step = 1,
                  .moved = budget};
  move.moved.max_power_density_w_per_mm2 *= 1 + share;
  move.moved.max_sustained_power_w *= 1 + share;
  return move;
}

std::vector<BudgetMove> budget_moves(const search::Budget& budget) {
  struct Limit {
    std::string resource;
    std::string unit;
    double search::Budget::* member;
  };
  const std::vector<Limit> limits = {
      {"die area", "mm2", &search::Budget::max_area_mm2},
      {"peak power", "W", &search::Budget::max_peak_power_w},
      {"sustained power", "W", &search::Budget::max_sustained_power_w},
      {"price", "USD", &search::Budget::max_price_usd},
      {"DRAM bandwidth limit", "GB/s", &search::Budget::max_dram_gb_per_s}};
  std::vector<BudgetMove> moves;
  for (const Limit& limit : limits) {
    const double base = budget.*limit.member;
    if (base >= kUnlimited) continue;
    for (const double step : {1.0, kTenth * base}) {
      BudgetMove move{limit.resource, limit.unit, base, step, budget};
      move.moved.*limit.member = base + step;
      moves.push_back(std::move(move));
    }
  }
  moves.push_back(thermal_move(budget));
  return moves;
}

std::vector<ChipMove> memory_moves(const StudyState& state, const chip::Chip& chip,
                                   const search::Budget& budget) {
  std::vector<ChipMove> moves;
  ChipMove sram{"shared SRAM", "MiB", chip.sram_mib, 1, chip, state.technology, budget};
  sram.chip.sram_mib += 1;
  moves.push_back(std::move(sram));
  const std::string key = "dram." + chip.dram.kind + ".channel_gb_per_s";
  const auto per_channel = state.technology.value(key);
  if (per_channel.has_value()) {
    const auto channels = static_cast<double>(chip.dram.channels);
    ChipMove move{"DRAM bandwidth",
                  "GB/s",
                  *per_channel * channels,
                  1,
                  chip,
                  state.technology.with(key, *per_channel + 1 / channels),
                  budget};
    // What the bandwidth would be worth is asked just where a limit forbids it.
    move.budget.max_dram_gb_per_s += 1;
    moves.push_back(std::move(move));
  }
  return moves;
}

bool has_pair(const chip::MatrixUnit& unit, const chip::NativePair& pair) {
  return std::ranges::any_of(unit.pairs, [&](const chip::NativePair& own) {
    return own.weight == pair.weight && own.activation == pair.activation;
  });
}

// Every native pair of the space's format sets that the chip lacks, added to its first unit.
std::vector<ChipMove> format_moves(const StudyState& state, const chip::Chip& chip,
                                   const search::Budget& budget) {
  std::vector<ChipMove> moves;
  if (!state.config.space.has_value()) return moves;
  chip::MatrixUnit tried = chip.units[0];
  for (const search::FormatSet& set : state.config.space->format_sets) {
    for (const chip::NativePair& pair : set.pairs) {
      if (has_pair(tried, pair)) continue;
      tried.pairs.push_back(pair);
      ChipMove move{fmt::format("native {} x {}", pair.weight, pair.activation),
                    "pair",
                    static_cast<double>(chip.units[0].pairs.size()),
                    1,
                    chip,
                    state.technology,
                    budget};
      move.chip.units[0].pairs.push_back(pair);
      moves.push_back(std::move(move));
    }
  }
  return moves;
}

Status add_budget_rows(const Base& base, Json& rows) {
  const search::Budget& budget = base.question.state.config.budget;
  const std::vector<search::Product> products = search_products(base.question.state);
  for (const BudgetMove& move : budget_moves(budget)) {
    DOVETAIL_TRY(const std::vector<search::Candidate> found,
                 search_again(base.question, products, move.moved, 0, base.progress));
    OnChip best;
    if (!found.empty()) best.candidate = found.front();
    rows.push_back(row(base, "budget", move, best));
  }
  return {};
}

Status add_chip_rows(const Base& base, const search::Budget& budget, Json& rows) {
  const StudyState& state = base.question.state;
  std::vector<ChipMove> moves = memory_moves(state, base.best.chip, budget);
  std::ranges::move(format_moves(state, base.best.chip, budget), std::back_inserter(moves));
  for (const ChipMove& move : moves) {
    DOVETAIL_TRY(const PricedProducts priced, PricedProducts::create(state, move.technology));
    DOVETAIL_TRY(const OnChip found, solve_again(base.question, priced.products(), move.budget,
                                                 move.chip, kReportedGapFrac));
    rows.push_back(row(base, "chip", move, found));
  }
  return {};
}

}  // namespace

Result<Json> shadow_prices_to_json(const StudyState& state, const ScenarioAnswer& answer,
                                   const ProgressSink& progress) {
  Json rows = Json::array();
  if (!answer.joint.settled.feasible) return rows;
  const Question question{state, {answer.objective, answer.joint.settled.predicted_cap}};
  const search::Candidate& joint = answer.joint.settled.candidate;
  if (!state.config.space.has_value()) {
    const Base base{question, joint, progress};
    DOVETAIL_TRY_STATUS(add_chip_rows(base, no_limits(), rows));
    return rows;
  }
  // Searched again rather than taken from the answer: that may have come from a baseline, whose
  // recipe the search at this cap would not choose.
  DOVETAIL_TRY(const std::vector<search::Candidate> nominal,
               search_again(question, search_products(state), state.config.budget, 0, progress));
  if (nominal.empty()) return rows;
  const Base base{question, nominal.front(), progress};
  DOVETAIL_TRY_STATUS(add_budget_rows(base, rows));
  DOVETAIL_TRY_STATUS(add_chip_rows(base, state.config.budget, rows));
  return rows;
}

}  // namespace dovetail::study
