// One scenario of a study asked again with something moved: a limit, a constant, the chip. Shadow
// prices and the tornado are made of such answers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "search/enumerate.h"
#include "silicon/technology.h"
#include "study/products.h"

namespace dovetail::study {

// The products of a study priced with other constants; `products` point into `costs`.
class PricedProducts {
 public:
  [[nodiscard]] static Result<PricedProducts> create(const StudyState& state,
                                                     const silicon::Technology& technology);
  [[nodiscard]] const std::vector<search::Product>& products() const { return products_; }

 private:
  std::vector<std::unique_ptr<silicon::CostModel>> costs_;
  std::vector<search::Product> products_;
};

// What a scenario asks, with all that may be moved.
struct Question {
  const StudyState& state;
  search::Scenario scenario;  // at the predicted cap where the joint answer settled
};

// The best chip of the space and at most `num_runners_up` that come next, best first; empty if none
// fits.
[[nodiscard]] Result<std::vector<search::Candidate>> search_again(
    const Question& question, const std::vector<search::Product>& products,
    const search::Budget& budget, int64_t num_runners_up, const ProgressSink& progress);

// Reported points are closed to this.
inline constexpr double kReportedGapFrac = 1e-3;

// The best recipe on one chip, closed to `max_gap_frac`.
struct OnChip {
  std::optional<search::Candidate> candidate;  // nothing if no recipe fits it within the cap
  std::string broken_limit;                    // the first limit that the point breaks, "" if none
  [[nodiscard]] bool in_budget() const { return candidate.has_value() && broken_limit.empty(); }
};
[[nodiscard]] Result<OnChip> solve_again(const Question& question,
                                         const std::vector<search::Product>& products,
                                         const search::Budget& budget, const chip::Chip& chip,
                                         double max_gap_frac);

}  // namespace dovetail::study
