#include "search/chip_pricing.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace dovetail::search {
namespace {

// Losses of options that may not be used. With the least price below they are never cheapest
// unless a site has nothing else.
constexpr float kForbiddenLoss = 1e30F;
constexpr double kLeastLossPrice = 1e-12;

constexpr auto kHead = static_cast<size_t>(recipe::SiteKind::kHead);

bool any_lane(const ChipPricing::Ints& mask) {
  std::array<uint64_t, sizeof(mask) / sizeof(uint64_t)> words;
  std::memcpy(words.data(), &mask, sizeof(mask));
  uint64_t any = 0;
  for (const uint64_t word : words) any |= word;
  return any != 0;
}

}  // namespace

ChipPricing::ChipPricing(const LossTable& losses, const ResidencyLevels& levels)
    : num_layers_(losses.num_layers),
      num_sites_(losses.num_sites()),
      levels_(levels),
      exact_loss_(losses.loss) {
  for (size_t k = 0; k < kinds_.size(); ++k) {
    const int64_t num_blocks = (layers_of(k) + kLanes - 1) / kLanes;
    const size_t menu = exact_loss_[static_cast<size_t>(site_of(k, 0))].size();
    kinds_[k].loss.assign(static_cast<size_t>(num_blocks), std::vector<Floats>(menu, Floats{}));
    kinds_[k].least.resize(static_cast<size_t>(num_blocks));
    for (int64_t layer = 0; layer < layers_of(k); ++layer) {
      for (size_t t = 0; t < menu; ++t) {
        const double exact = exact_loss_[static_cast<size_t>(site_of(k, layer))][t];
        const float value = exact == kForbidden ? kForbiddenLoss : static_cast<float>(exact);
        kinds_[k].loss[static_cast<size_t>(layer / kLanes)][t][layer % kLanes] = value;
      }
    }
  }
}

int64_t ChipPricing::layers_of(size_t kind) const {
  return kind == kHead ? 1 : num_layers_;
}

int32_t ChipPricing::site_of(size_t kind, int64_t layer) const {
  const int64_t site =
      kind == kHead ? num_sites_ - 1 : layer * recipe::kSitesPerLayer + static_cast<int64_t>(kind);
  return static_cast<int32_t>(site);
}

size_t ChipPricing::kind_of(int32_t site) const {
  return site + 1 == num_sites_ ? kHead : static_cast<size_t>(site % recipe::kSitesPerLayer);
}

void ChipPricing::load(const silicon::CostTable& table, Metric metric) {
  residency_ = false;
  executable_ = true;
  max_dram_use_ = 0;
  for (size_t k = 0; k < kinds_.size(); ++k) load_kind(k, table, metric);
}

void ChipPricing::load_kind(size_t kind_index, const silicon::CostTable& table, Metric metric) {
  Kind& kind = kinds_[kind_index];
  const silicon::SiteCosts& costs = table.sites[kind_index];
  const bool latency = metric == Metric::kLatency;
  const float* streamed = latency ? costs.latency_ns.data() : costs.energy_pj.data();
  const float* resident =
      latency ? costs.resident_latency_ns.data() : costs.resident_energy_pj.data();
  const size_t menu = kind.loss[0].size();
  for (std::vector<double>* v :
       {&kind.streamed, &kind.resident, &kind.bytes, &kind.largest_share}) {
    v->resize(menu);
  }
  for (std::vector<double>* v : {&kind.cost, &kind.sram_bytes, &kind.dram_bytes}) {
    v->resize(2 * menu);
  }
  kind.executable.clear();
  const std::vector<double>& shares = levels_.shares[kind_index];
  double most_bytes = 0;
  for (size_t t = 0; t < menu; ++t) {
    if (streamed[t] >= silicon::kIllegal) continue;
    kind.executable.push_back(static_cast<int32_t>(t));
    const double bytes = costs.bytes[t];
    double share = 0;
    if (resident[t] < silicon::kIllegal) {
      for (size_t i = shares.size(); i-- > 0 && share == 0;) {
        if (shares[i] * bytes <= table.sram_bytes) share = shares[i];
      }
    }
    residency_ |= share > 0;
    most_bytes = std::max(most_bytes, bytes);
    kind.streamed[t] = streamed[t];
    kind.resident[t] = resident[t];
    kind.bytes[t] = bytes;
    kind.largest_share[t] = share;
    kind.cost[2 * t] = streamed[t];
    kind.sram_bytes[2 * t] = 0;
    kind.dram_bytes[2 * t] = bytes;
    const double from = streamed[t];
    kind.cost[2 * t + 1] = share > 0 ? from + share * (resident[t] - from) : from;
    kind.sram_bytes[2 * t + 1] = share * bytes;
    kind.dram_bytes[2 * t + 1] = (1 - share) * bytes;
  }
  executable_ &= !kind.executable.empty();
  max_dram_use_ += most_bytes * static_cast<double>(layers_of(kind_index));
}

double ChipPricing::price(const ChipPrices& prices, ChipChoice& choice, ChipSums& sums) {
  loss_price_ = static_cast<float>(std::max(prices.loss, kLeastLossPrice));
  choice.resize(static_cast<size_t>(num_sites_));
  for (size_t k = 0; k < kinds_.size(); ++k) price_kind(kinds_[k], prices, loss_price_, choice, k);
  add_up(choice, sums);
  return sums.cost + static_cast<double>(loss_price_) * sums.loss + prices.sram * sums.sram_bytes +
         prices.dram * sums.dram_bytes;
}

void ChipPricing::price_kind(Kind& kind, const ChipPrices& prices, float loss_price,
                             ChipChoice& choice, size_t kind_index) {
  const size_t count = kind.executable.size();
  kind.priced.resize(count);
  kind.code.resize(count);
  kind.priced_streamed.resize(count);
  kind.priced_resident.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const auto code = static_cast<size_t>(2 * kind.executable[i]);
    const double streamed = kind.cost[code] + prices.dram * kind.dram_bytes[code];
    const double resident = kind.cost[code + 1] + prices.dram * kind.dram_bytes[code + 1] +
                            prices.sram * kind.sram_bytes[code + 1];
    const bool keep = residency_ && resident < streamed;
    kind.priced_streamed[i] = static_cast<float>(streamed);
    kind.priced_resident[i] = static_cast<float>(resident);
    kind.priced[i] = static_cast<float>(keep ? resident : streamed);
    kind.code[i] = static_cast<int32_t>(code) + (keep ? 1 : 0);
  }
  const int64_t num_layers = layers_of(kind_index);
  for (size_t block = 0; block < kind.loss.size(); ++block) {
    const Floats* loss = kind.loss[block].data();
    Floats least = Floats{} + 3e38F;
    Ints code = {};
    for (size_t i = 0; i < count; ++i) {
      const Floats value = loss[kind.executable[i]] * loss_price + kind.priced[i];
      const Ints less = value < least;
      least = less ? value : least;
      code = less ? Ints{} + kind.code[i] : code;
    }
    kind.least[block] = least;
    const auto first = static_cast<int64_t>(block) * kLanes;
    const int64_t lanes = std::min<int64_t>(kLanes, num_layers - first);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      choice[static_cast<size_t>(site_of(kind_index, first + lane))] = code[lane];
    }
  }
}

void ChipPricing::add_up(const ChipChoice& choice, ChipSums& sums) const {
  sums = {};
  const auto add = [&](const Kind& kind, size_t site) {
    const auto code = static_cast<size_t>(choice[site]);
    sums.cost += kind.cost[code];
    sums.sram_bytes += kind.sram_bytes[code];
    sums.dram_bytes += kind.dram_bytes[code];
    sums.loss += exact_loss_[site][code / 2];
  };
  size_t site = 0;
  for (int64_t layer = 0; layer < num_layers_; ++layer) {
    for (size_t k = 0; k < static_cast<size_t>(recipe::kSitesPerLayer); ++k) add(kinds_[k], site++);
  }
  add(kinds_[kHead], site);
}

void ChipPricing::near_options(double distance, const ChipChoice& best,
                               std::vector<NearOption>& result) const {
  result.clear();
  for (size_t k = 0; k < kinds_.size(); ++k) {
    const Kind& kind = kinds_[k];
    const int64_t num_layers = layers_of(k);
    for (size_t block = 0; block < kind.loss.size(); ++block) {
      const auto first = static_cast<int64_t>(block) * kLanes;
      const int64_t lanes = std::min<int64_t>(kLanes, num_layers - first);
      const Floats most = kind.least[block] + static_cast<float>(distance);
      for (size_t i = 0; i < kind.executable.size(); ++i) {
        const int32_t t = kind.executable[i];
        const Floats loss = kind.loss[block][static_cast<size_t>(t)] * loss_price_;
        const Ints hit = loss + kind.priced[i] <= most;
        if (!any_lane(hit)) continue;
        for (int64_t lane = 0; lane < lanes; ++lane) {
          const int32_t site = site_of(k, first + lane);
          if (hit[lane] == 0 && best[static_cast<size_t>(site)] / 2 != t) continue;
          const float base = loss[lane] - kind.least[block][lane];
          result.push_back({site, t, std::max(0.0F, base + kind.priced_streamed[i]),
                            std::max(0.0F, base + kind.priced_resident[i])});
        }
      }
    }
  }
}

double ChipPricing::least_loss() const {
  double sum = 0;
  for (int32_t site = 0; site < num_sites_; ++site) {
    double least = kForbidden;
    for (const int32_t t : kinds_[kind_of(site)].executable) least = std::min(least, loss(site, t));
    sum += least;
  }
  return sum;
}

ChipSums ChipPricing::sums_of(int32_t site, int32_t code) const {
  const Kind& kind = kinds_[kind_of(site)];
  const auto c = static_cast<size_t>(code);
  return {.cost = kind.cost[c],
          .loss = loss(site, code / 2),
          .sram_bytes = kind.sram_bytes[c],
          .dram_bytes = kind.dram_bytes[c]};
}

ChipSums ChipPricing::sums_at(int32_t site, int32_t treatment, double share) const {
  const Kind& kind = kinds_[kind_of(site)];
  const auto t = static_cast<size_t>(treatment);
  const double from = kind.streamed[t];
  return {.cost = share > 0 ? from + share * (kind.resident[t] - from) : from,
          .loss = loss(site, treatment),
          .sram_bytes = share * kind.bytes[t],
          .dram_bytes = (1 - share) * kind.bytes[t]};
}

}  // namespace dovetail::search
