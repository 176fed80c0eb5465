#include "search/core_labels.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLimitTolerance = 1e-12;

struct Label {
  double value = 0;                // priced cost so far
  std::array<double, 2> use = {};  // of the exact limits
  int32_t parent = 0;
  int32_t option = 0;
};

// Least cost by use of the second limit, for labels that come in ascending use of the first.
class Staircase {
 public:
  void clear() { steps_.clear(); }
  // Least value among those with at most this use; infinity if none.
  [[nodiscard]] double least(double use) const {
    const auto above = std::upper_bound(steps_.begin(), steps_.end(), use,
                                        [](double u, const Step& step) { return u < step.use; });
    return above == steps_.begin() ? kInfinity : (above - 1)->value;
  }
  void insert(double use, double value) {
    const auto first = std::lower_bound(steps_.begin(), steps_.end(), use,
                                        [](const Step& step, double u) { return step.use < u; });
    auto last = first;
    while (last != steps_.end() && last->value >= value) ++last;
    if (first == last) {
      steps_.insert(first, {use, value});
    } else {
      *first = {use, value};
      steps_.erase(first + 1, last);
    }
  }

 private:
  struct Step {
    double use;
    double value;
  };
  std::vector<Step> steps_;  // use ascends, value descends
};

class Labelling {
 public:
  Labelling(const CoreProblem& core, const LabelParams& params);
  LabelResult run();

 private:
  void order_sites();
  void sum_suffixes();
  bool extend(size_t stage, const std::vector<Label>& from, std::vector<Label>& to);
  void drop_dominated(std::vector<Label>& labels);
  [[nodiscard]] std::vector<int32_t> trace(size_t last) const;
  [[nodiscard]] double feasible_cost(const std::vector<int32_t>& choice) const;
  [[nodiscard]] double exact_use(size_t e, int32_t option) const {
    return core_.use[static_cast<size_t>(params_.exact[e])][static_cast<size_t>(option)];
  }
  // Of one option at all prices.
  [[nodiscard]] double full_price(int32_t option) const;

  const CoreProblem& core_;
  const LabelParams& params_;
  size_t num_exact_;
  double constant_ = 0;        // what the priced limits give back
  double exact_constant_ = 0;  // the same of the exact limits, in the completion bound
  std::array<double, 2> limit_ = {kInfinity, kInfinity};
  std::array<double, 2> price_ = {};
  std::vector<double> priced_;       // by option: cost plus price of the priced limits
  std::vector<int32_t> site_;        // in order of extension
  std::vector<double> suffix_full_;  // least full price of the sites from here on
  std::vector<std::array<double, 2>> suffix_use_;
  std::vector<std::vector<Label>> stages_;
  Staircase staircase_;
  int64_t num_labels_ = 0;
};

Labelling::Labelling(const CoreProblem& core, const LabelParams& params)
    : core_(core), params_(params), num_exact_(params.exact.size()), priced_(core.cost) {
  for (int i = 0; i < core.num_limits; ++i) {
    const auto l = static_cast<size_t>(i);
    const auto exact = std::find(params.exact.begin(), params.exact.end(), i);
    if (exact != params.exact.end()) {
      const auto e = static_cast<size_t>(exact - params.exact.begin());
      limit_[e] = core.limit[l] * (1 + kLimitTolerance);
      price_[e] = params.prices[l];
      exact_constant_ += params.prices[l] * core.limit[l];
      continue;
    }
    constant_ += params.prices[l] * core.limit[l];
    for (size_t j = 0; j < priced_.size(); ++j) priced_[j] += params.prices[l] * core.use[l][j];
  }
  order_sites();
  sum_suffixes();
}

double Labelling::full_price(int32_t option) const {
  double value = priced_[static_cast<size_t>(option)];
  for (size_t e = 0; e < num_exact_; ++e) value += price_[e] * exact_use(e, option);
  return value;
}

// Sites with large steps first: what is left over is then filled with small ones. Sites that are
// alike become neighbours, which keeps labels few.
void Labelling::order_sites() {
  std::vector<double> spread;
  for (size_t s = 0; s + 1 < core_.begin.size(); ++s) {
    const auto [low, high] = std::minmax_element(core_.cost.begin() + core_.begin[s],
                                                 core_.cost.begin() + core_.begin[s + 1]);
    spread.push_back(*high - *low);
  }
  site_.resize(spread.size());
  std::iota(site_.begin(), site_.end(), 0);
  std::stable_sort(site_.begin(), site_.end(), [&](int32_t a, int32_t b) {
    return spread[static_cast<size_t>(a)] > spread[static_cast<size_t>(b)];
  });
}

void Labelling::sum_suffixes() {
  suffix_full_.assign(site_.size() + 1, 0);
  suffix_use_.assign(site_.size() + 1, {});
  for (size_t k = site_.size(); k-- > 0;) {
    const auto s = static_cast<size_t>(site_[k]);
    double least = kInfinity;
    std::array<double, 2> least_use = {kInfinity, kInfinity};
    for (int32_t j = core_.begin[s]; j < core_.begin[s + 1]; ++j) {
      least = std::min(least, full_price(j));
      for (size_t e = 0; e < num_exact_; ++e) {
        least_use[e] = std::min(least_use[e], exact_use(e, j));
      }
    }
    suffix_full_[k] = suffix_full_[k + 1] + least;
    for (size_t e = 0; e < num_exact_; ++e) {
      suffix_use_[k][e] = suffix_use_[k + 1][e] + least_use[e];
    }
  }
}

// All labels of the next stage; false if there are too many.
bool Labelling::extend(size_t stage, const std::vector<Label>& from, std::vector<Label>& to) {
  const auto s = static_cast<size_t>(site_[stage]);
  const double most = params_.cutoff + constant_ + exact_constant_ - suffix_full_[stage + 1];
  to.clear();
  for (int32_t parent = 0; parent < static_cast<int32_t>(from.size()); ++parent) {
    const Label& label = from[static_cast<size_t>(parent)];
    for (int32_t j = core_.begin[s]; j < core_.begin[s + 1]; ++j) {
      Label next{.value = label.value + priced_[static_cast<size_t>(j)],
                 .use = label.use,
                 .parent = parent,
                 .option = j};
      double full = next.value;
      bool fits = true;
      for (size_t e = 0; e < num_exact_; ++e) {
        next.use[e] += exact_use(e, j);
        full += price_[e] * next.use[e];
        fits &= next.use[e] + suffix_use_[stage + 1][e] <= limit_[e];
      }
      if (fits && full < most) to.push_back(next);
    }
    if (num_labels_ + static_cast<int64_t>(to.size()) > params_.max_labels) return false;
  }
  num_labels_ += static_cast<int64_t>(to.size());
  return true;
}

// Removes labels that another one beats in both uses and, up to this site's share of the
// tolerance, in value.
void Labelling::drop_dominated(std::vector<Label>& labels) {
  const double slack = params_.tolerance / static_cast<double>(site_.size());
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) {
    if (a.use[0] != b.use[0]) return a.use[0] < b.use[0];
    if (a.use[1] != b.use[1]) return a.use[1] < b.use[1];
    if (a.value != b.value) return a.value < b.value;
    return a.parent != b.parent ? a.parent < b.parent : a.option < b.option;
  });
  staircase_.clear();
  size_t kept = 0;
  for (const Label& label : labels) {
    if (staircase_.least(label.use[1]) <= label.value + slack) continue;
    staircase_.insert(label.use[1], label.value);
    labels[kept++] = label;
  }
  labels.resize(kept);
}

LabelResult Labelling::run() {
  LabelResult result;
  stages_.assign(site_.size() + 1, {});
  stages_[0].push_back({});
  for (size_t stage = 0; stage < site_.size(); ++stage) {
    if (!extend(stage, stages_[stage], stages_[stage + 1])) return result;
    drop_dominated(stages_[stage + 1]);
  }
  result.complete = true;
  result.bound = params_.cutoff;
  const std::vector<Label>& last = stages_.back();
  double least = kInfinity;
  double least_cost = kInfinity;
  for (size_t i = 0; i < last.size(); ++i) {
    const std::vector<int32_t> choice = trace(i);
    if (last[i].value < least) {
      least = last[i].value;
      result.least = choice;
    }
    const double cost = feasible_cost(choice);
    if (cost < least_cost) {
      least_cost = cost;
      result.feasible = choice;
    }
  }
  result.bound = std::min(result.bound, least - constant_) - params_.tolerance;
  return result;
}

std::vector<int32_t> Labelling::trace(size_t last) const {
  std::vector<int32_t> choice(site_.size());
  for (size_t stage = site_.size(); stage > 0; --stage) {
    const Label& label = stages_[stage][last];
    choice[static_cast<size_t>(site_[stage - 1])] = label.option;
    last = static_cast<size_t>(label.parent);
  }
  return choice;
}

// Infinity if a limit is broken.
double Labelling::feasible_cost(const std::vector<int32_t>& choice) const {
  for (size_t i = 0; i < static_cast<size_t>(core_.num_limits); ++i) {
    double use = 0;
    for (const int32_t j : choice) use += core_.use[i][static_cast<size_t>(j)];
    if (use > core_.limit[i] * (1 + kLimitTolerance)) return kInfinity;
  }
  double cost = 0;
  for (const int32_t j : choice) cost += core_.cost[static_cast<size_t>(j)];
  return cost;
}

}  // namespace

LabelResult set_labels(const CoreProblem& core, const LabelParams& params) {
  return Labelling(core, params).run();
}

}  // namespace dovetail::search
