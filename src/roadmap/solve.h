// Asks the study's question again with a technique left out, or with other loss caps.
#pragma once

#include <cstdint>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "roadmap/tables.h"
#include "roadmap/technique.h"

namespace dovetail::roadmap {

// What answers are closed to.
inline constexpr double kSolverGapFrac = 1e-3;

// One recipe on one chip for each product, with what it costs.
struct Point {
  bool feasible = false;  // false: no recipe keeps the caps; nothing else holds then
  chip::Chip chip = {};
  std::vector<recipe::Rotation> rotations = {};       // per product
  std::vector<std::vector<int32_t>> treatments = {};  // per product and site
  std::vector<std::vector<float>> resident_frac = {};
  double metric = 0;     // ns or pJ, weighted over products
  double objective = 0;  // metric times area, price or 1
  double gap_frac = 0;   // a cheaper answer, if any, saves less than this
  // Weighted over products as the objective; area is the chip's.
  double latency_ns = 0;
  double energy_pj = 0;
  double area_mm2 = 0;
};

struct Question {
  search::Objective objective = {};
  std::vector<recipe::Rotation> rotations = {};  // per product
  std::vector<double> max_loss = {};             // per product, predicted nats
  const Technique* left_out = nullptr;           // no site may use it
  // What the technique adds to a site's loss counts this much (treatment_without says what it adds
  // to).
  const Technique* scaled = nullptr;
  double scale = 1;
};

// The recommendation, priced.
[[nodiscard]] Result<Point> answer_point(const Tables& tables, const Answer& answer);

// The best recipe on one chip, closed to 0.1 %. Products do not meet on a chip but in its sums, so
// each is solved alone at its own cap.
[[nodiscard]] Result<Point> solve_on(const Tables& tables, const chip::Chip& chip,
                                     const Question& question);

// The best chip and recipe of the study's space. Needs a space.
[[nodiscard]] Result<Point> solve_in_space(const Tables& tables, const Question& question,
                                           const ProgressSink& progress);

// The technique's treatments that the chip executes at any site of any product, under the rotations
// of `rotations`.
[[nodiscard]] Result<Technique> executed_part(const Tables& tables, const chip::Chip& chip,
                                              const std::vector<recipe::Rotation>& rotations,
                                              const Technique& technique);

}  // namespace dovetail::roadmap
