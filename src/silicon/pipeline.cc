#include "silicon/pipeline.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/result.h"

namespace dovetail::silicon {

PhaseRuns prefill_runs(int64_t stages, int64_t micro_batches) {
  return {.latency = 1 + static_cast<double>(micro_batches - 1) / static_cast<double>(stages),
          .work = static_cast<double>(micro_batches),
          .waiting = static_cast<double>(stages - 1)};
}

PhaseRuns decode_runs(int64_t stages, int64_t micro_batches) {
  return {
      .latency = std::max(1.0, static_cast<double>(micro_batches) / static_cast<double>(stages)),
      .work = static_cast<double>(micro_batches),
      .waiting = static_cast<double>(std::max<int64_t>(0, stages - micro_batches))};
}

double full_over_mean(const PhaseRuns& runs, int64_t stages, int64_t micro_batches) {
  return static_cast<double>(std::min(stages, micro_batches)) * runs.latency / runs.work;
}

double StageCosts::total(int64_t stages) const {
  return std::accumulate(layers.begin(), layers.end(), first + last) +
         static_cast<double>(stages - 1) * between;
}

double StageCosts::largest(const std::vector<int64_t>& counts) const {
  double worst = 0;
  auto layer = layers.begin();
  for (size_t s = 0; s < counts.size(); ++s) {
    double sum = (s == 0 ? first : 0) + (s + 1 == counts.size() ? last : between);
    for (int64_t i = 0; i < counts[s]; ++i) sum += *layer++;
    worst = std::max(worst, sum);
  }
  return worst;
}

// least[s][end]: the smallest possible largest of s + 1 stages that hold layers [0, end).
std::vector<int64_t> best_partition(const StageCosts& costs, int64_t stages) {
  const auto layers = std::ssize(costs.layers);
  DOVETAIL_CHECK(stages >= 1 && stages <= layers);
  const auto width = static_cast<size_t>(layers) + 1;
  const auto rows = static_cast<size_t>(stages);
  std::vector<double> least(rows * width, std::numeric_limits<double>::infinity());
  std::vector<size_t> begin_of(rows * width, 0);
  for (size_t s = 0; s < rows; ++s) {
    for (size_t end = s + 1; end < width; ++end) {
      double sum = (s == 0 ? costs.first : 0) + (s + 1 == rows ? costs.last : costs.between);
      for (size_t begin = end; begin-- > s;) {
        sum += costs.layers[begin];
        if (s == 0 && begin > 0) continue;
        const double worst = s == 0 ? sum : std::max(sum, least[(s - 1) * width + begin]);
        if (worst >= least[s * width + end]) continue;
        least[s * width + end] = worst;
        begin_of[s * width + end] = begin;
      }
    }
  }
  std::vector<int64_t> counts(rows);
  size_t end = width - 1;
  for (size_t s = rows; s-- > 0;) {
    const size_t begin = begin_of[s * width + end];
    counts[s] = static_cast<int64_t>(end - begin);
    end = begin;
  }
  return counts;
}

}  // namespace dovetail::silicon
