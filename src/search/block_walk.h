// Visits the chips of one block, cutting whole branches of its inner axes by bounds.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "search/budget_screen.h"
#include "search/chip_questions.h"
#include "search/incumbents.h"
#include "search/sweep.h"

namespace dovetail::search {

// One chip's answers.
struct SolvedChip {
  int64_t chip_index = 0;
  double area_mm2 = 0;
  double price_usd = 0;
  std::vector<CostRange> ranges;  // per question; both ends impossible where it was not asked
};

// What is known so far, for pruning. Copied for every part of a round.
struct Incumbents {
  std::vector<Ranking> rankings;  // per target
  std::vector<Staircase> fronts;  // per question, or none

  void add(const std::vector<SweepTarget>& targets, const SolvedChip& solved);
  // True if no chip with at least these metrics, area and price can change any answer to question
  // q.
  [[nodiscard]] bool closed(const std::vector<SweepTarget>& targets, size_t question, double lower,
                            double area_mm2, double price_usd) const;
};

// The factor that the scale puts on the metric.
[[nodiscard]] inline double scale_factor(Scale scale, double area_mm2, double price_usd) {
  if (scale == Scale::kArea) return area_mm2;
  return scale == Scale::kPrice ? price_usd : 1.0;
}

// Not thread-safe: one per thread.
class BlockWalk {
 public:
  BlockWalk(const BudgetScreen& screen, const ChipQuestions& questions,
            const std::vector<SweepTarget>& targets, bool prune);

  // `lower`: per question, a bound that holds for every chip of the block; `min_price_usd`
  // likewise. Solved chips go to `incumbents` and `solved`.
  Status walk(const Block& block, const std::vector<double>& lower, double min_price_usd,
              Incumbents& incumbents, std::vector<SolvedChip>& solved);

 private:
  struct Node {
    AxisValues position{};  // fixed axes, then the largest value of the others
    std::vector<double> lower;
    std::vector<CostRange> ranges;  // of the chip at `position`, if solved
    bool solved = false;
    double area_mm2 = 0;       // of the fixed terms and the smallest of the others
    double peak_power_mw = 0;  // the sum for BudgetScreen::peak_power
  };
  void prepare(const Block& block);
  // Marks the questions that are still open for this node; false if none is.
  bool open_questions(const Node& node);
  Status visit(size_t level, Node& node);
  Status solve(Node& node, bool is_leaf);
  Status take_leaf(Node& node);
  [[nodiscard]] bool out_of_budget(const Node& node) const;

  const BudgetScreen& screen_;
  const ChipQuestions& questions_;
  const std::vector<SweepTarget>& targets_;
  bool prune_;
  std::unique_ptr<ChipSolver> solver_;
  std::vector<silicon::CostTable> tables_;
  chip::Chip chip_;
  AxisValues largest_;
  std::vector<uint8_t> wanted_;
  // Of the block being walked.
  const Block* block_ = nullptr;
  double min_price_usd_ = 0;
  std::array<double, kNumInnerAxes> min_area_term_{};
  std::array<double, kNumInnerAxes> min_power_term_{};
  std::array<Node, kNumInnerAxes + 1> nodes_;  // one per level, reused
  Incumbents* incumbents_ = nullptr;
  std::vector<SolvedChip>* solved_ = nullptr;
};

// Fills one T1 (or T0) table per product.
[[nodiscard]] Status fill_tables(const std::vector<Product>& products, const chip::Chip& chip,
                                 std::vector<silicon::CostTable>& tables);
[[nodiscard]] Status fill_bounds(const std::vector<Product>& products, const chip::Chip& chip,
                                 std::vector<silicon::CostTable>& tables);

}  // namespace dovetail::search
