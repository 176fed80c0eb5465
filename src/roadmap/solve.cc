#include "roadmap/solve.h"

#include <algorithm>
#include <cmath>

#include "silicon/estimate.h"

namespace dovetail::roadmap {
namespace {

const RotatedProduct& product_of(const Tables& tables, const Question& question, size_t p) {
  return tables.products[p].by_rotation.at(question.rotations[p]);
}

// The study's losses as the question sees them.
search::LossTable asked_losses(const search::LossTable& losses, const Question& question) {
  search::LossTable asked = losses;
  for (int64_t s = 0; s < losses.num_sites(); ++s) {
    const recipe::SiteKind kind = search::site_kind(losses, s);
    const std::vector<double>& from = losses.loss[static_cast<size_t>(s)];
    std::vector<double>& to = asked.loss[static_cast<size_t>(s)];
    for (size_t t = 0; t < to.size(); ++t) {
      const auto treatment = static_cast<int32_t>(t);
      if (question.left_out != nullptr && question.left_out->uses(kind, treatment))
        to[t] = search::kForbidden;
      if (question.scaled == nullptr || !question.scaled->uses(kind, treatment)) continue;
      const double rest = from[static_cast<size_t>(
          treatment_without(*question.scaled, losses.menu, kind, treatment))];
      const double added = std::isfinite(rest) ? std::max(0.0, from[t] - rest) : from[t];
      to[t] = from[t] - (1 - question.scale) * added;
    }
  }
  return asked;
}

bool has_empty_site(const search::LossTable& losses) {
  return std::ranges::any_of(losses.loss, [](const std::vector<double>& row) {
    return std::ranges::none_of(row, [](double loss) { return std::isfinite(loss); });
  });
}

Status add_costs(const Tables& tables, Point& point) {
  point.latency_ns = point.energy_pj = 0;
  for (size_t p = 0; p < point.treatments.size(); ++p) {
    const silicon::CostModel& costs = *tables.products[p].by_rotation.at(point.rotations[p]).costs;
    DOVETAIL_TRY(
        const silicon::CostReport report,
        silicon::estimate_cost(
            point.chip, tables.technology, costs.shape(), costs.workload(),
            recipe::make_recipe(costs.shape(), tables.menu, point.treatments[p]),
            silicon::Residency(point.resident_frac[p].begin(), point.resident_frac[p].end())));
    point.latency_ns += tables.products[p].weight * report.latency_ns;
    point.energy_pj += tables.products[p].weight * report.energy_pj;
    point.area_mm2 = report.area_mm2();
  }
  return {};
}

Result<Point> to_point(const Tables& tables, const Question& question,
                       const search::Candidate& candidate) {
  Point point{.feasible = true,
              .chip = candidate.chip,
              .rotations = question.rotations,
              .treatments = candidate.treatments,
              .resident_frac = candidate.resident_frac,
              .metric = candidate.metric,
              .objective = candidate.objective,
              .gap_frac = candidate.gap_frac};
  DOVETAIL_TRY_STATUS(add_costs(tables, point));
  return point;
}

}  // namespace

Result<Point> answer_point(const Tables& tables, const Answer& answer) {
  Point point{.feasible = true,
              .chip = answer.chip,
              .objective = answer.objective,
              .gap_frac = answer.gap_frac};
  for (const AnswerProduct& product : answer.products) {
    point.rotations.push_back(product.rotation);
    point.treatments.push_back(product.treatments);
    point.resident_frac.push_back(product.resident_frac);
  }
  DOVETAIL_TRY_STATUS(add_costs(tables, point));
  const bool latency = answer.scenario.objective.metric == search::Metric::kLatency;
  point.metric = latency ? point.latency_ns : point.energy_pj;
  return point;
}

Result<Point> solve_on(const Tables& tables, const chip::Chip& chip, const Question& question) {
  search::Candidate joined;
  joined.chip = chip;
  double lower = 0;
  double factor = 1;
  for (size_t p = 0; p < tables.products.size(); ++p) {
    const RotatedProduct& own = product_of(tables, question, p);
    const search::Product product{.name = tables.products[p].name,
                                  .costs = own.costs.get(),
                                  .losses = asked_losses(own.losses, question),
                                  .weight = tables.products[p].weight};
    if (has_empty_site(product.losses)) return Point{};
    DOVETAIL_TRY(search::Candidate one,
                 search::solve_on_chip({product}, chip, {question.objective, question.max_loss[p]},
                                       kSolverGapFrac));
    if (!std::isfinite(one.objective)) return Point{};
    factor = one.objective / one.metric;
    joined.metric += one.metric;
    lower += one.metric * (1 - one.gap_frac);
    joined.treatments.push_back(std::move(one.treatments[0]));
    joined.resident_frac.push_back(std::move(one.resident_frac[0]));
  }
  joined.objective = joined.metric * factor;
  joined.gap_frac = 1 - lower / joined.metric;
  return to_point(tables, question, joined);
}

Result<Point> solve_in_space(const Tables& tables, const Question& question,
                             const ProgressSink& progress) {
  std::vector<search::Product> products;
  for (size_t p = 0; p < tables.products.size(); ++p) {
    const RotatedProduct& own = product_of(tables, question, p);
    search::Product& product =
        products.emplace_back(tables.products[p].name, own.costs.get(),
                              asked_losses(own.losses, question), tables.products[p].weight);
    if (has_empty_site(product.losses)) return Point{};
    // One cap for all: losses as shares of each product's own.
    for (std::vector<double>& row : product.losses.loss)
      for (double& loss : row) loss /= question.max_loss[p];
  }
  search::EnumerateParams params{.keep_front = false};
  params.method.method = tables.exact_search ? "exact" : "nsga2";
  DOVETAIL_TRY(const search::EnumerateResult result,
               search::enumerate(products, *tables.space, tables.budget,
                                 {{question.objective, 1.0}}, params, progress));
  if (!result.scenarios[0].feasible) return Point{};
  return to_point(tables, question, result.scenarios[0].best);
}

Result<Technique> executed_part(const Tables& tables, const chip::Chip& chip,
                                const std::vector<recipe::Rotation>& rotations,
                                const Technique& technique) {
  Technique part = technique;
  part.linear.assign(part.linear.size(), 0);
  part.kv.assign(part.kv.size(), 0);
  for (size_t p = 0; p < tables.products.size(); ++p) {
    const RotatedProduct& product = tables.products[p].by_rotation.at(rotations[p]);
    silicon::CostTable table;
    DOVETAIL_TRY_STATUS(product.costs->fill_table(chip, table));
    for (int64_t s = 0; s < product.losses.num_sites(); ++s) {
      const recipe::SiteKind kind = search::site_kind(product.losses, s);
      const std::vector<double>& losses = product.losses.loss[static_cast<size_t>(s)];
      auto& list = kind == recipe::SiteKind::kKv ? part.kv : part.linear;
      for (size_t t = 0; t < list.size(); ++t) {
        if (technique.uses(kind, static_cast<int32_t>(t)) && std::isfinite(losses[t]) &&
            table.sites[static_cast<size_t>(kind)].latency_ns[t] < silicon::kIllegal) {
          list[t] = 1;
        }
      }
    }
  }
  return part;
}

}  // namespace dovetail::roadmap
