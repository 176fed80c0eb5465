// The best design points so far: a ranking per target, and a staircase of (area, metric) per
// question. What they let the sweep prune can not belong to the final answer, whatever comes later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace dovetail::search {

// One chip's answer to one question. The value of a target is factor * metric.
struct SweepEntry {
  int64_t chip_index = -1;
  double area_mm2 = 0;
  double factor = 1;  // 1, area or price
  double lower = 0;   // of the metric
  double upper = 0;
  [[nodiscard]] double value() const { return factor * upper; }
};

// By value, then area, then index: a strict order, so that ties do not depend on who came first.
[[nodiscard]] bool better(const SweepEntry& a, const SweepEntry& b);

// The `capacity` best entries.
class Ranking {
 public:
  explicit Ranking(int64_t capacity) : capacity_(static_cast<size_t>(capacity)) {}
  void add(const SweepEntry& entry);
  // True if no chip of at least this value and area, not yet added, can enter the ranking.
  [[nodiscard]] bool closed_to(double value, double area_mm2) const;
  [[nodiscard]] const std::vector<SweepEntry>& entries() const { return entries_; }  // best first

 private:
  size_t capacity_;
  std::vector<SweepEntry> entries_;  // sorted
};

// The chips that no other beats in both area and metric, on a grid of ratio 1 + epsilon: a cell is
// on the staircase if no chip lies in another cell that is no larger in both axes; its best chip
// (metric, then area, then index) stands for it. So every chip has an entry within 1 + epsilon of
// it in both axes, and the result does not depend on the order in which chips come.
class Staircase {
 public:
  // min_area_mm2 > 0, max_area_mm2 >= min_area_mm2: the range of all chips. epsilon_frac > 0.
  Staircase(double min_area_mm2, double max_area_mm2, double epsilon_frac);
  void add(const SweepEntry& entry);
  // True if no chip of at least this area and metric can change the staircase.
  [[nodiscard]] bool closed_to(double metric, double area_mm2) const;
  [[nodiscard]] std::vector<SweepEntry> entries() const;  // area ascending

 private:
  [[nodiscard]] size_t column(double area_mm2) const;
  [[nodiscard]] int64_t row(double metric) const;

  static constexpr int64_t kEmpty = std::numeric_limits<int64_t>::max();
  double inverse_log_ratio_;
  double first_;
  std::vector<SweepEntry> best_;      // per column
  std::vector<int64_t> lowest_left_;  // per column: lowest row among the columns before it
};

}  // namespace dovetail::search
