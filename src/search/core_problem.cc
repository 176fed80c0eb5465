#include "search/core_problem.h"

#include <algorithm>
#include <numeric>

namespace dovetail::search {
namespace {

constexpr double kLimitTolerance = 1e-12;  // sums are formed in several orders

struct Limits {
  std::array<const std::vector<double>*, kMaxLimits> use;
  std::array<double, kMaxLimits> limit;
};

Limits limits_of(const AllocationProblem& problem) {
  return {{&problem.loss, &problem.sram_bytes, &problem.dram_bytes},
          {problem.max_loss, problem.max_sram_bytes, problem.max_dram_bytes}};
}

template <typename Better>
double sum_of_best(const std::vector<int32_t>& begin, const std::vector<double>& values,
                   Better&& better) {
  double sum = 0;
  for (size_t s = 0; s + 1 < begin.size(); ++s) {
    sum += *std::min_element(values.begin() + begin[s], values.begin() + begin[s + 1], better);
  }
  return sum;
}

// Options that keep every limit by themselves, cheapest first within each site.
struct Survivors {
  std::vector<int32_t> begin = {0};
  std::vector<int32_t> option;
};

Survivors survivors_of(const AllocationProblem& problem, const Limits& limits) {
  Survivors result;
  for (size_t s = 0; s + 1 < problem.option_begin.size(); ++s) {
    for (int32_t j = problem.option_begin[s]; j < problem.option_begin[s + 1]; ++j) {
      bool fits = true;
      for (size_t i = 0; i < kMaxLimits; ++i) {
        fits &= (*limits.use[i])[static_cast<size_t>(j)] <= limits.limit[i] * (1 + kLimitTolerance);
      }
      if (fits) result.option.push_back(j);
    }
    std::sort(result.option.begin() + result.begin.back(), result.option.end(),
              [&](int32_t a, int32_t b) {
                const double cost_a = problem.cost[static_cast<size_t>(a)];
                const double cost_b = problem.cost[static_cast<size_t>(b)];
                return cost_a != cost_b ? cost_a < cost_b : a < b;
              });
    result.begin.push_back(static_cast<int32_t>(result.option.size()));
    if (result.begin.back() == result.begin[s]) return {};
  }
  return result;
}

std::vector<double> gather(const std::vector<double>& values, const std::vector<int32_t>& index,
                           double unit) {
  std::vector<double> result(index.size());
  for (size_t i = 0; i < index.size(); ++i) {
    result[i] = values[static_cast<size_t>(index[i])] / unit;
  }
  return result;
}

}  // namespace

std::string impossible_limit(const AllocationProblem& problem) {
  const Limits limits = limits_of(problem);
  const std::array<const char*, kMaxLimits> names = {"loss", "sram_bytes", "dram_bytes"};
  for (size_t i = 0; i < kMaxLimits; ++i) {
    const double least = sum_of_best(problem.option_begin, *limits.use[i], std::less<>());
    if (least > limits.limit[i] * (1 + kLimitTolerance)) return names[i];
  }
  return "";
}

CoreProblem make_core(const AllocationProblem& problem) {
  const Limits limits = limits_of(problem);
  Survivors survivors = survivors_of(problem, limits);
  CoreProblem core;
  if (survivors.option.empty() && problem.num_sites() > 0) return core;
  core.begin = std::move(survivors.begin);
  core.cost = gather(problem.cost, survivors.option, 1);
  core.cost_unit = sum_of_best(core.begin, core.cost, std::greater<>());
  if (core.cost_unit <= 0) core.cost_unit = 1;
  for (double& cost : core.cost) cost /= core.cost_unit;
  for (size_t i = 0; i < kMaxLimits; ++i) {
    std::vector<double> use = gather(*limits.use[i], survivors.option, 1);
    if (sum_of_best(core.begin, use, std::greater<>()) <= limits.limit[i]) continue;
    const auto kept = static_cast<size_t>(core.num_limits++);
    core.limit_kind[kept] = static_cast<int>(i);
    core.limit_unit[kept] = limits.limit[i];
    core.limit[kept] = 1;
    for (double& u : use) u /= limits.limit[i];
    core.use[kept] = std::move(use);
  }
  core.label = std::move(survivors.option);
  for (size_t s = 0; s + 1 < core.begin.size(); ++s) {
    for (int32_t j = core.begin[s]; j < core.begin[s + 1]; ++j) {
      core.label[static_cast<size_t>(j)] -= problem.option_begin[s];
    }
  }
  return core;
}

CoreProblem shrink_core(const CoreProblem& core, const std::vector<uint8_t>& keep) {
  CoreProblem result = core;
  size_t kept = 0;
  for (size_t s = 0; s + 1 < core.begin.size(); ++s) {
    for (auto j = static_cast<size_t>(core.begin[s]); j < static_cast<size_t>(core.begin[s + 1]);
         ++j) {
      if (keep[j] == 0) continue;
      result.cost[kept] = core.cost[j];
      result.label[kept] = core.label[j];
      for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) {
        result.use[i][kept] = core.use[i][j];
      }
      ++kept;
    }
    result.begin[s + 1] = static_cast<int32_t>(kept);
  }
  result.cost.resize(kept);
  result.label.resize(kept);
  for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) result.use[i].resize(kept);
  return result;
}

CoreRanges full_ranges(const CoreProblem& core) {
  return {{core.begin.begin(), core.begin.end() - 1}, {core.begin.begin() + 1, core.begin.end()}};
}

void price_choice(const CoreProblem& core, const CoreRanges& ranges, const Use& prices,
                  std::vector<double>& priced, PricedChoice& result) {
  const size_t num_options = core.cost.size();
  priced = core.cost;
  for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) {
    const double price = prices[i];
    const double* use = core.use[i].data();
    double* out = priced.data();
    for (size_t j = 0; j < num_options; ++j) out[j] += price * use[j];
  }
  result.choice.resize(ranges.low.size());
  result.column = {};
  result.bound = 0;
  for (size_t s = 0; s < ranges.low.size(); ++s) {
    int32_t best = ranges.low[s];
    double best_priced = priced[static_cast<size_t>(best)];
    for (int32_t j = best + 1; j < ranges.high[s]; ++j) {
      const double value = priced[static_cast<size_t>(j)];
      if (value < best_priced) {
        best_priced = value;
        best = j;
      }
    }
    result.choice[s] = best;
    result.bound += best_priced;
    result.column.cost += core.cost[static_cast<size_t>(best)];
    for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) {
      result.column.use[i] += core.use[i][static_cast<size_t>(best)];
    }
  }
  for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) {
    result.bound -= prices[i] * core.limit[i];
  }
}

}  // namespace dovetail::search
