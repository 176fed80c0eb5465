#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "search/chip_allocator.h"

namespace dovetail::search {
namespace {

// All sums of some of the parts, as shares of their total.
std::vector<double> subset_shares(const std::vector<int64_t>& parts) {
  int64_t total = 0;
  for (const int64_t part : parts) total += part;
  std::vector<int64_t> sums;
  for (size_t subset = 0; subset < (size_t{1} << parts.size()); ++subset) {
    int64_t sum = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      if ((subset >> i & 1) != 0) sum += parts[i];
    }
    sums.push_back(sum);
  }
  std::sort(sums.begin(), sums.end());
  sums.erase(std::unique(sums.begin(), sums.end()), sums.end());
  std::vector<double> shares;
  for (const int64_t sum : sums) {
    shares.push_back(static_cast<double>(sum) / static_cast<double>(total));
  }
  return shares;
}

// Index of the option with this treatment and share; -1 if it is not listed.
int32_t find_option(const ChipProblem& problem, size_t site, int32_t treatment, float share) {
  const int32_t begin = problem.problem.option_begin[site];
  for (int32_t j = begin; j < problem.problem.option_begin[site + 1]; ++j) {
    const ChipProblem::Option& option = problem.options[static_cast<size_t>(j)];
    if (option.treatment == treatment && option.resident_frac == share) return j - begin;
  }
  return -1;
}

}  // namespace

ResidencyLevels residency_levels(const model::ModelShape& shape) {
  ResidencyLevels levels;
  for (std::vector<double>& shares : levels.shares) shares = {0, 1};
  levels.shares[static_cast<size_t>(recipe::SiteKind::kAttnQkv)] =
      subset_shares({shape.q_size(), shape.kv_size(), shape.kv_size()});
  levels.shares[static_cast<size_t>(recipe::SiteKind::kMlpGateUp)] = subset_shares({1, 1});
  levels.shares[static_cast<size_t>(recipe::SiteKind::kHead)] =
      subset_shares(std::vector<int64_t>(static_cast<size_t>(kHeadSlices), 1));
  return levels;
}

Result<ChipProblem> make_problem(const silicon::CostTable& table, Metric metric,
                                 const LossTable& losses, const ResidencyLevels& levels,
                                 double cap) {
  ChipProblem result;
  AllocationProblem& problem = result.problem;
  problem.option_begin.push_back(0);
  for (int64_t s = 0; s < losses.num_sites(); ++s) {
    const auto kind = static_cast<size_t>(site_kind(losses, s));
    const silicon::SiteCosts& costs = table.sites[kind];
    const bool latency = metric == Metric::kLatency;
    const std::vector<float>& streamed = latency ? costs.latency_ns : costs.energy_pj;
    const std::vector<float>& resident =
        latency ? costs.resident_latency_ns : costs.resident_energy_pj;
    const std::vector<double>& loss = losses.loss[static_cast<size_t>(s)];
    for (size_t t = 0; t < loss.size(); ++t) {
      if (loss[t] == kForbidden || streamed[t] >= silicon::kIllegal) continue;
      const double bytes = costs.bytes[t];
      for (const double share : levels.shares[kind]) {
        const bool fits = share * bytes <= table.sram_bytes && resident[t] < silicon::kIllegal;
        if (share > 0 && !fits) break;
        const double from = streamed[t];
        problem.cost.push_back(share > 0 ? from + share * (resident[t] - from) : from);
        problem.loss.push_back(loss[t]);
        problem.sram_bytes.push_back(share * bytes);
        problem.dram_bytes.push_back((1 - share) * bytes);
        result.options.push_back({static_cast<int32_t>(t), static_cast<float>(share)});
      }
    }
    problem.option_begin.push_back(static_cast<int32_t>(problem.cost.size()));
    if (problem.option_begin.back() == problem.option_begin[static_cast<size_t>(s)]) {
      return invalid_argument(fmt::format(
          "site {}: no treatment that the chip executes and the losses allow, want at least one",
          s));
    }
  }
  problem.max_loss = cap;
  problem.max_sram_bytes = std::max(0.0, table.sram_bytes);
  problem.max_dram_bytes = std::max(0.0, table.dram_bytes - table.fixed_dram_bytes);
  return result;
}

Allocation to_allocation(const ChipProblem& problem, const ChipAllocation& result) {
  Allocation allocation;
  allocation.bound = result.bound;
  if (!result.feasible) {
    allocation.binding = "together";
    return allocation;
  }
  allocation.status = AllocationStatus::kSolved;
  for (size_t s = 0; s < result.treatments.size(); ++s) {
    allocation.choice.push_back(
        find_option(problem, s, result.treatments[s], result.resident_frac[s]));
  }
  allocation.cost = result.cost;
  allocation.loss = result.loss;
  allocation.sram_bytes = result.sram_bytes;
  allocation.dram_bytes = result.dram_bytes;
  allocation.gap_frac =
      result.cost > 0 ? std::max(0.0, (result.cost - result.bound) / result.cost) : 0;
  allocation.loss_price = result.loss_price;
  allocation.sram_price = result.sram_price;
  return allocation;
}

ChipAllocation to_chip_allocation(const ChipProblem& problem, const Allocation& allocation) {
  ChipAllocation result;
  result.feasible = allocation.status == AllocationStatus::kSolved;
  result.bound = allocation.bound;
  if (!result.feasible) return result;
  result.cost = allocation.cost;
  result.loss = allocation.loss;
  result.sram_bytes = allocation.sram_bytes;
  result.dram_bytes = allocation.dram_bytes;
  result.loss_price = allocation.loss_price;
  result.sram_price = allocation.sram_price;
  for (size_t s = 0; s < allocation.choice.size(); ++s) {
    const auto j = static_cast<size_t>(problem.problem.option_begin[s] + allocation.choice[s]);
    result.treatments.push_back(problem.options[j].treatment);
    result.resident_frac.push_back(problem.options[j].resident_frac);
  }
  return result;
}

}  // namespace dovetail::search
