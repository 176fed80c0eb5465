// All that a search over chips has found so far: rankings and fronts, which decide what may be
// pruned, and the contenders, whose bounds leave open whether they beat the best.
#pragma once

#include <cstdint>
#include <vector>

#include "search/block_walk.h"
#include "search/sweep.h"

namespace dovetail::search {

class Findings {
 public:
  // Areas: the range of all chips that will be added; only for fronts.
  Findings(const std::vector<SweepTarget>& targets, int64_t num_questions,
           const SweepParams& params, double min_area_mm2, double max_area_mm2);

  void add(const SolvedChip& chip);
  [[nodiscard]] const Incumbents& incumbents() const { return incumbents_; }
  [[nodiscard]] int64_t num_solved() const { return num_solved_; }
  // Rankings, contenders and fronts of `outcome`.
  void finish(SweepOutcome& outcome) const;

 private:
  // Leaves out the contenders that a better best has ruled out since.
  void thin(size_t target);

  const std::vector<SweepTarget>& targets_;
  Incumbents incumbents_;
  std::vector<std::vector<SweepEntry>> contenders_;  // per target
  std::vector<size_t> thin_at_;                      // per target: how many to thin at
  int64_t num_solved_ = 0;
};

}  // namespace dovetail::search
