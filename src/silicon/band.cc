#include "silicon/band.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "silicon/constants.h"

namespace dovetail::silicon {
namespace {

ConstantScope scope_of(const chip::Chip& chip) {
  ConstantScope scope = {
      .nodes = {chip.node}, .dram_kinds = {chip.dram.kind}, .link_kinds = {}, .pairs = {}};
  if (chip.scale_up.links > 0) scope.link_kinds = {chip.scale_up.link_kind};
  for (const chip::MatrixUnit& unit : chip.units) {
    scope.pairs.insert(scope.pairs.end(), unit.pairs.begin(), unit.pairs.end());
  }
  return scope;
}

struct Move {
  std::string constant;
  double to = 0;
};

std::vector<Move> moves_of(const Technology& technology, const chip::Chip& chip) {
  const ConstantScope scope = scope_of(chip);
  std::vector<Move> moves;
  for (const auto& [key, constant] : technology.constants()) {
    if (!concerns(key, scope)) continue;
    if (constant.low < constant.value) moves.push_back({key, constant.low});
    if (constant.high > constant.value) moves.push_back({key, constant.high});
  }
  return moves;
}

void add_causes(const std::vector<Move>& moves, const std::vector<double>& squares, Band& band) {
  double sum = 0;
  for (const double square : squares) sum += square;
  if (sum <= 0) return;
  for (size_t i = 0; i < moves.size(); ++i) {
    if (squares[i] <= 0) continue;
    if (!band.causes.empty() && band.causes.back().constant == moves[i].constant) {
      band.causes.back().share_frac += squares[i] / sum;
    } else {
      band.causes.push_back({moves[i].constant, squares[i] / sum});
    }
  }
  std::stable_sort(band.causes.begin(), band.causes.end(),
                   [](const auto& a, const auto& b) { return a.share_frac > b.share_frac; });
}

}  // namespace

bool concerns(const std::string& key, const ConstantScope& scope) {
  const auto names_another = [&](const std::string& prefix, const std::vector<std::string>& names) {
    if (!key.starts_with(prefix)) return false;
    return std::ranges::none_of(
        names, [&](const std::string& name) { return key.starts_with(prefix + name + "."); });
  };
  return !names_another("nodes.", scope.nodes) && !names_another("dram.", scope.dram_kinds) &&
         !names_another("links.", scope.link_kinds) && concerns_pairs(key, scope.pairs);
}

Result<std::vector<Band>> bands(const Technology& technology, const chip::Chip& chip,
                                const BandedAnswers& answers) {
  DOVETAIL_TRY(const std::vector<double> center, answers(technology));
  const std::vector<Move> moves = moves_of(technology, chip);
  std::vector<std::vector<double>> moved(moves.size());
  parallel_for(static_cast<int64_t>(moves.size()), [&](int64_t i, int64_t) {
    const Move& move = moves[static_cast<size_t>(i)];
    auto values = answers(technology.with(move.constant, move.to));
    if (values.has_value()) moved[static_cast<size_t>(i)] = std::move(*values);
  });
  std::vector<Band> result;
  for (size_t a = 0; a < center.size(); ++a) {
    double below = 0;
    double above = 0;
    std::vector<double> squares(moves.size(), 0.0);
    for (size_t i = 0; i < moves.size(); ++i) {
      if (moved[i].empty() || !std::isfinite(moved[i][a])) continue;
      const double change = moved[i][a] - center[a];
      squares[i] = change * change;
      (change < 0 ? below : above) += squares[i];
    }
    Band band = {center[a], center[a] - std::sqrt(below), center[a] + std::sqrt(above), {}};
    add_causes(moves, squares, band);
    result.push_back(std::move(band));
  }
  return result;
}

}  // namespace dovetail::silicon
