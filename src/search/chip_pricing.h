// The cheapest choice on one chip at fixed prices of loss, SRAM and DRAM: the inner loop of the
// enumeration, one pass over (site, treatment) in vector registers.
//
// All layers share their costs, so lanes run over layers: a treatment's priced cost is one number
// per site kind, and only its loss differs from lane to lane.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "search/chip_allocator.h"

namespace dovetail::search {

struct ChipPrices {
  double loss = 0;  // cost per unit of loss
  double sram = 0;  // cost per byte
  double dram = 0;  // cost per byte
};

// Sums of one choice. Exact: double precision, from the table's own numbers.
struct ChipSums {
  double cost = 0;
  double loss = 0;
  double sram_bytes = 0;
  double dram_bytes = 0;
};

// Per site 2 * treatment + resident; resident means the site's largest share that fits the SRAM.
using ChipChoice = std::vector<int32_t>;

// One option of a site at a small distance from its best one.
struct NearOption {
  int32_t site = 0;
  int32_t treatment = 0;
  double streamed_distance = 0;  // priced cost above the site's least
  double resident_distance = 0;  // the same at the largest share
};

class ChipPricing {
 public:
  static constexpr int kLanes = 16;
  using Floats [[gnu::vector_size(kLanes * sizeof(float))]] = float;
  using Ints [[gnu::vector_size(kLanes * sizeof(int32_t))]] = int32_t;

  ChipPricing(const LossTable& losses, const ResidencyLevels& levels);

  // Reads one chip. Residency is considered where some share of something fits.
  void load(const silicon::CostTable& table, Metric metric);
  [[nodiscard]] bool residency() const { return residency_; }
  [[nodiscard]] double max_dram_use() const { return max_dram_use_; }
  // False if a site kind has no treatment that the chip executes.
  [[nodiscard]] bool executable() const { return executable_; }

  // Cheapest choice; returns sum of its priced costs. No choice is priced lower by more than
  // kRounding of that sum.
  static constexpr double kRounding = 1e-6;
  double price(const ChipPrices& prices, ChipChoice& choice, ChipSums& sums);
  // Options within `distance` of their site's best at the prices of the last call of `price`,
  // best ones included.
  void near_options(double distance, const ChipChoice& best, std::vector<NearOption>& result) const;

  // Least loss over all that the chip executes; infinity if a site has nothing left.
  [[nodiscard]] double least_loss() const;

  [[nodiscard]] int64_t num_sites() const { return num_sites_; }
  [[nodiscard]] size_t kind_of(int32_t site) const;
  [[nodiscard]] double loss(int32_t site, int32_t treatment) const {
    return exact_loss_[static_cast<size_t>(site)][static_cast<size_t>(treatment)];
  }
  void add_up(const ChipChoice& choice, ChipSums& sums) const;
  // One site's part of a choice.
  [[nodiscard]] ChipSums sums_of(int32_t site, int32_t code) const;
  // One site's costs at a share.
  [[nodiscard]] ChipSums sums_at(int32_t site, int32_t treatment, double share) const;
  [[nodiscard]] double largest_share(int32_t site, int32_t treatment) const {
    return kinds_[kind_of(site)].largest_share[static_cast<size_t>(treatment)];
  }
  [[nodiscard]] const std::vector<double>& shares(int32_t site) const {
    return levels_.shares[kind_of(site)];
  }

 private:
  struct Kind {
    std::vector<std::vector<Floats>> loss;  // [block of layers][treatment]
    // Of the loaded chip, by treatment:
    std::vector<double> streamed;
    std::vector<double> resident;  // cost at share 1
    std::vector<double> bytes;
    std::vector<double> largest_share;
    // By 2 * treatment + resident:
    std::vector<double> cost;
    std::vector<double> sram_bytes;
    std::vector<double> dram_bytes;
    std::vector<int32_t> executable;  // treatments
    // Of the last prices, as `executable`:
    std::vector<float> priced;
    std::vector<int32_t> code;
    std::vector<float> priced_streamed;
    std::vector<float> priced_resident;
    std::vector<Floats> least;  // [block]
  };
  void load_kind(size_t kind, const silicon::CostTable& table, Metric metric);
  void price_kind(Kind& kind, const ChipPrices& prices, float loss_price, ChipChoice& choice,
                  size_t kind_index);
  [[nodiscard]] int64_t layers_of(size_t kind) const;
  [[nodiscard]] int32_t site_of(size_t kind, int64_t layer) const;

  int64_t num_layers_ = 0;
  int64_t num_sites_ = 0;
  ResidencyLevels levels_;
  std::vector<std::vector<double>> exact_loss_;  // [site][treatment]
  std::array<Kind, recipe::kNumSiteKinds> kinds_;
  bool residency_ = false;
  bool executable_ = false;
  double max_dram_use_ = 0;
  float loss_price_ = 0;  // of the last prices
};

}  // namespace dovetail::search
