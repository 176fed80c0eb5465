#include "study/tornado.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/parallel.h"
#include "silicon/band.h"
#include "study/resolve.h"
#include "study/side_json.h"

namespace dovetail::study {
namespace {

constexpr int64_t kNumContenders = 24;
constexpr double kContestGapFrac = 5e-3;  // contenders are closed to this
constexpr size_t kNumSearched = 4;        // constants for which the whole space is searched again
constexpr double kNoChange = 1e-6;        // a swing below this is rounding
constexpr size_t kContestPiece = 8;       // constants that one worker takes at once

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
  Question question;
  Json key;  // of the scenario
  ProgressSink progress;
  std::vector<search::Candidate> contenders = {};  // the winner first
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

// The whole space.
Result<End> search_end(const Base& base, const silicon::Technology& technology) {
  const StudyState& state = base.question.state;
  DOVETAIL_TRY(const PricedProducts priced, PricedProducts::create(state, technology));
  DOVETAIL_TRY(
      const std::vector<search::Candidate> found,
      search_again(base.question, priced.products(), state.config.budget, 0, base.progress));
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

// Constants of nodes, DRAM kinds and links that the space does not have cannot move anything.
silicon::ConstantScope scope_of(const search::Space& space) {
  silicon::ConstantScope scope = {
      .nodes = space.nodes, .dram_kinds = space.dram_kinds, .link_kinds = {}, .pairs = {}};
  if (search::most_tensor_parallel(space) > 1) scope.link_kinds = {space.link_kind};
  for (const search::FormatSet& set : space.format_sets) {
    scope.pairs.insert(scope.pairs.end(), set.pairs.begin(), set.pairs.end());
  }
  return scope;
}

Json optional_json(const std::optional<double>& value) {
  return value.has_value() ? Json(*value) : Json();
}

Json end_to_json(const End& end) {
  return {
      {"best", optional_json(end.best)}, {"chip", end.chip}, {"winner", optional_json(end.winner)}};
}

End end_from_json(const Json& json) {
  End end{.best = {}, .chip = json.at("chip").get<std::string>(), .winner = {}};
  if (!json.at("best").is_null()) end.best = json.at("best").get<double>();
  if (!json.at("winner").is_null()) end.winner = json.at("winner").get<double>();
  return end;
}

// Without their ends.
std::vector<Swing> swings_of_ranges(const Base& base) {
  const silicon::ConstantScope scope = scope_of(*base.question.state.config.space);
  std::vector<Swing> swings;
  for (const auto& [key, constant] : base.question.state.technology.constants()) {
    if (constant.low >= constant.high) continue;
    if (!silicon::concerns(key, scope)) continue;
    swings.push_back({.key = key, .constant = constant, .low = {}, .high = {}});
  }
  return swings;
}

Result<Json> contest_some(const Base& base, const std::vector<Swing>& swings) {
  const silicon::Technology& technology = base.question.state.technology;
  std::vector<Result<Json>> rows(swings.size());
  parallel_for(std::ssize(swings), [&](int64_t i, int64_t) {
    const Swing& swing = swings[static_cast<size_t>(i)];
    rows[static_cast<size_t>(i)] = [&]() -> Result<Json> {
      DOVETAIL_TRY(const End low, contest(base, technology.with(swing.key, swing.constant.low)));
      DOVETAIL_TRY(const End high, contest(base, technology.with(swing.key, swing.constant.high)));
      return Json::array({end_to_json(low), end_to_json(high)});
    }();
  });
  Json all = Json::array();
  for (Result<Json>& row : rows) {
    DOVETAIL_TRY(Json ends, std::move(row));
    all.push_back(std::move(ends));
  }
  return all;
}

Json key_of_piece(const Base& base, const std::string& what, Json which) {
  Json key = base.key;
  key[what] = std::move(which);
  return key;
}

// Constants in order, kContestPiece a piece.
std::vector<Piece> contest_pieces(const std::shared_ptr<const Base>& base) {
  const std::vector<Swing> swings = swings_of_ranges(*base);
  std::vector<Piece> pieces;
  for (size_t first = 0; first < swings.size(); first += kContestPiece) {
    const auto last = std::min(first + kContestPiece, swings.size());
    const std::vector<Swing> some(swings.begin() + static_cast<std::ptrdiff_t>(first),
                                  swings.begin() + static_cast<std::ptrdiff_t>(last));
    pieces.push_back({.kind = "tornado_contest",
                      .input = key_of_piece(*base, "first_constant", first),
                      .compute = [base, some] { return contest_some(*base, some); }});
  }
  return pieces;
}

Result<std::vector<Swing>> contest_all(const std::shared_ptr<const Base>& base) {
  std::vector<Swing> swings = swings_of_ranges(*base);
  DOVETAIL_TRY(const std::vector<Json> parts,
               base->question.state.memory->remember_all(contest_pieces(base)));
  for (size_t i = 0; i < swings.size(); ++i) {
    const Json& ends = parts.at(i / kContestPiece).at(i % kContestPiece);
    swings[i].low = end_from_json(ends.at(0));
    swings[i].high = end_from_json(ends.at(1));
  }
  std::erase_if(swings, [&](const Swing& swing) {
    return size_of(*base, swing) < kNoChange && !winner_changes(*base, swing);
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

// Low and high of every constant that is worth it, in this order.
std::vector<Piece> search_pieces(const std::shared_ptr<const Base>& base,
                                 std::vector<Swing>& swings) {
  std::vector<Piece> pieces;
  for (const Swing* swing : worth_searching(*base, swings)) {
    for (const double value : {swing->constant.low, swing->constant.high}) {
      const auto compute = [base, name = swing->key, value]() -> Result<Json> {
        report_progress(base->progress, fmt::format("searching again: {}", name), 0);
        const silicon::Technology& technology = base->question.state.technology;
        DOVETAIL_TRY(const End end, search_end(*base, technology.with(name, value)));
        return end_to_json(end);
      };
      pieces.push_back({.kind = "tornado_search",
                        .input = key_of_piece(*base, "constant", Json::array({swing->key, value})),
                        .compute = compute});
    }
  }
  return pieces;
}

Piece contenders_piece(const std::shared_ptr<const Base>& base) {
  const auto compute = [base]() -> Result<Json> {
    const StudyState& state = base->question.state;
    DOVETAIL_TRY(const std::vector<search::Candidate> found,
                 search_again(base->question, search_products(state), state.config.budget,
                              kNumContenders - 1, base->progress));
    return candidates_to_json(found);
  };
  return {.kind = "tornado_contenders", .input = base->key, .compute = compute};
}

bool has_tornado(const StudyState& state, const ScenarioAnswer& answer) {
  return state.config.space.has_value() && answer.joint.settled.feasible;
}

// The same predicted cap with the constants as they are: the confirmed answer may have come from a
// baseline, so it is not what the ends of the range are compared with.
std::shared_ptr<Base> open_base(const StudyState& state, const ScenarioAnswer& answer,
                                const ProgressSink& progress) {
  return std::make_shared<Base>(
      Base{{state, {answer.objective, answer.joint.settled.predicted_cap}}, answer.key, progress});
}

Result<std::shared_ptr<const Base>> remember_base(const StudyState& state,
                                                  const ScenarioAnswer& answer,
                                                  const ProgressSink& progress) {
  std::shared_ptr<Base> base = open_base(state, answer, progress);
  DOVETAIL_TRY(const Json stored, state.memory->remember(contenders_piece(base)));
  const auto chip_of = [&](int64_t index) { return search::chip_at(*state.config.space, index); };
  DOVETAIL_TRY(base->contenders, candidates_from_json(stored, chip_of));
  return base;
}

}  // namespace

Result<std::vector<Piece>> tornado_pieces(TornadoStep step, const StudyState& state,
                                          const std::shared_ptr<const ScenarioAnswer>& answer,
                                          const ProgressSink& progress) {
  if (!has_tornado(state, *answer)) return std::vector<Piece>();
  if (step == TornadoStep::kContenders) {
    return std::vector<Piece>{contenders_piece(open_base(state, *answer, progress))};
  }
  DOVETAIL_TRY(const std::shared_ptr<const Base> base, remember_base(state, *answer, progress));
  if (base->contenders.empty()) return std::vector<Piece>();
  if (step == TornadoStep::kContests) return contest_pieces(base);
  DOVETAIL_TRY(std::vector<Swing> swings, contest_all(base));
  return search_pieces(base, swings);
}

Result<Json> tornado_to_json(const StudyState& state, const ScenarioAnswer& answer,
                             const ProgressSink& progress) {
  Json rows = Json::array();
  if (!has_tornado(state, answer)) return rows;
  DOVETAIL_TRY(const std::shared_ptr<const Base> base, remember_base(state, answer, progress));
  if (base->contenders.empty()) return rows;
  DOVETAIL_TRY(std::vector<Swing> swings, contest_all(base));
  DOVETAIL_TRY(const std::vector<Json> ends,
               state.memory->remember_all(search_pieces(base, swings)));
  size_t next = 0;
  for (Swing* swing : worth_searching(*base, swings)) {
    swing->low = end_from_json(ends.at(next++));
    swing->high = end_from_json(ends.at(next++));
    swing->searched = "space";
  }
  std::ranges::stable_sort(swings, {}, [&](const Swing& swing) { return -size_of(*base, swing); });
  for (const Swing& swing : swings) rows.push_back(to_row(*base, swing));
  return rows;
}

}  // namespace dovetail::study
