#include "search/allocation.h"

#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace dovetail::search {
namespace {

// Sums are formed in different orders by solver and judge.
constexpr double kRelativeTolerance = 1e-9;

Status check_numbers(std::string_view name, const std::vector<double>& values, size_t num_options) {
  if (values.size() != num_options) {
    return invalid_argument(fmt::format("{} has {} entries, want {} (option_begin.back())", name,
                                        values.size(), num_options));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]) || values[i] < 0) {
      return invalid_argument(
          fmt::format("{}[{}] = {}, want a finite number >= 0", name, i, values[i]));
    }
  }
  return {};
}

Status check_limit(std::string_view name, double limit) {
  if (std::isnan(limit) || limit < 0) {
    return invalid_argument(fmt::format("{} = {}, want >= 0 or infinity", name, limit));
  }
  return {};
}

std::unexpected<Error> wrong(std::string message) {
  return std::unexpected(Error{ErrorCode::kInternal, std::move(message)});
}

bool near(double a, double b) {
  return std::abs(a - b) <= kRelativeTolerance * std::max(std::abs(a), std::abs(b));
}

Status verify_sum(std::string_view name, double stated, double sum, double limit) {
  if (!near(stated, sum))
    return wrong(fmt::format("{} = {}, but the choice sums to {}", name, stated, sum));
  if (sum > limit * (1 + kRelativeTolerance)) {
    return wrong(fmt::format("{} = {}, above its limit {}", name, sum, limit));
  }
  return {};
}

// A limit that is called impossible alone must be so.
Status verify_infeasible(const AllocationProblem& problem, const Allocation& allocation) {
  const std::vector<double>* use = nullptr;
  double limit = 0;
  if (allocation.binding == "loss") {
    use = &problem.loss;
    limit = problem.max_loss;
  } else if (allocation.binding == "sram_bytes") {
    use = &problem.sram_bytes;
    limit = problem.max_sram_bytes;
  } else if (allocation.binding == "dram_bytes") {
    use = &problem.dram_bytes;
    limit = problem.max_dram_bytes;
  } else if (allocation.binding == "together") {
    return {};
  } else {
    return wrong(fmt::format("binding = \"{}\", want loss, sram_bytes, dram_bytes or together",
                             allocation.binding));
  }
  double least = 0;
  for (size_t s = 0; s + 1 < problem.option_begin.size(); ++s) {
    double site_least = std::numeric_limits<double>::infinity();
    for (int32_t j = problem.option_begin[s]; j < problem.option_begin[s + 1]; ++j) {
      site_least = std::min(site_least, (*use)[static_cast<size_t>(j)]);
    }
    least += site_least;
  }
  if (least <= limit) {
    return wrong(fmt::format("binding = \"{}\", but {} of {} is reachable", allocation.binding,
                             least, limit));
  }
  return {};
}

}  // namespace

Status check(const AllocationProblem& problem) {
  const std::vector<int32_t>& begin = problem.option_begin;
  if (begin.empty() || begin.front() != 0) {
    return invalid_argument("option_begin: want 0 as its first entry");
  }
  for (size_t s = 0; s + 1 < begin.size(); ++s) {
    if (begin[s + 1] <= begin[s]) {
      return invalid_argument(
          fmt::format("option_begin[{}] = {}, want more than {} (site {} has no option)", s + 1,
                      begin[s + 1], begin[s], s));
    }
  }
  const auto num_options = static_cast<size_t>(begin.back());
  DOVETAIL_TRY_STATUS(check_numbers("cost", problem.cost, num_options));
  DOVETAIL_TRY_STATUS(check_numbers("loss", problem.loss, num_options));
  DOVETAIL_TRY_STATUS(check_numbers("sram_bytes", problem.sram_bytes, num_options));
  DOVETAIL_TRY_STATUS(check_numbers("dram_bytes", problem.dram_bytes, num_options));
  DOVETAIL_TRY_STATUS(check_limit("max_loss", problem.max_loss));
  DOVETAIL_TRY_STATUS(check_limit("max_sram_bytes", problem.max_sram_bytes));
  return check_limit("max_dram_bytes", problem.max_dram_bytes);
}

Status verify(const AllocationProblem& problem, const Allocation& allocation) {
  DOVETAIL_TRY_STATUS(check(problem));
  if (allocation.status == AllocationStatus::kInfeasible) {
    return verify_infeasible(problem, allocation);
  }
  const auto num_sites = static_cast<size_t>(problem.num_sites());
  if (allocation.choice.size() != num_sites) {
    return wrong(fmt::format("choice has {} sites, want {}", allocation.choice.size(), num_sites));
  }
  double cost = 0;
  double loss = 0;
  double sram_bytes = 0;
  double dram_bytes = 0;
  for (size_t s = 0; s < num_sites; ++s) {
    const int32_t num_options = problem.option_begin[s + 1] - problem.option_begin[s];
    if (allocation.choice[s] < 0 || allocation.choice[s] >= num_options) {
      return wrong(
          fmt::format("choice[{}] = {}, want 0..{}", s, allocation.choice[s], num_options - 1));
    }
    const auto j = static_cast<size_t>(problem.option_begin[s] + allocation.choice[s]);
    cost += problem.cost[j];
    loss += problem.loss[j];
    sram_bytes += problem.sram_bytes[j];
    dram_bytes += problem.dram_bytes[j];
  }
  const double any = std::numeric_limits<double>::infinity();
  DOVETAIL_TRY_STATUS(verify_sum("cost", allocation.cost, cost, any));
  DOVETAIL_TRY_STATUS(verify_sum("loss", allocation.loss, loss, problem.max_loss));
  DOVETAIL_TRY_STATUS(
      verify_sum("sram_bytes", allocation.sram_bytes, sram_bytes, problem.max_sram_bytes));
  DOVETAIL_TRY_STATUS(
      verify_sum("dram_bytes", allocation.dram_bytes, dram_bytes, problem.max_dram_bytes));
  // Written so that a bound or gap that is not a number fails.
  if (!(allocation.bound <= cost * (1 + kRelativeTolerance))) {
    return wrong(fmt::format("bound = {}, above the cost {}", allocation.bound, cost));
  }
  const double gap_frac = cost > 0 ? std::max(0.0, (cost - allocation.bound) / cost) : 0.0;
  if (!(std::abs(allocation.gap_frac - gap_frac) <= kRelativeTolerance)) {
    return wrong(
        fmt::format("gap_frac = {}, but cost and bound give {}", allocation.gap_frac, gap_frac));
  }
  return {};
}

}  // namespace dovetail::search
