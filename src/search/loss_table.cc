#include "search/loss_table.h"

#include <cmath>

#include <fmt/format.h>

namespace dovetail::search {

Status check_loss_table(const LossTable& table) {
  if (table.num_layers < 1) {
    return invalid_argument(fmt::format("num_layers = {}, want >= 1", table.num_layers));
  }
  if (static_cast<int64_t>(table.loss.size()) != table.num_sites()) {
    return invalid_argument(fmt::format("loss has {} sites, want {} ({} layers)", table.loss.size(),
                                        table.num_sites(), table.num_layers));
  }
  for (int64_t s = 0; s < table.num_sites(); ++s) {
    const recipe::SiteKind kind = site_kind(table, s);
    const std::vector<double>& row = table.loss[static_cast<size_t>(s)];
    if (static_cast<int64_t>(row.size()) != table.menu.size(kind)) {
      return invalid_argument(fmt::format("loss[{}] has {} treatments, want {} (the menu of {})", s,
                                          row.size(), table.menu.size(kind),
                                          recipe::site_kind_name(kind)));
    }
    bool any = false;
    for (size_t t = 0; t < row.size(); ++t) {
      if (std::isnan(row[t]) || row[t] < 0) {
        return invalid_argument(fmt::format(
            "loss[{}][{}] = {}, want a number >= 0 or infinity (forbidden)", s, t, row[t]));
      }
      any = any || row[t] != kForbidden;
    }
    if (!any) return invalid_argument(fmt::format("loss[{}] forbids every treatment", s));
  }
  return {};
}

recipe::SiteKind site_kind(const LossTable& table, int64_t site) {
  if (site == table.num_layers * recipe::kSitesPerLayer) return recipe::SiteKind::kHead;
  return static_cast<recipe::SiteKind>(site % recipe::kSitesPerLayer);
}

LossTable frozen(const LossTable& table, const std::vector<int32_t>& choice) {
  DOVETAIL_CHECK(choice.size() == table.loss.size());
  LossTable result{.num_layers = table.num_layers, .menu = table.menu, .loss = table.loss};
  for (size_t s = 0; s < choice.size(); ++s) {
    const auto kept = static_cast<size_t>(choice[s]);
    DOVETAIL_CHECK(choice[s] >= 0 && kept < table.loss[s].size());
    for (size_t t = 0; t < result.loss[s].size(); ++t) {
      if (t != kept) result.loss[s][t] = kForbidden;
    }
  }
  return result;
}

double total_loss(const LossTable& table, const std::vector<int32_t>& choice) {
  DOVETAIL_CHECK(choice.size() == table.loss.size());
  double sum = 0;
  for (size_t s = 0; s < choice.size(); ++s) {
    sum += table.loss[s].at(static_cast<size_t>(choice[s]));
  }
  return sum;
}

}  // namespace dovetail::search
