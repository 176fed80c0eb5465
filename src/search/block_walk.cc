#include "search/block_walk.h"

#include <algorithm>

namespace dovetail::search {
namespace {

constexpr double kRoundingFrac = 1e-9;  // as budget_screen.cc: sums of terms against exact limits

}  // namespace

Status fill_tables(const std::vector<Product>& products, const chip::Chip& chip,
                   std::vector<silicon::CostTable>& tables) {
  tables.resize(products.size());
  for (size_t p = 0; p < products.size(); ++p) {
    DOVETAIL_TRY_STATUS(products[p].costs->fill_table(chip, tables[p]));
  }
  return {};
}

Status fill_bounds(const std::vector<Product>& products, const chip::Chip& chip,
                   std::vector<silicon::CostTable>& tables) {
  tables.resize(products.size());
  for (size_t p = 0; p < products.size(); ++p) {
    DOVETAIL_TRY_STATUS(products[p].costs->fill_bound(chip, tables[p]));
  }
  return {};
}

void Incumbents::add(const std::vector<SweepTarget>& targets, const SolvedChip& solved) {
  const auto entry_of = [&solved](size_t question, Scale scale) {
    return SweepEntry{.chip_index = solved.chip_index,
                      .area_mm2 = solved.area_mm2,
                      .factor = scale_factor(scale, solved.area_mm2, solved.price_usd),
                      .lower = solved.ranges[question].lower,
                      .upper = solved.ranges[question].upper};
  };
  for (size_t t = 0; t < targets.size(); ++t) {
    rankings[t].add(entry_of(static_cast<size_t>(targets[t].question), targets[t].scale));
  }
  for (size_t q = 0; q < fronts.size(); ++q) fronts[q].add(entry_of(q, Scale::kNone));
}

bool Incumbents::closed(const std::vector<SweepTarget>& targets, size_t question, double lower,
                        double area_mm2, double price_usd) const {
  for (size_t t = 0; t < targets.size(); ++t) {
    if (static_cast<size_t>(targets[t].question) != question) continue;
    const double factor = scale_factor(targets[t].scale, area_mm2, price_usd);
    if (!rankings[t].closed_to(factor * lower, area_mm2)) return false;
  }
  return fronts.empty() || fronts[question].closed_to(lower, area_mm2);
}

BlockWalk::BlockWalk(const BudgetScreen& screen, const ChipQuestions& questions,
                     const std::vector<SweepTarget>& targets, bool prune)
    : screen_(screen),
      questions_(questions),
      targets_(targets),
      prune_(prune),
      solver_(questions.make_solver()),
      largest_(largest_positions(screen.space())),
      wanted_(static_cast<size_t>(questions.count()), 1) {}

void BlockWalk::prepare(const Block& block) {
  block_ = &block;
  for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
    min_area_term_[inner] = kImpossible;
    min_power_term_[inner] = kImpossible;
    for (const Block::Term& term : block.terms[inner]) {
      if (!term.valid) continue;
      min_area_term_[inner] = std::min(min_area_term_[inner], term.area_mm2);
      min_power_term_[inner] = std::min(min_power_term_[inner], term.peak_power_mw);
    }
  }
}

Status BlockWalk::walk(const Block& block, const std::vector<double>& lower, double min_price_usd,
                       Incumbents& incumbents, std::vector<SolvedChip>& solved) {
  prepare(block);
  min_price_usd_ = min_price_usd;
  incumbents_ = &incumbents;
  solved_ = &solved;
  Node& root = nodes_[0];
  root.position = block.position;
  root.lower = lower;
  root.solved = false;
  root.area_mm2 = block.area_mm2;
  root.peak_power_mw = block.peak_power_mw;
  for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
    root.position[kFirstInnerAxis + inner] = largest_[kFirstInnerAxis + inner];
    root.area_mm2 += min_area_term_[inner];
    root.peak_power_mw += min_power_term_[inner];
  }
  chip_ = chip_of(screen_.space(), root.position);
  return visit(0, root);
}

bool BlockWalk::open_questions(const Node& node) {
  if (!prune_) return true;
  bool any = false;
  for (size_t q = 0; q < wanted_.size(); ++q) {
    const double area = node.area_mm2 * (1.0 - kRoundingFrac);
    wanted_[q] = incumbents_->closed(targets_, q, node.lower[q], area, min_price_usd_) ? 0 : 1;
    any = any || wanted_[q] != 0;
  }
  return any;
}

bool BlockWalk::out_of_budget(const Node& node) const {
  if (!block_->additive) return false;  // the smallest area of a branch has the shortest wires
  const Budget& budget = screen_.budget();
  // The area is of all chips that share the model, the limit of one die.
  return node.area_mm2 > budget.max_area_mm2 * block_->num_chips * (1.0 + kRoundingFrac) ||
         BudgetScreen::peak_power(*block_, node.area_mm2, node.peak_power_mw) >
             budget.max_peak_power_w * 1e3 * (1.0 + kRoundingFrac);
}

Status BlockWalk::solve(Node& node, bool is_leaf) {
  set_inner_axes(screen_.space(), node.position, chip_);
  DOVETAIL_TRY_STATUS(fill_tables(questions_.products(), chip_, tables_));
  solver_->solve(tables_, wanted_, node.ranges);
  for (size_t q = 0; q < wanted_.size(); ++q) {
    if (wanted_[q] == 0) {
      node.ranges[q] = {kImpossible, kImpossible};
    } else if (is_leaf || questions_.metric(static_cast<int64_t>(q)) == Metric::kLatency) {
      node.lower[q] = std::max(node.lower[q], node.ranges[q].lower);
    }
  }
  node.solved = true;
  return {};
}

Status BlockWalk::take_leaf(Node& node) {
  DOVETAIL_TRY(const Limit limit,
               screen_.classify(*block_, node.position, node.area_mm2, node.peak_power_mw));
  if (limit != Limit::kNone) return {};
  if (!node.solved) DOVETAIL_TRY_STATUS(solve(node, true));
  set_inner_axes(screen_.space(), node.position, chip_);
  DOVETAIL_TRY(const silicon::ChipLimits limits,
               questions_.products().front().costs->limits(chip_));
  SolvedChip solved{.chip_index = join_index(screen_.lengths(), node.position),
                    .area_mm2 = limits.area_mm2,
                    .price_usd = limits.die_price_usd + limits.dram_price_usd,
                    .ranges = node.ranges};
  incumbents_->add(targets_, solved);
  solved_->push_back(std::move(solved));
  return {};
}

Status BlockWalk::visit(size_t level, Node& node) {
  if (out_of_budget(node) || !open_questions(node)) return {};
  if (level == kNumInnerAxes) return take_leaf(node);
  const size_t axis = kFirstInnerAxis + level;
  bool bound_helps = false;
  for (size_t q = 0; q < wanted_.size(); ++q) {
    bound_helps = bound_helps || (axis >= kFirstMonotoneAxis && wanted_[q] != 0 &&
                                  questions_.metric(static_cast<int64_t>(q)) == Metric::kLatency);
  }
  if (prune_ && bound_helps && !node.solved) {
    DOVETAIL_TRY_STATUS(solve(node, false));
    if (!open_questions(node)) return {};
  }
  const std::vector<Block::Term>& terms = block_->terms[level];
  for (size_t value = 0; value < terms.size(); ++value) {
    if (!terms[value].valid) continue;
    Node& child = nodes_[level + 1];
    child.position = node.position;
    child.position[axis] = static_cast<int64_t>(value);
    child.lower = node.lower;
    child.solved = node.solved && child.position[axis] == largest_[axis];
    if (child.solved) child.ranges = node.ranges;
    child.area_mm2 = node.area_mm2 - min_area_term_[level] + terms[value].area_mm2;
    child.peak_power_mw = node.peak_power_mw - min_power_term_[level] + terms[value].peak_power_mw;
    DOVETAIL_TRY_STATUS(visit(level + 1, child));
  }
  return {};
}

}  // namespace dovetail::search
