// Turns the entries of a sweep into design points closed to a stated gap.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "search/chip_questions.h"
#include "search/sweep.h"

namespace dovetail::search {

// A closed design point of one target, best first in a list.
struct ClosedTarget {
  std::vector<ClosedPoint> points;       // objective, then area, then chip index
  int64_t num_over_sustained_power = 0;  // closed, but their worst op needs too much power
};

class Closing {
 public:
  Closing(const ChipQuestions& questions, const Space& space, const Budget& budget,
          double max_gap_frac)
      : questions_(questions), space_(space), budget_(budget), max_gap_frac_(max_gap_frac) {}

  // Closes the ranking, then every contender whose bound is below the best closed value by more
  // than the gap: what stays unclosed cannot be better by more.
  Result<ClosedTarget> close_target(const SweepTarget& target, const SweepOutcome::Target& found);
  // Closes all entries of one question, in their order; points over the sustained power are left
  // out.
  Result<std::vector<ClosedPoint>> close_all(int64_t question,
                                             const std::vector<SweepEntry>& entries);

 private:
  using Key = std::pair<int64_t, int64_t>;  // question, chip
  struct Closed {
    ClosedPoint point;
    bool over_sustained_power = false;
  };
  Result<Closed> close_one(int64_t question, int64_t chip_index) const;
  Status ensure(int64_t question, const std::vector<SweepEntry>& entries);

  const ChipQuestions& questions_;
  const Space& space_;
  const Budget& budget_;
  double max_gap_frac_;
  std::map<Key, Closed> closed_;  // targets of one question share their closed chips
};

// Everything of a candidate on a given chip: tables, closing, limits. The objective is the metric
// until `set_objective`.
[[nodiscard]] Result<ClosedPoint> close_on_chip(const ChipQuestions& questions,
                                                const chip::Chip& chip, int64_t question,
                                                double max_gap_frac);
void set_objective(Scale scale, Candidate& candidate);

// The largest power that any op of the candidate's recipes needs over its own time, in W.
[[nodiscard]] Result<double> sustained_power_w(const std::vector<Product>& products,
                                               const Candidate& candidate);

}  // namespace dovetail::search
