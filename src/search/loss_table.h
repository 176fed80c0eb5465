// Predicted loss of every treatment at every site, in nats per token, for one model.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/result.h"
#include "recipe/site.h"

namespace dovetail::search {

// A treatment that may not be used at a site (a frozen recipe allows one per site).
inline constexpr double kForbidden = std::numeric_limits<double>::infinity();

struct LossTable {
  int64_t num_layers = 0;
  recipe::Menu menu;
  // loss[site][treatment], sites as recipe::site_at: layer * 5 + kind, the head last. Index 0
  // (bf16) has loss 0 unless forbidden. Finite and >= 0, or kForbidden.
  std::vector<std::vector<double>> loss;

  [[nodiscard]] int64_t num_sites() const { return num_layers * recipe::kSitesPerLayer + 1; }
};

// Errors: kInvalidArgument naming the entry (wrong size, negative, a site without any treatment).
[[nodiscard]] Status check_loss_table(const LossTable& table);

// The kind of a site of [0, num_sites).
[[nodiscard]] recipe::SiteKind site_kind(const LossTable& table, int64_t site);

// The same table with only `choice[site]` allowed at every site.
[[nodiscard]] LossTable frozen(const LossTable& table, const std::vector<int32_t>& choice);

// Sum over sites of the chosen losses.
[[nodiscard]] double total_loss(const LossTable& table, const std::vector<int32_t>& choice);

}  // namespace dovetail::search
