#include "study/scenario.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>

#include "base/paths.h"
#include "silicon/check_chip.h"
#include "silicon/constants.h"
#include "study/side_json.h"

namespace dovetail::study {
namespace {

constexpr const char* kJoint = "joint";

double predicted_loss(const ProductState& product, const std::vector<int32_t>& treatments) {
  return search::total_loss(product.losses, treatments);
}

// A model without weights here cannot be measured: its loss is the prediction times the bias that
// the lending model showed.
MeasuredLoss unmeasured(const ProductState& product, const std::vector<int32_t>& treatments,
                        double bias) {
  return {.kl_nats = predicted_loss(product, treatments) * bias};
}

Result<std::vector<MeasuredLoss>> measure_all(const StudyState& state,
                                              const search::Candidate& candidate,
                                              eval::TextPart part, double bias) {
  std::vector<MeasuredLoss> losses;
  for (size_t i = 0; i < state.products.size(); ++i) {
    const ProductState& product = state.products[i];
    if (!product.measurable) {
      losses.push_back(unmeasured(product, candidate.treatments[i], bias));
      continue;
    }
    DOVETAIL_TRY(const eval::KlStats stats,
                 product.lab->measure(recipe_of(product, candidate.treatments[i]), part));
    DOVETAIL_TRY(std::string row,
                 product.lab->measurement_row(recipe_of(product, candidate.treatments[i]), part));
    losses.push_back({.kl_nats = stats.kl_nats_per_token,
                      .kl_stderr_nats = stats.kl_stderr_nats_per_token.value_or(0.0),
                      .window_kl_nats = stats.window_kl_nats_per_token,
                      .top1_agreement_frac = stats.top1_agreement_frac,
                      .row = std::move(row),
                      .measured = true});
  }
  return losses;
}

// Everything that the sides of one scenario share under one global choice.
struct Arena {
  const StudyState& state;
  size_t index = 0;  // of the state
  const ScenarioQuestion question;
  std::vector<search::Product> products;
  std::optional<chip::Chip> frozen_chip;
  ProgressSink progress;

  search::Scenario scenario_at(double predicted_cap) const {
    return {question.objective, predicted_cap};
  }
  const LossBias& bias() const { return question.bias.at(index); }
};
using Arenas = std::vector<std::shared_ptr<const Arena>>;  // of every state

Result<std::optional<search::Candidate>> joint_at(const Arena& arena, double predicted_cap,
                                                  std::string& why_not) {
  const search::Scenario scenario = arena.scenario_at(predicted_cap);
  if (arena.frozen_chip.has_value()) {
    DOVETAIL_TRY(search::Candidate candidate,
                 search::solve_on_chip(arena.products, *arena.frozen_chip, scenario, 1e-3));
    if (!std::isfinite(candidate.objective)) {
      why_not = "no recipe of the menu fits this chip within the cap";
      return std::optional<search::Candidate>();
    }
    return std::optional<search::Candidate>(std::move(candidate));
  }
  DOVETAIL_TRY(search::EnumerateResult result,
               search::enumerate(
                   arena.products, *arena.state.config.space, arena.state.config.budget, {scenario},
                   {.keep_front = false, .method = arena.state.config.search}, arena.progress));
  if (!result.scenarios[0].feasible) {
    why_not = result.infeasible_reason;
    return std::optional<search::Candidate>();
  }
  return std::optional<search::Candidate>(std::move(result.scenarios[0].best));
}

SettleParams settle_params(const Arena& arena) {
  return {.confirmations = arena.state.config.confirmations, .initial_bias = arena.bias().ratio};
}

Result<SideAnswer> settle_side(const Arena& arena, const std::string& name, const Side& side) {
  SideAnswer answer;
  answer.name = name;
  const Measure measure = [&](const search::Candidate& candidate) {
    return measure_all(arena.state, candidate, eval::TextPart::kSelect, arena.bias().ratio);
  };
  DOVETAIL_TRY(answer.settled,
               settle(side, measure, arena.question.kl_cap_nats, settle_params(arena)));
  return answer;
}

Result<SideAnswer> settle_joint(const Arena& arena) {
  std::string why_not;
  DOVETAIL_TRY(SideAnswer answer, settle_side(arena, kJoint, [&](double cap) {
                 return joint_at(arena, cap, why_not);
               }));
  if (!answer.settled.feasible) {
    answer.why_not = why_not.empty() ? "no recipe measured within the cap" : why_not;
  }
  return answer;
}

Result<SideAnswer> settle_baseline(const Arena& arena, const std::string& name) {
  std::string why_not;
  std::string fixed_first;
  const Side side = [&](double cap) -> Result<std::optional<search::Candidate>> {
    DOVETAIL_TRY(search::BaselineResult result,
                 search::solve_baseline(
                     name, arena.products, *arena.state.config.space, arena.state.config.budget,
                     arena.scenario_at(cap), arena.question.reference_chips,
                     {.keep_front = false, .method = arena.state.config.search}, arena.progress));
    if (!result.feasible) {
      why_not = result.why_not;
      return std::optional<search::Candidate>();
    }
    fixed_first = result.fixed_first;
    return std::optional<search::Candidate>(std::move(result.candidate));
  };
  DOVETAIL_TRY(SideAnswer answer, settle_side(arena, name, side));
  answer.fixed_first = fixed_first;
  if (!answer.settled.feasible) {
    answer.why_not = why_not.empty() ? "no recipe measured within the cap" : why_not;
  }
  return answer;
}

Piece side_piece(const std::shared_ptr<const Arena>& arena, const std::string& name) {
  Json key = arena->question.key;
  key["side"] = name;
  key["global_choice"] = global_choice_name(arena->state);
  const auto compute = [arena, name]() -> Result<Json> {
    DOVETAIL_TRY(const SideAnswer answer,
                 name == kJoint ? settle_joint(*arena) : settle_baseline(*arena, name));
    return side_to_json(answer);
  };
  return {.kind = "side", .input = std::move(key), .compute = compute};
}

// With one side frozen there is no order of work left to compare with.
std::vector<std::string> side_names(const Arena& arena) {
  std::vector<std::string> names = {kJoint};
  if (arena.frozen_chip.has_value() || arena.state.recipe_frozen) return names;
  for (const std::string& name : search::baseline_names()) names.push_back(name);
  return names;
}

// All sides under the first global choice, then those under the next.
std::vector<Piece> all_sides(const Arenas& arenas) {
  std::vector<Piece> pieces;
  for (const std::shared_ptr<const Arena>& arena : arenas)
    for (const std::string& name : side_names(*arena)) pieces.push_back(side_piece(arena, name));
  return pieces;
}

// The cheapest that was measured within the cap; the first of those that are alike.
SideAnswer best_of(std::vector<SideAnswer> answers) {
  SideAnswer best = std::move(answers.front());
  for (size_t i = 1; i < answers.size(); ++i) {
    const Settled& settled = answers[i].settled;
    if (!settled.feasible) continue;
    if (best.settled.feasible && best.settled.candidate.objective <= settled.candidate.objective)
      continue;
    best = std::move(answers[i]);
  }
  return best;
}

// The joint answer first.
Result<std::vector<SideAnswer>> remember_sides(const Arenas& arenas) {
  const Arena& first = *arenas.front();
  const auto chip_of = [&](int64_t index) {
    return index < 0 ? first.frozen_chip.value_or(chip::Chip{})
                     : search::chip_at(*first.state.config.space, index);
  };
  DOVETAIL_TRY(const std::vector<Json> stored, first.state.memory->remember_all(all_sides(arenas)));
  const size_t num_sides = side_names(first).size();
  std::vector<std::vector<SideAnswer>> by_side(num_sides);
  for (size_t i = 0; i < stored.size(); ++i) {
    DOVETAIL_TRY(SideAnswer side, side_from_json(stored[i], chip_of));
    side.state = i / num_sides;
    by_side[i % num_sides].push_back(std::move(side));
  }
  std::vector<SideAnswer> sides;
  for (std::vector<SideAnswer>& answers : by_side) sides.push_back(best_of(std::move(answers)));
  return sides;
}

Status certify(const Arenas& arenas, SideAnswer& answer) {
  if (!answer.settled.feasible) return {};
  const Arena& arena = *arenas[answer.state];
  DOVETAIL_TRY(answer.certified, measure_all(arena.state, answer.settled.candidate,
                                             eval::TextPart::kCertify, arena.bias().ratio));
  return {};
}

// The dots of the deepest unit that takes bf16: those of other pairs sum exactly.
std::optional<host::AlignedSums> aligned_sums(const chip::Chip& chip) {
  std::optional<host::AlignedSums> sums;
  for (const chip::MatrixUnit& unit : chip.units) {
    const bool takes_bf16 =
        std::any_of(unit.pairs.begin(), unit.pairs.end(),
                    [](const chip::NativePair& pair) { return pair.activation == "bf16"; });
    if (takes_bf16 && (!sums.has_value() || unit.depth > sums->depth)) {
      sums = host::AlignedSums{.depth = unit.depth};
    }
  }
  return sums;
}

// Of each product that can be measured, on the answer's own chip.
Status measure_chip_sums(const StudyState& state, SideAnswer& side) {
  if (state.config.numerics != "chip" || !side.settled.feasible) return {};
  const auto sums = aligned_sums(side.settled.candidate.chip);
  for (size_t i = 0; i < state.products.size(); ++i) {
    LossLab::ChipSums& measured = side.chip_sums.emplace_back();
    const ProductState& product = state.products[i];
    if (!product.measurable || !sums.has_value()) continue;
    DOVETAIL_TRY(measured, product.lab->measure_chip_sums(
                               recipe_of(product, side.settled.candidate.treatments[i]), *sums));
  }
  return {};
}

// How much cheaper more loss would make the answer, from two allocations on its own chip.
double elasticity_of(const Arena& arena, const Settled& joint) {
  constexpr double kStep = 1.25;
  const auto objective_at = [&](double cap) {
    const auto candidate =
        search::solve_on_chip(arena.products, joint.candidate.chip, arena.scenario_at(cap), 1e-3);
    return candidate.has_value() ? candidate->metric : std::numeric_limits<double>::infinity();
  };
  const double cheap = objective_at(joint.predicted_cap * kStep);
  const double dear = objective_at(joint.predicted_cap / kStep);
  if (!std::isfinite(cheap) || !std::isfinite(dear) || cheap <= 0) return 0.0;
  return std::clamp(std::log(dear / cheap) / (2 * std::log(kStep)), 0.0, 2.0);
}

// The loss that binds: the product whose measured loss is nearest its cap.
SideMeasure side_measure(const SideAnswer& answer) {
  SideMeasure measure{.objective = answer.settled.candidate.objective};
  for (size_t i = 0; i < answer.settled.losses.size(); ++i) {
    const MeasuredLoss& loss = answer.settled.losses[i];
    if (loss.kl_nats < measure.kl_nats) continue;
    measure.kl_nats = loss.kl_nats;
    measure.window_kl_nats = loss.window_kl_nats;
    measure.certified_kl_nats =
        loss.measured && i < answer.certified.size() ? answer.certified[i].kl_nats : 0;
  }
  return measure;
}

bool same_point(const SideAnswer& one, const SideAnswer& other) {
  const search::Candidate& a = one.settled.candidate;
  const search::Candidate& b = other.settled.candidate;
  return one.state == other.state && a.treatments == b.treatments &&
         a.resident_frac == b.resident_frac && to_json(a.chip) == to_json(b.chip);
}

// Without weights the loss is a prediction: two standard deviations of measured over predicted, as
// the lending model showed them, widen every ratio through the elasticity.
double unmeasured_extra(const Arena& arena, double elasticity) {
  for (const ProductState& product : arena.state.products) {
    if (!product.measurable) {
      return std::pow(arena.bias().spread_ratio, 2 * elasticity) - 1.0;
    }
  }
  return 0.0;
}

void compare_sides(const Arena& arena, ScenarioAnswer& answer) {
  const SideMeasure joint = side_measure(answer.joint);
  for (const SideAnswer& baseline : answer.baselines) {
    Ratio ratio;
    if (answer.joint.settled.feasible && baseline.settled.feasible) {
      ratio = compare(joint, side_measure(baseline), answer.elasticity,
                      unmeasured_extra(arena, answer.elasticity));
      if (same_point(answer.joint, baseline)) {
        ratio = {.value = 1, .low = 1, .high = 1, .verdict = "same point"};
      }
    }
    answer.ratios.push_back(ratio);
  }
}

// A confirmed baseline is a design point like any other: the joint answer may take it.
void enter_baselines(ScenarioAnswer& answer) {
  answer.joint_from = kJoint;
  for (const SideAnswer& baseline : answer.baselines) {
    if (!baseline.settled.feasible) continue;
    const bool better =
        !answer.joint.settled.feasible ||
        baseline.settled.candidate.objective < answer.joint.settled.candidate.objective;
    if (!better) continue;
    answer.joint_from = baseline.name;
    answer.joint.state = baseline.state;
    answer.joint.settled.feasible = true;
    answer.joint.settled.candidate = baseline.settled.candidate;
    answer.joint.settled.losses = baseline.settled.losses;
    answer.joint.settled.predicted_cap = baseline.settled.predicted_cap;
  }
}

Result<Arenas> open_arenas(const StudyStates& states, const ScenarioQuestion& question,
                           const ProgressSink& progress) {
  std::optional<chip::Chip> frozen_chip;
  const StudyState& first = states.front();
  if (!first.config.chip.empty()) {
    DOVETAIL_TRY(const std::string file, data_file("chips", first.config.chip));
    DOVETAIL_TRY(frozen_chip, chip::load_chip(file));
    DOVETAIL_TRY_STATUS(silicon::check_known(*frozen_chip, first.technology, file));
  }
  Arenas arenas;
  for (size_t i = 0; i < states.size(); ++i) {
    arenas.push_back(std::make_shared<const Arena>(
        Arena{states[i], i, question, search_products(states[i]), frozen_chip, progress}));
  }
  return arenas;
}

}  // namespace

Result<std::vector<Piece>> side_pieces(const StudyStates& states, const ScenarioQuestion& question,
                                       const ProgressSink& progress) {
  DOVETAIL_TRY(const Arenas arenas, open_arenas(states, question, progress));
  return all_sides(arenas);
}

Result<std::vector<Piece>> certificate_pieces(const StudyStates& states,
                                              const ScenarioQuestion& question,
                                              const ProgressSink& progress) {
  DOVETAIL_TRY(const Arenas arenas, open_arenas(states, question, progress));
  DOVETAIL_TRY(const std::vector<SideAnswer> sides, remember_sides(arenas));
  std::vector<Piece> pieces;
  for (const SideAnswer& side : sides) {
    if (!side.settled.feasible) continue;
    const std::vector<ProductState>& products = states[side.state].products;
    for (size_t i = 0; i < products.size(); ++i) {
      if (!products[i].measurable) continue;
      DOVETAIL_TRY(Piece piece, products[i].lab->measure_piece(
                                    recipe_of(products[i], side.settled.candidate.treatments[i]),
                                    eval::TextPart::kCertify));
      pieces.push_back(std::move(piece));
    }
  }
  return pieces;
}

Result<ScenarioAnswer> answer_scenario(const StudyStates& states, const ScenarioQuestion& question,
                                       const ProgressSink& progress) {
  DOVETAIL_TRY(const Arenas arenas, open_arenas(states, question, progress));
  ScenarioAnswer answer;
  answer.key = question.key;
  answer.objective = question.objective;
  answer.kl_cap_nats = question.kl_cap_nats;
  DOVETAIL_TRY(std::vector<SideAnswer> sides, remember_sides(arenas));
  answer.joint = std::move(sides.front());
  answer.baselines.assign(std::next(sides.begin()), sides.end());
  enter_baselines(answer);
  DOVETAIL_TRY_STATUS(certify(arenas, answer.joint));
  for (SideAnswer& baseline : answer.baselines) DOVETAIL_TRY_STATUS(certify(arenas, baseline));
  const Arena& arena = *arenas[answer.joint.state];
  DOVETAIL_TRY_STATUS(measure_chip_sums(arena.state, answer.joint));
  if (answer.joint.settled.feasible) answer.elasticity = elasticity_of(arena, answer.joint.settled);
  compare_sides(arena, answer);
  return answer;
}

}  // namespace dovetail::study
