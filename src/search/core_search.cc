#include "search/core_search.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Sums here run in another order than those of `verify`; stay clear of its tolerance.
constexpr double kLimitTolerance = 1e-12;
constexpr double kLeastSaving = 1e-12;  // of the cost: less is rounding

}  // namespace

void CoreSearch::reset(int32_t num_sites, double cost, const Use& used, const Use& limit) {
  cost_ = cost;
  used_ = used;
  limit_ = limit;
  for (double& l : limit_) l *= 1 + kLimitTolerance;
  options_.clear();
  chosen_.assign(static_cast<size_t>(num_sites), -1);
}

void CoreSearch::add(const CoreOption& option, bool chosen) {
  if (chosen) {
    chosen_[static_cast<size_t>(option.site)] = static_cast<int32_t>(options_.size());
    cost_ += option.cost;
    for (size_t i = 0; i < kMaxLimits; ++i) used_[i] += option.use[i];
  }
  options_.push_back(option);
}

bool CoreSearch::feasible() const {
  return fits({});
}

bool CoreSearch::fits(const Use& change) const {
  bool ok = true;
  for (size_t i = 0; i < kMaxLimits; ++i) ok &= used_[i] + change[i] <= limit_[i];
  return ok;
}

double CoreSearch::violation_after(const Use& change) const {
  double violation = 0;
  for (size_t i = 0; i < kMaxLimits; ++i) {
    violation += std::max(0.0, used_[i] + change[i] - limit_[i]);
  }
  return violation;
}

CoreSearch::Move CoreSearch::move_to(int32_t option) const {
  const CoreOption& to = options_[static_cast<size_t>(option)];
  const CoreOption& from = options_[static_cast<size_t>(chosen_[static_cast<size_t>(to.site)])];
  Move move{.cost = to.cost - from.cost, .use = {}, .site = to.site, .option = option};
  for (size_t i = 0; i < kMaxLimits; ++i) move.use[i] = to.use[i] - from.use[i];
  return move;
}

void CoreSearch::apply(const Move& move) {
  cost_ += move.cost;
  for (size_t i = 0; i < kMaxLimits; ++i) used_[i] += move.use[i];
  chosen_[static_cast<size_t>(move.site)] = move.option;
  const int32_t site = move.site;
  for (int32_t j = 0; j < static_cast<int32_t>(options_.size()); ++j) {
    if (options_[static_cast<size_t>(j)].site == site) moves_[static_cast<size_t>(j)] = move_to(j);
  }
}

void CoreSearch::list_moves() {
  moves_.resize(options_.size());
  for (int32_t j = 0; j < static_cast<int32_t>(options_.size()); ++j) {
    moves_[static_cast<size_t>(j)] = move_to(j);
  }
}

bool CoreSearch::repair() {
  list_moves();
  for (double violation = violation_after({}); violation > 0;) {
    double best_score = kInfinity;
    Move best;
    for (const Move& move : moves_) {
      const double removed = violation - violation_after(move.use);
      if (removed <= 0) continue;
      const double reduced = options_[static_cast<size_t>(move.option)].reduced_cost;
      const double score = (reduced + kLeastSaving) / removed;
      if (score < best_score) {
        best_score = score;
        best = move;
      }
    }
    if (best_score == kInfinity) return false;
    apply(best);
    violation = violation_after({});
  }
  return true;
}

void CoreSearch::improve(double good_enough, int max_exchanges) {
  list_moves();
  for (int exchanges = 0; cost_ > good_enough;) {
    if (improve_single()) continue;
    if (exchanges == max_exchanges || !exchange_two()) return;
    ++exchanges;
  }
}

bool CoreSearch::improve_single() {
  const Move* best = nullptr;
  for (const Move& move : moves_) {
    if (move.cost < (best ? best->cost : -kLeastSaving * cost_) && fits(move.use)) best = &move;
  }
  if (best == nullptr) return false;
  apply(Move(*best));
  return true;
}

// A saving that does not fit by itself, with a change elsewhere that makes room.
bool CoreSearch::exchange_two() {
  savings_.clear();
  for (const Move& move : moves_) {
    if (move.cost < 0) savings_.push_back(move);
  }
  double best_cost = -kLeastSaving * cost_;
  Move first;
  Move second;
  for (const Move& a : savings_) {
    const double most = best_cost - a.cost;
    for (const Move& b : moves_) {
      if (b.cost >= most || a.cost + b.cost >= best_cost || a.site == b.site) continue;
      Use both = a.use;
      for (size_t i = 0; i < kMaxLimits; ++i) both[i] += b.use[i];
      if (!fits(both)) continue;
      best_cost = a.cost + b.cost;
      first = a;
      second = b;
    }
  }
  if (best_cost >= -kLeastSaving * cost_) return false;
  apply(first);
  apply(second);
  return true;
}

}  // namespace dovetail::search
