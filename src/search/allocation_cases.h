// Allocation problems for tests and benchmarks: random ones of varied shape, and cost and loss
// tables shaped like those of real models.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "base/random.h"
#include "search/allocation.h"
#include "search/chip_allocator.h"
#include "search/loss_table.h"
#include "silicon/cost_table.h"

namespace dovetail::search {

struct RandomShape {
  int32_t num_sites = 10;
  int32_t max_options = 6;
  double loss_share = 0.3;  // limits as a share of the way from the least sum to the largest;
  double sram_share = 0.3;  // below 0: impossible alone; above 1: never binding
  double dram_share = 0.5;
  bool correlated = false;     // cost falls as the uses rise: the hard case
  bool whole_numbers = false;  // many exact ties
};

inline AllocationProblem random_problem(const RandomShape& shape, Random& random) {
  AllocationProblem problem;
  problem.option_begin.push_back(0);
  std::array<double, 3> least = {};
  std::array<double, 3> most = {};
  const auto draw = [&](double from, double to) {
    const double value = from + (to - from) * random.uniform();
    return shape.whole_numbers ? std::floor(value * 10) : value;
  };
  for (int32_t s = 0; s < shape.num_sites; ++s) {
    const auto count = static_cast<int32_t>(1 + random.below(shape.max_options));
    const double size = std::exp(2 * random.uniform());
    std::array<double, 3> site_least = {1e300, 1e300, 1e300};
    std::array<double, 3> site_most = {};
    for (int32_t j = 0; j < count; ++j) {
      const std::array<double, 3> use = {draw(0, size), draw(0, size), draw(0, size)};
      const double cost = shape.correlated
                              ? std::max(0.0, 4 * size * (shape.whole_numbers ? 10 : 1) - use[0] -
                                                  use[1] - use[2] + draw(0, 0.2))
                              : draw(0, 4 * size);
      problem.cost.push_back(cost);
      problem.loss.push_back(use[0]);
      problem.sram_bytes.push_back(use[1]);
      problem.dram_bytes.push_back(use[2]);
      for (size_t i = 0; i < 3; ++i) {
        site_least[i] = std::min(site_least[i], use[i]);
        site_most[i] = std::max(site_most[i], use[i]);
      }
    }
    problem.option_begin.push_back(static_cast<int32_t>(problem.cost.size()));
    for (size_t i = 0; i < 3; ++i) {
      least[i] += site_least[i];
      most[i] += site_most[i];
    }
  }
  const auto limit = [&](size_t i, double share) {
    return std::max(0.0, least[i] + share * (most[i] - least[i]));
  };
  problem.max_loss = limit(0, shape.loss_share);
  problem.max_sram_bytes = limit(1, shape.sram_share);
  problem.max_dram_bytes = limit(2, shape.dram_share);
  return problem;
}

// Llama 3 8B and SmolLM2-135M by shape.
inline model::ModelShape smollm2_shape() {
  return {.name = "smollm2-135m",
          .num_layers = 30,
          .hidden_size = 576,
          .intermediate_size = 1536,
          .num_heads = 9,
          .num_kv_heads = 3,
          .head_dim = 64,
          .vocab_size = 49152,
          .max_positions = 8192};
}
inline model::ModelShape llama8b_shape() {
  return {.name = "llama-3-8b",
          .num_layers = 32,
          .hidden_size = 4096,
          .intermediate_size = 14336,
          .num_heads = 32,
          .num_kv_heads = 8,
          .head_dim = 128,
          .vocab_size = 128256,
          .max_positions = 8192,
          .tied_embedding = false};
}

inline constexpr int64_t kCaseLinearTreatments = 30;
inline constexpr int64_t kCaseKvTreatments = 6;

// Stored bits of a treatment in the cases: bf16 first, then 2 to 8 bits with three group sizes or
// more. The second half of the list has cheaper activations.
inline double case_bits(int64_t treatment) {
  constexpr std::array<double, 6> kBits = {8, 6, 5, 4, 3, 2};
  constexpr std::array<double, 5> kOverhead = {0.02, 0.125, 0.25, 0.5, 0.07};
  if (treatment == 0) return 16;
  return kBits[static_cast<size_t>(treatment) % 6] + kOverhead[static_cast<size_t>(treatment) / 6];
}

// Losses fall by 4 per bit, with a factor per site that is log-normal.
inline LossTable case_losses(const model::ModelShape& shape, Random& random) {
  LossTable table;
  table.num_layers = shape.num_layers;
  table.menu.linear.resize(static_cast<size_t>(kCaseLinearTreatments));
  table.menu.kv.resize(static_cast<size_t>(kCaseKvTreatments));
  const auto normal = [&] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random.uniform();
    return sum;
  };
  for (int64_t s = 0; s < table.num_sites(); ++s) {
    const bool is_kv = s % recipe::kSitesPerLayer == 4 && s + 1 < table.num_sites();
    const double scale = 0.3 * std::exp(1.2 * normal());
    std::vector<double> row = {0};
    for (int64_t t = 1; t < (is_kv ? kCaseKvTreatments : kCaseLinearTreatments); ++t) {
      const double activation = t >= kCaseLinearTreatments / 2 ? 2e-4 * scale : 0;
      row.push_back(scale * std::exp2(-2 * case_bits(t)) * (1 + 0.3 * random.uniform()) +
                    activation);
    }
    table.loss.push_back(std::move(row));
  }
  return table;
}

// A chip: decode-like costs (bytes over bandwidth) plus compute that some formats do not speed up.
inline silicon::CostTable case_costs(const model::ModelShape& shape, double sram_bytes,
                                     Random& random) {
  const auto h = static_cast<double>(shape.hidden_size);
  const auto i = static_cast<double>(shape.intermediate_size);
  const auto q = static_cast<double>(shape.q_size());
  const auto kv = static_cast<double>(shape.kv_size());
  const std::array<double, recipe::kNumSiteKinds> weights = {
      h * (q + 2 * kv), h * q,
      2 * h * i,        h * i,
      2 * kv * 640,     h * static_cast<double>(shape.vocab_size)};
  silicon::CostTable table;
  const double dram_ns_per_byte = 0.01 + 0.03 * random.uniform();
  const double sram_ns_per_byte = dram_ns_per_byte * (0.02 + 0.2 * random.uniform());
  const double macs_ns = dram_ns_per_byte * (0.05 + 0.6 * random.uniform());
  std::array<double, kCaseLinearTreatments> speed = {};
  for (double& s : speed) s = random.uniform() < 0.3 ? 1.0 : 0.25 + 0.5 * random.uniform();
  std::array<bool, kCaseLinearTreatments> legal = {};
  for (size_t t = 0; t < legal.size(); ++t) legal[t] = t == 0 || random.uniform() < 0.8;
  for (size_t k = 0; k < weights.size(); ++k) {
    silicon::SiteCosts& site = table.sites[k];
    const bool is_kv = k == 4;
    for (int64_t t = 0; t < (is_kv ? kCaseKvTreatments : kCaseLinearTreatments); ++t) {
      const double bytes = std::ceil(weights[k] * case_bits(t) / 8);
      const double compute = weights[k] * macs_ns * speed[static_cast<size_t>(t)];
      const double streamed = std::max(compute, bytes * dram_ns_per_byte) + 400;
      const double resident = std::max(compute, bytes * sram_ns_per_byte) + 150;
      const bool ok = legal[static_cast<size_t>(t)];
      site.bytes.push_back(static_cast<float>(bytes));
      site.latency_ns.push_back(ok ? static_cast<float>(streamed) : silicon::kIllegal);
      site.resident_latency_ns.push_back(ok ? static_cast<float>(resident) : silicon::kIllegal);
      site.energy_pj.push_back(ok ? static_cast<float>(20 * bytes + 3 * compute)
                                  : silicon::kIllegal);
      site.resident_energy_pj.push_back(ok ? static_cast<float>(2 * bytes + 3 * compute)
                                           : silicon::kIllegal);
    }
  }
  table.sram_bytes = sram_bytes;
  table.dram_bytes = 64.0 * 1024 * 1024 * 1024;
  return table;
}

}  // namespace dovetail::search
