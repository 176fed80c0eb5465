#include "roadmap/falsifiers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

namespace dovetail::roadmap {
namespace {

std::string of_product(const Asker& asker, size_t p) {
  return asker.tables().products.size() == 1
             ? ""
             : fmt::format(" of \"{}\"", asker.tables().products[p].name);
}

// One sentence a product.
void add_loss(const Asker& asker, const Row& row, double factor, std::vector<std::string>& to) {
  for (size_t p = 0; p < asker.answer().products.size(); ++p) {
    const AnswerProduct& own = asker.answer().products[p];
    std::string found;
    std::string text = "the selection text";
    double loss = own.loss_nats;
    if (own.certified_nats.has_value()) {
      loss = *own.certified_nats;
      text = "the certification text";
      found = fmt::format("certified {:.4g} ± {:.2g}", loss, own.certified_stderr_nats);
    } else {
      found = fmt::format("{} {:.4g}", own.measured ? "measured" : "expected", loss);
    }
    to.push_back(fmt::format(
        "KL of the recommended recipe{} above {:.4g} nats on {} ({}): at that loss an answer "
        "without {} costs no more",
        of_product(asker, p), factor * loss, text, found, row.technique.name));
  }
}

void add_cost(const Asker& asker, const Row& row, std::vector<std::string>& to) {
  const bool latency = asker.answer().scenario.objective.metric == search::Metric::kLatency;
  // At the area that the recommendation has, its metric may grow by the ratio of objectives.
  const double ratio = row.equal_loss->point.objective / asker.point().objective;
  const double metric = asker.point().metric / (latency ? 1e6 : 1e9);
  const char* unit = latency ? "ms" : "mJ";
  to.push_back(fmt::format(
      "{} of the recommendation above {:.5g} {} where it is simulated or built (estimate {:.5g} "
      "{}): the answer without {} then costs no more at equal loss",
      latency ? "latency" : "energy", ratio * metric, unit, metric, unit, row.technique.name));
}

void add_area(const Asker& asker, const Row& row, std::vector<std::string>& to) {
  if (!row.silicon.chip_without.has_value()) return;
  const double own = row.silicon.own_area_mm2;
  if (asker.answer().scenario.objective.scale == search::Scale::kArea &&
      row.equal_loss.has_value()) {
    const double rest = asker.point().area_mm2 - own;
    const double most = row.equal_loss->point.objective / asker.point().metric - rest;
    to.push_back(fmt::format(
        "the pairs that it alone uses above {:.4g} mm² (estimate {:.4g}): the answer without {} "
        "then costs no more",
        most, own, row.technique.name));
    return;
  }
  const double room = asker.tables().budget.max_area_mm2 - asker.point().area_mm2;
  if (asker.answer().chip.scale_up.tensor_parallel > 1) return;
  to.push_back(fmt::format(
      "the pairs that it alone uses above {:.4g} mm² (estimate {:.4g}): the chip then breaks the "
      "budget of {:.4g} mm²",
      own + room, own, asker.tables().budget.max_area_mm2));
}

// The uniform recipe of least loss that uses the technique and that the chip executes.
struct Uniform {
  std::string name;
  double predicted_nats = std::numeric_limits<double>::infinity();
  double rest_nats = 0;  // of the same recipe with the technique taken out
};

Uniform best_uniform(const Asker& asker, const Technique& technique, bool of_kv) {
  const search::LossTable& losses = asker.product(0).losses;
  silicon::CostTable table;
  Uniform best;
  if (!asker.product(0).costs->fill_table(asker.answer().chip, table).has_value()) return best;
  const auto& uses = of_kv ? technique.kv : technique.linear;
  for (size_t t = 0; t < uses.size(); ++t) {
    double sum = 0;
    double rest = 0;
    for (int64_t s = 0; s < losses.num_sites() && uses[t] != 0; ++s) {
      const recipe::SiteKind kind = search::site_kind(losses, s);
      if (kind == recipe::SiteKind::kHead || (kind == recipe::SiteKind::kKv) != of_kv) continue;
      const bool executed =
          table.sites[static_cast<size_t>(kind)].latency_ns[t] < silicon::kIllegal;
      sum += executed ? losses.loss[static_cast<size_t>(s)][t]
                      : std::numeric_limits<double>::infinity();
      const int32_t left =
          treatment_without(technique, asker.tables().menu, kind, static_cast<int32_t>(t));
      rest += losses.loss[static_cast<size_t>(s)][static_cast<size_t>(left)];
    }
    if (uses[t] == 0 || sum >= best.predicted_nats) continue;
    best.predicted_nats = sum;
    best.rest_nats = std::isfinite(rest) ? std::min(rest, sum) : 0;
    best.name = of_kv ? "bf16+kv:" + recipe::treatment_name(asker.tables().menu.kv[t])
                      : recipe::treatment_name(asker.tables().menu.linear[t]);
  }
  return best;
}

}  // namespace

Result<std::vector<std::string>> falsifiers_of_used(const Asker& asker, const Row& row) {
  std::vector<std::string> sentences;
  DOVETAIL_TRY(const std::optional<double> factor,
               asker.equal_cost_factor(row.technique, row.silicon));
  // Already at this loss: the row says so itself.
  if (factor.has_value() && *factor > 1) add_loss(asker, row, *factor, sentences);
  if (row.equal_loss.has_value()) add_cost(asker, row, sentences);
  add_area(asker, row, sentences);
  return sentences;
}

std::vector<std::string> falsifiers_of_unused(const Asker& asker, const Row& row,
                                              const Entry& entry) {
  if (!entry.at_frac.has_value()) return {};
  const auto band = asker.tables().bands.find(asker.point().rotations.front());
  const double bias = band == asker.tables().bands.end() ? 1 : band->second.bias_ratio;
  if (row.technique.kind == TechniqueKind::kRotation) {
    const auto own = asker.tables().bands.find(row.technique.rotation);
    if (own == asker.tables().bands.end()) return {};
    return {fmt::format("measured over predicted KL below {:.3g} under {} (found {:.3g})",
                        *entry.at_frac * own->second.bias_ratio, row.technique.name,
                        own->second.bias_ratio)};
  }
  const bool of_kv = std::ranges::any_of(row.technique.kv, [](uint8_t uses) { return uses != 0; });
  const Uniform uniform = best_uniform(asker, row.technique, of_kv);
  if (!std::isfinite(uniform.predicted_nats)) return {};
  const double expected = uniform.predicted_nats * bias;
  const double rest = uniform.rest_nats * bias;
  const double threshold = rest + *entry.at_frac * (expected - rest);
  return {
      fmt::format("KL of uniform {} below {:.4g} nats on the selection text (expected {:.4g}): "
                  "{} would then save cost in this answer",
                  uniform.name, threshold, expected, row.technique.name)};
}

}  // namespace dovetail::roadmap
