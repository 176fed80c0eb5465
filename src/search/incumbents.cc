#include "search/incumbents.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/result.h"

namespace dovetail::search {

bool better(const SweepEntry& a, const SweepEntry& b) {
  return std::make_tuple(a.value(), a.area_mm2, a.chip_index) <
         std::make_tuple(b.value(), b.area_mm2, b.chip_index);
}

void Ranking::add(const SweepEntry& entry) {
  if (!(entry.value() < std::numeric_limits<double>::infinity())) return;
  if (entries_.size() == capacity_) {
    if (capacity_ == 0 || !better(entry, entries_.back())) return;
    entries_.pop_back();
  }
  entries_.insert(std::ranges::upper_bound(entries_, entry, better), entry);
}

bool Ranking::closed_to(double value, double area_mm2) const {
  if (entries_.size() < capacity_) return !(value < std::numeric_limits<double>::infinity());
  if (capacity_ == 0) return true;
  const SweepEntry& worst = entries_.back();
  return value > worst.value() || (value == worst.value() && area_mm2 > worst.area_mm2);
}

Staircase::Staircase(double min_area_mm2, double max_area_mm2, double epsilon_frac)
    : inverse_log_ratio_(1.0 / std::log1p(epsilon_frac)), first_(0) {
  DOVETAIL_CHECK(min_area_mm2 > 0 && max_area_mm2 >= min_area_mm2 && epsilon_frac > 0);
  first_ = std::floor(std::log(min_area_mm2) * inverse_log_ratio_);
  const double last = std::floor(std::log(max_area_mm2) * inverse_log_ratio_);
  const auto columns = static_cast<size_t>(last - first_) + 1;
  best_.resize(columns);
  lowest_left_.assign(columns + 1, kEmpty);
}

size_t Staircase::column(double area_mm2) const {
  const double offset = std::floor(std::log(area_mm2) * inverse_log_ratio_) - first_;
  return static_cast<size_t>(std::clamp(offset, 0.0, static_cast<double>(best_.size() - 1)));
}

int64_t Staircase::row(double metric) const {
  if (!(metric < std::numeric_limits<double>::infinity())) return kEmpty;
  if (metric <= 0) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(std::floor(std::log(metric) * inverse_log_ratio_));
}

void Staircase::add(const SweepEntry& entry) {
  if (!(entry.upper < std::numeric_limits<double>::infinity())) return;
  const size_t c = column(entry.area_mm2);
  SweepEntry& best = best_[c];
  const auto key = [](const SweepEntry& e) {
    return std::make_tuple(e.upper, e.area_mm2, e.chip_index);
  };
  if (best.chip_index >= 0 && key(best) <= key(entry)) return;
  best = entry;
  const int64_t lowest = row(entry.upper);
  for (size_t right = c + 1; right < lowest_left_.size() && lowest_left_[right] > lowest; ++right) {
    lowest_left_[right] = lowest;
  }
}

bool Staircase::closed_to(double metric, double area_mm2) const {
  if (!(metric < std::numeric_limits<double>::infinity())) return true;
  const size_t c = column(area_mm2);
  if (best_[c].chip_index >= 0 && best_[c].upper < metric) return true;
  return lowest_left_[c] != kEmpty && lowest_left_[c] <= row(metric);
}

std::vector<SweepEntry> Staircase::entries() const {
  std::vector<SweepEntry> result;
  for (size_t c = 0; c < best_.size(); ++c) {
    if (best_[c].chip_index >= 0 && row(best_[c].upper) < lowest_left_[c]) {
      result.push_back(best_[c]);
    }
  }
  return result;
}

}  // namespace dovetail::search
