#include <algorithm>
#include <bit>
#include <cmath>

#include "search/allocation.h"

namespace dovetail::search {
namespace {

constexpr int32_t kLanes = 8;
using Doubles [[gnu::vector_size(kLanes * sizeof(double))]] = double;
using Ints [[gnu::vector_size(kLanes * sizeof(int64_t))]] = int64_t;

struct HullStep {
  double slope = 0;  // cost paid per unit of loss removed; ascending within a site
  double loss_removed = 0;
  double cost_added = 0;
  int32_t site = 0;
  int32_t option = 0;
};

// One site's options, padded to whole vectors with points that no hull contains.
class SiteHull {
 public:
  void load(const AllocationProblem& problem, int64_t site) {
    const int32_t begin = problem.option_begin[static_cast<size_t>(site)];
    count_ = problem.option_begin[static_cast<size_t>(site) + 1] - begin;
    const auto padded = static_cast<size_t>((count_ + kLanes - 1) / kLanes * kLanes);
    cost_.assign(padded, std::numeric_limits<double>::infinity());
    loss_.assign(padded, std::numeric_limits<double>::infinity());
    std::copy_n(problem.cost.begin() + begin, count_, cost_.begin());
    std::copy_n(problem.loss.begin() + begin, count_, loss_.begin());
  }

  // The least cost, and the least loss among equals.
  [[nodiscard]] int32_t cheapest() const {
    int32_t best = 0;
    for (int32_t j = 1; j < count_; ++j) {
      if (cost(j) < cost(best) || (cost(j) == cost(best) && loss(j) < loss(best))) best = j;
    }
    return best;
  }

  // The hull's next point with less loss than `from`: flattest step, the longest among equals;
  // -1 at the end. Scans every option: sites have tens of options and short hulls, and the scan
  // vectorises where a sort does not.
  [[nodiscard]] int32_t next(int32_t from) const {
    const double from_cost = cost(from);
    const double from_loss = loss(from);
    Doubles best_slope = Doubles{} + std::numeric_limits<double>::infinity();
    Doubles best_loss = Doubles{} + from_loss;
    Ints best = Ints{} - 1;
    Ints index = {0, 1, 2, 3, 4, 5, 6, 7};
    for (size_t base = 0; base < cost_.size(); base += kLanes, index += kLanes) {
      Doubles c;
      Doubles l;
      __builtin_memcpy(&c, &cost_[base], sizeof(c));
      __builtin_memcpy(&l, &loss_[base], sizeof(l));
      const Doubles slope = (c - from_cost) / (from_loss - l);
      const Ints take =
          (l < from_loss) & ((slope < best_slope) | ((slope == best_slope) & (l < best_loss)));
      best_slope = take ? slope : best_slope;
      best_loss = take ? l : best_loss;
      best = take ? index : best;
    }
    int lane = 0;
    for (int i = 1; i < kLanes; ++i) {
      if (best[i] < 0) continue;
      if (best[lane] < 0 || best_slope[i] < best_slope[lane] ||
          (best_slope[i] == best_slope[lane] && best_loss[i] < best_loss[lane])) {
        lane = i;
      }
    }
    return static_cast<int32_t>(best[lane]);
  }

  [[nodiscard]] double cost(int32_t j) const { return cost_[static_cast<size_t>(j)]; }
  [[nodiscard]] double loss(int32_t j) const { return loss_[static_cast<size_t>(j)]; }

 private:
  int32_t count_ = 0;
  std::vector<double> cost_;
  std::vector<double> loss_;
};

// Orders steps by slope, then site, then position within the site: a stable sort of keys, since
// steps are collected in that order.
std::vector<uint32_t> order_by_slope(const std::vector<HullStep>& steps) {
  struct Key {
    uint64_t slope_bits;  // non-negative doubles order as their bits
    uint32_t index;
  };
  std::vector<Key> keys(steps.size());
  for (uint32_t i = 0; i < keys.size(); ++i) {
    keys[i] = {std::bit_cast<uint64_t>(steps[i].slope), i};
  }
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    return a.slope_bits != b.slope_bits ? a.slope_bits < b.slope_bits : a.index < b.index;
  });
  std::vector<uint32_t> order(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) order[i] = keys[i].index;
  return order;
}

}  // namespace

LagrangianFront lagrangian_front(const AllocationProblem& problem) {
  LagrangianFront front;
  std::vector<HullStep> steps;
  steps.reserve(problem.cost.size());
  double cost = 0;
  double least_loss = 0;
  SiteHull hull;
  for (int32_t s = 0; s < problem.num_sites(); ++s) {
    hull.load(problem, s);
    int32_t at = hull.cheapest();
    double slope = 0;
    front.cheapest_choice.push_back(at);
    cost += hull.cost(at);
    for (int32_t to = hull.next(at); to >= 0; to = hull.next(at)) {
      const double loss_removed = hull.loss(at) - hull.loss(to);
      const double cost_added = hull.cost(to) - hull.cost(at);
      // Rounding must not reorder the steps of a site.
      slope = std::max(slope, cost_added / loss_removed);
      steps.push_back({slope, loss_removed, cost_added, s, to});
      at = to;
    }
    least_loss += hull.loss(at);
  }

  front.points.reserve(steps.size() + 1);
  front.steps.reserve(steps.size());
  front.points.push_back({least_loss, cost});
  for (const uint32_t i : order_by_slope(steps)) {
    cost += steps[i].cost_added;
    front.points.push_back({steps[i].loss_removed, cost});
    front.steps.push_back({steps[i].site, steps[i].option});
  }
  // Losses are summed from the least up: caps sit at the small end, where cancellation would show.
  double loss = least_loss;
  for (size_t i = front.points.size(); i-- > 0;) {
    const double removed_to_get_here = i > 0 ? front.points[i].loss : 0;
    front.points[i].loss = loss;
    loss += removed_to_get_here;
  }
  return front;
}

double front_bound(const LagrangianFront& front, double max_loss) {
  const std::vector<FrontPoint>& points = front.points;
  if (points.empty()) return 0;
  if (max_loss >= points.front().loss) return points.front().cost;
  // Points descend in loss; the first one that keeps the cap closes the segment.
  const auto kept = std::partition_point(points.begin(), points.end(),
                                         [&](const FrontPoint& p) { return p.loss > max_loss; });
  if (kept == points.end()) return std::numeric_limits<double>::infinity();
  const FrontPoint& above = *(kept - 1);
  const double share = (above.loss - max_loss) / (above.loss - kept->loss);
  return above.cost + share * (kept->cost - above.cost);
}

}  // namespace dovetail::search
