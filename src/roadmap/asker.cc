#include "roadmap/asker.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "roadmap/band.h"

namespace dovetail::roadmap {
namespace {

// The sums of a recipe's losses differ in their last bits from the cap that they became.
constexpr double kRoundingRoom = 1 + 1e-9;
constexpr int kEntrySteps = 8;

double bias_of(const Tables& tables, recipe::Rotation rotation) {
  const auto found = tables.bands.find(rotation);
  return found == tables.bands.end() ? 1 : found->second.bias_ratio;
}

}  // namespace

Result<Asker> Asker::open(const Tables& tables, const Answer& answer) {
  DOVETAIL_TRY(Point point, answer_point(tables, answer));
  return Asker(tables, answer, std::move(point));
}

const RotatedProduct& Asker::product(size_t p) const {
  return tables_->products[p].by_rotation.at(point_.rotations[p]);
}

double Asker::loss_scale(size_t p) const {
  const AnswerProduct& own = answer_->products[p];
  return own.predicted_nats > 0 ? own.loss_nats / own.predicted_nats : 1;
}

bool Asker::predicted_only() const {
  return tables_->bands.empty() ||
         std::ranges::any_of(answer_->products,
                             [](const AnswerProduct& own) { return !own.measured; });
}

double Asker::spread_of(const Technique& technique) const {
  Point turned = point_;
  if (technique.kind == TechniqueKind::kRotation)
    for (recipe::Rotation& rotation : turned.rotations) rotation = technique.rotation;
  double spread = spread_between(*tables_, point_, turned);
  for (size_t t = 0; t < technique.linear.size(); ++t) {
    if (technique.linear[t] != 0)
      spread = std::max(spread, algorithm_spread(*tables_, tables_->menu.linear[t]));
  }
  return spread;
}

Result<Technique> Asker::executed_part(const Technique& technique) const {
  return roadmap::executed_part(*tables_, answer_->chip, point_.rotations, technique);
}

std::vector<double> Asker::added_nats(const Technique& technique) const {
  std::vector<double> added;
  for (size_t p = 0; p < point_.treatments.size(); ++p) {
    const search::LossTable& losses = product(p).losses;
    double& sum = added.emplace_back(0);
    for (size_t s = 0; s < losses.loss.size(); ++s) {
      const recipe::SiteKind kind = search::site_kind(losses, static_cast<int64_t>(s));
      const int32_t treatment = point_.treatments[p][s];
      if (!technique.uses(kind, treatment)) continue;
      const double rest = losses.loss[s].at(
          static_cast<size_t>(treatment_without(technique, tables_->menu, kind, treatment)));
      const double loss = losses.loss[s].at(static_cast<size_t>(treatment));
      sum += std::isfinite(rest) ? std::max(0.0, loss - rest) : loss;
    }
  }
  return added;
}

Question Asker::question(double factor) const {
  Question question{
      .objective = answer_->scenario.objective, .rotations = point_.rotations, .max_loss = {}};
  for (const AnswerProduct& own : answer_->products)
    question.max_loss.push_back(own.predicted_nats * factor * kRoundingRoom);
  return question;
}

Result<Point> Asker::cheapest(const Question& question, const SiliconNeed& need) const {
  DOVETAIL_TRY(Point best, solve_on(*tables_, answer_->chip, question));
  if (!need.chip_without.has_value()) return best;
  DOVETAIL_TRY(Point smaller, solve_on(*tables_, *need.chip_without, question));
  // At equal cost an answer has no use for silicon that it leaves idle.
  if (smaller.feasible && (!best.feasible || smaller.objective <= best.objective))
    best = std::move(smaller);
  return best;
}

Result<Point> Asker::without(const Technique& technique, const SiliconNeed& need,
                             double factor) const {
  Question asked = question(factor);
  asked.left_out = &technique;
  return cheapest(asked, need);
}

Result<Point> Asker::without_and_unspent(const Technique& technique, const SiliconNeed& need,
                                         const std::vector<double>& added) const {
  Question asked = question(1);
  asked.left_out = &technique;
  for (size_t p = 0; p < added.size(); ++p)
    asked.max_loss[p] = std::max(0.0, asked.max_loss[p] - added[p]);
  return cheapest(asked, need);
}

// Predictions of two rotations are never compared: each cap is the measured loss over its own bias.
Question Asker::rotated_question(recipe::Rotation from, recipe::Rotation to, double factor) const {
  Question asked = question(1);
  for (size_t p = 0; p < asked.rotations.size(); ++p) {
    if (asked.rotations[p] != from || !tables_->products[p].by_rotation.contains(to)) continue;
    asked.rotations[p] = to;
    asked.max_loss[p] = answer_->products[p].loss_nats / bias_of(*tables_, to) * factor;
  }
  return asked;
}

Result<Point> Asker::without_rotation(recipe::Rotation rotation, double factor) const {
  Point best;
  for (const recipe::Rotation other : tables_->rotations) {
    if (other == rotation) continue;
    DOVETAIL_TRY(Point point,
                 solve_on(*tables_, answer_->chip, rotated_question(rotation, other, factor)));
    if (point.feasible && (!best.feasible || point.objective < best.objective))
      best = std::move(point);
  }
  return best;
}

Result<Point> Asker::without_in_space(const Technique& technique,
                                      const ProgressSink& progress) const {
  Question asked = question(1);
  asked.left_out = &technique;
  return solve_in_space(*tables_, asked, progress);
}

Result<Entry> Asker::entry_of(const Technique& technique) const {
  const bool rotation = technique.kind == TechniqueKind::kRotation;
  const auto saved_at = [&](double frac) -> Result<double> {
    Question asked = question(1);
    if (rotation) {
      for (const recipe::Rotation own : tables_->rotations) {
        if (own == technique.rotation) continue;
        const Question turned = rotated_question(own, technique.rotation, 1 / frac);
        for (size_t p = 0; p < asked.rotations.size(); ++p) {
          if (point_.rotations[p] != own) continue;
          asked.rotations[p] = turned.rotations[p];
          asked.max_loss[p] = turned.max_loss[p];
        }
      }
    } else {
      asked.scaled = &technique;
      asked.scale = frac;
    }
    DOVETAIL_TRY(const Point point, solve_on(*tables_, answer_->chip, asked));
    return point.feasible ? 1 - point.objective / point_.objective : 0;
  };
  const double told = answer_->gap_frac + kSolverGapFrac;
  Entry entry;
  DOVETAIL_TRY(const double free, saved_at(0));
  entry.saved_if_free_frac = std::max(0.0, free);
  if (free <= told) return entry;
  double inside = 0;
  double outside = 1;
  for (int i = 0; i < kEntrySteps; ++i) {
    const double middle = (inside + outside) / 2;
    DOVETAIL_TRY(const double saved, saved_at(middle));
    (saved > told ? inside : outside) = middle;
  }
  entry.at_frac = inside;
  return entry;
}

Result<std::optional<double>> Asker::equal_cost_factor(const Technique& technique,
                                                       const SiliconNeed& need) const {
  const auto costs_no_more = [&](double factor) -> Result<bool> {
    const bool rotation = technique.kind == TechniqueKind::kRotation;
    DOVETAIL_TRY(const Point point, rotation ? without_rotation(technique.rotation, factor)
                                             : without(technique, need, factor));
    return point.feasible && point.objective <= point_.objective * (1 + kSolverGapFrac);
  };
  constexpr double kMostFactor = 1e4;
  DOVETAIL_TRY(const bool ever, costs_no_more(kMostFactor));
  if (!ever) return std::optional<double>();
  DOVETAIL_TRY(const bool already, costs_no_more(1));
  if (already) return std::optional<double>(1);
  double outside = 1;
  double inside = kMostFactor;
  constexpr double kResolution = 1.01;
  while (inside / outside > kResolution) {
    const double middle = std::sqrt(inside * outside);
    DOVETAIL_TRY(const bool enough, costs_no_more(middle));
    (enough ? inside : outside) = middle;
  }
  return std::optional<double>(inside);
}

}  // namespace dovetail::roadmap
