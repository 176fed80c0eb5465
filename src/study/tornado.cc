#include "study/tornado.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/parallel.h"
#include "study/resolve.h"

namespace dovetail::study {
namespace {

constexpr int64_t kNumContenders = 24;
constexpr double kContestGapFrac = 5e-3;  // contenders are closed to this
constexpr size_t kNumSearched = 4;        // constants for which the whole space is searched again
constexpr double kNoChange = 1e-6;        // a swing below this is rounding

// The answer with one constant at one end of its range.
struct End {
  std::optional<double> best;    // objective of the best chip; nothing if none fits
  std::string chip;              // its name
  std::optional<double> winner;  // objective of today's winner; nothing if it does not fit any more
};

struct Swing {
  std::string key;
  silicon::Constant constant;
  End low;
  End high;
  std::string searched = "contenders";
};

struct Base {
  const Question& question;
  std::vector<search::Candidate> contenders;  // the winner first
  [[nodiscard]] const search::Candidate& winner() const { return contenders.front(); }
};

double change(const Base& base, const End& end) {
  return end.best.has_value() ? *end.best / base.winner().objective - 1.0
                              : std::numeric_limits<double>::infinity();
}

double size_of(const Base& base, const Swing& swing) {
  return std::max(std::abs(change(base, swing.low)), std::abs(change(base, swing.high)));
}

bool winner_changes(const Base& base, const Swing& swing) {
  return swing.low.chip != base.winner().chip.name || swing.high.chip != base.winner().chip.name;
}

// Points are closed to a gap, so a chip that is better by less than that has not won.
void favour_winner(const Base& base, double gap_frac, End& end) {
  if (!end.winner.has_value() || !end.best.has_value()) return;
  if (*end.winner > *end.best * (1 + gap_frac)) return;
  end.best = end.winner;
  end.chip = base.winner().chip.name;
}

// All contenders with their recipes chosen again.
Result<End> contest(const Base& base, const silicon::Technology& technology) {
  const StudyState& state = base.question.state;
  DOVETAIL_TRY(const PricedProducts priced, PricedProducts::create(state, technology));
  End end;
  for (size_t i = 0; i < base.contenders.size(); ++i) {
    const chip::Chip& chip = base.contenders[i].chip;
    DOVETAIL_TRY(const OnChip found, solve_again(base.question, priced.products(),
                                                 state.config.budget, chip, kContestGapFrac));
    if (!found.in_budget()) continue;
    const double objective = found.candidate->objective;
    if (i == 0) end.winner = objective;
    if (end.best.has_value() && *end.best <= objective) continue;
    end.best = objective;
    end.chip = chip.name;
  }
  favour_winner(base, kContestGapFrac, end);
  return end;
}

// The whole space; the contenders make it quick.
Result<End> search_end(const Base& base, const silicon::Technology& technology,
                       const ProgressSink& progress) {
  const StudyState& state = base.question.state;
  DOVETAIL_TRY(const PricedProducts priced, PricedProducts::create(state, technology));
  std::vector<int64_t> seeds;
  for (const search::Candidate& contender : base.contenders) {
    seeds.push_back(contender.chip_index);
  }
  DOVETAIL_TRY(
      const std::vector<search::Candidate> found,
      search_again(base.question, priced.products(), state.config.budget, seeds, 0, progress));
  DOVETAIL_TRY(const OnChip winner,
               solve_again(base.question, priced.products(), state.config.budget,
                           base.winner().chip, kReportedGapFrac));
  End end;
  if (winner.in_budget()) end.winner = winner.candidate->objective;
  if (!found.empty()) {
    end.best = found.front().objective;
    end.chip = found.front().chip.name;
  }
  favour_winner(base, kReportedGapFrac, end);
  return end;
}

// Constants of nodes and DRAM kinds that the space does not have cannot move anything.
bool concerns_space(const std::string& key, const search::Space& space) {
  const auto names_another = [&](const std::string& prefix, const std::vector<std::string>& names) {
    if (!key.starts_with(prefix)) return false;
    return std::ranges::none_of(
        names, [&](const std::string& name) { return key.starts_with(prefix + name + "."); });
  };
  return !names_another("nodes.", space.nodes) && !names_another("dram.", space.dram_kinds);
}

Result<std::vector<Swing>> contest_all(const Base& base) {
  const silicon::Technology& technology = base.question.state.technology;
  std::vector<Swing> swings;
  for (const auto& [key, constant] : technology.constants()) {
    if (constant.low >= constant.high) continue;
    if (!concerns_space(key, *base.question.state.config.space)) continue;
    swings.push_back({.key = key, .constant = constant, .low = {}, .high = {}});
  }
  std::vector<Status> statuses(swings.size());
  parallel_for(std::ssize(swings), [&](int64_t i, int64_t) {
    Swing& swing = swings[static_cast<size_t>(i)];
    const auto fill = [&](double value, End& end) -> Status {
      DOVETAIL_TRY(end, contest(base, technology.with(swing.key, value)));
      return {};
    };
    Status& status = statuses[static_cast<size_t>(i)];
    status = fill(swing.constant.low, swing.low);
    if (status.has_value()) status = fill(swing.constant.high, swing.high);
  });
  for (const Status& status : statuses) DOVETAIL_TRY_STATUS(status);
  std::erase_if(swings, [&](const Swing& swing) {
    return size_of(base, swing) < kNoChange && !winner_changes(base, swing);
  });
  return swings;
}

// Those that let another chip win come first, then the largest swings.
std::vector<Swing*> worth_searching(const Base& base, std::vector<Swing>& swings) {
  std::vector<Swing*> order;
  for (Swing& swing : swings) order.push_back(&swing);
  std::ranges::stable_sort(order, {}, [&](const Swing* swing) {
    return std::pair(!winner_changes(base, *swing), -size_of(base, *swing));
  });
  order.resize(std::min(order.size(), kNumSearched));
  return order;
}

Json optional_json(const std::optional<double>& value) {
  return value.has_value() ? Json(*value) : Json();
}

void add_end(const Base& base, const std::string& side, const End& end, Json& json) {
  std::optional<double> changed;
  if (end.best.has_value()) changed = change(base, end);
  std::optional<double> regret;
  if (end.best.has_value() && end.winner.has_value()) {
    regret = std::max(0.0, *end.winner / *end.best - 1.0);
  }
  json["objective_change_" + side + "_frac"] = optional_json(changed);
  json["regret_" + side + "_frac"] = optional_json(regret);
  json["winner_fits_" + side] = end.winner.has_value();
  json["chip_" + side] = end.best.has_value() ? Json(end.chip) : Json();
}

Json to_row(const Base& base, const Swing& swing) {
  Json json = {{"constant", swing.key},
               {"value", swing.constant.value},
               {"low", swing.constant.low},
               {"high", swing.constant.high},
               {"unit", swing.constant.unit}};
  add_end(base, "low", swing.low, json);
  add_end(base, "high", swing.high, json);
  json["winner_changes"] = winner_changes(base, swing);
  json["searched"] = swing.searched;
  json["num_contenders"] = base.contenders.size();
  return json;
}

}  // namespace

Result<Json> tornado_to_json(const StudyState& state, const ScenarioAnswer& answer,
                             const ProgressSink& progress) {
  Json rows = Json::array();
  if (!state.config.space.has_value() || !answer.joint.settled.feasible) return rows;
  const Question question{state, {answer.objective, answer.joint.settled.predicted_cap}};
  // The same predicted cap with the constants as they are: the confirmed answer may have come from
  // a baseline, so it is not what the ends of the range are compared with.
  Base base{question, {}};
  DOVETAIL_TRY(base.contenders, search_again(question, search_products(state), state.config.budget,
                                             {answer.joint.settled.candidate.chip_index},
                                             kNumContenders - 1, progress));
  if (base.contenders.empty()) return rows;
  DOVETAIL_TRY(std::vector<Swing> swings, contest_all(base));
  for (Swing* swing : worth_searching(base, swings)) {
    report_progress(progress, fmt::format("searching again: {}", swing->key), 0);
    const auto with = [&](double value) { return state.technology.with(swing->key, value); };
    DOVETAIL_TRY(swing->low, search_end(base, with(swing->constant.low), progress));
    DOVETAIL_TRY(swing->high, search_end(base, with(swing->constant.high), progress));
    swing->searched = "space";
  }
  std::ranges::stable_sort(swings, {}, [&](const Swing& swing) { return -size_of(base, swing); });
  for (const Swing& swing : swings) rows.push_back(to_row(base, swing));
  return rows;
}

}  // namespace dovetail::study
