#include <algorithm>
#include <utility>

#include "search/chip_questions.h"

namespace dovetail::search {
namespace {

// A bound that is reached exactly may come out above the cost by rounding; this keeps it below.
constexpr double kRoundingSlack = 1.0 - 1e-12;
// Some 0.1 s: a point that is still open then states its gap. Tiny models are the hard ones.
constexpr int64_t kMaxNodes = 20000;

class JointQuestions;

class JointSolver : public ChipSolver {
 public:
  explicit JointSolver(const JointQuestions& owner);
  void bound(const std::vector<silicon::CostTable>& tables, std::vector<double>& lower) override;
  void solve(const std::vector<silicon::CostTable>& tables, const std::vector<uint8_t>& wanted,
             std::vector<CostRange>& ranges) override;

 private:
  const JointQuestions& owner_;
  std::vector<ChipAllocator> allocators_;  // per product
  std::vector<ChipAllocation> results_;    // per cap
};

class JointQuestions : public ChipQuestions {
 public:
  JointQuestions(const std::vector<Product>& products, std::vector<JointQuestion> questions)
      : products_(products), questions_(std::move(questions)) {
    for (const JointQuestion& question : questions_) caps_.push_back(question.max_loss);
    std::ranges::sort(caps_);
    caps_.erase(std::ranges::unique(caps_).begin(), caps_.end());
    for (const Product& product : products_) {
      levels_.push_back(residency_levels(product.costs->shape()));
    }
  }
  const std::vector<Product>& products() const override { return products_; }
  int64_t count() const override { return static_cast<int64_t>(questions_.size()); }
  Metric metric(int64_t question) const override { return at(question).metric; }
  std::unique_ptr<ChipSolver> make_solver() const override {
    return std::make_unique<JointSolver>(*this);
  }
  Result<ClosedPoint> close(const std::vector<silicon::CostTable>& tables, int64_t question,
                            double max_gap_frac) const override;

  const JointQuestion& at(int64_t question) const {
    return questions_[static_cast<size_t>(question)];
  }
  size_t cap_position(double cap) const {
    return static_cast<size_t>(std::ranges::lower_bound(caps_, cap) - caps_.begin());
  }

 private:
  friend class JointSolver;
  std::vector<Product> products_;
  std::vector<JointQuestion> questions_;
  std::vector<double> caps_;  // distinct, ascending
  std::vector<ResidencyLevels> levels_;
};

JointSolver::JointSolver(const JointQuestions& owner) : owner_(owner) {
  for (size_t p = 0; p < owner.products_.size(); ++p) {
    allocators_.emplace_back(owner.products_[p].losses, owner.levels_[p], owner.caps_);
  }
}

void JointSolver::bound(const std::vector<silicon::CostTable>& tables, std::vector<double>& lower) {
  lower.assign(owner_.questions_.size(), 0.0);
  for (size_t q = 0; q < lower.size(); ++q) {
    const JointQuestion& question = owner_.questions_[q];
    for (size_t p = 0; p < allocators_.size() && lower[q] < kImpossible; ++p) {
      const double free_cost = allocators_[p].bound(tables[p], question.metric, question.max_loss);
      lower[q] += owner_.products_[p].weight * (free_cost + fixed_cost(tables[p], question.metric));
    }
    lower[q] *= kRoundingSlack;
  }
}

void JointSolver::solve(const std::vector<silicon::CostTable>& tables,
                        const std::vector<uint8_t>& wanted, std::vector<CostRange>& ranges) {
  ranges.assign(owner_.questions_.size(), CostRange{0, 0});
  for (const Metric metric : {Metric::kLatency, Metric::kEnergy}) {
    const auto asked = [&](size_t q) {
      return wanted[q] != 0 && owner_.questions_[q].metric == metric;
    };
    bool any = false;
    for (size_t q = 0; q < ranges.size(); ++q) any = any || asked(q);
    for (size_t p = 0; any && p < allocators_.size(); ++p) {
      allocators_[p].allocate(tables[p], metric, results_);
      const double weight = owner_.products_[p].weight;
      const double fixed = fixed_cost(tables[p], metric);
      for (size_t q = 0; q < ranges.size(); ++q) {
        if (!asked(q)) continue;
        const ChipAllocation& result = results_[owner_.cap_position(owner_.questions_[q].max_loss)];
        ranges[q].lower += result.feasible ? weight * (result.bound + fixed) : kImpossible;
        ranges[q].upper += result.feasible ? weight * (result.cost + fixed) : kImpossible;
      }
    }
  }
  for (size_t q = 0; q < ranges.size(); ++q) {
    ranges[q].lower *= kRoundingSlack;
    if (wanted[q] == 0) ranges[q] = CostRange{};
  }
}

Result<ClosedPoint> JointQuestions::close(const std::vector<silicon::CostTable>& tables,
                                          int64_t question, double max_gap_frac) const {
  ClosedPoint point;
  double bound = 0;
  for (size_t p = 0; p < products_.size(); ++p) {
    const Metric kind = at(question).metric;
    DOVETAIL_TRY(ClosedProduct closed,
                 close_product(tables[p], kind, products_[p].losses, levels_[p],
                               at(question).max_loss, max_gap_frac));
    const double fixed = fixed_cost(tables[p], kind);
    const bool solved = closed.allocation.status == AllocationStatus::kSolved;
    point.candidate.metric +=
        solved ? products_[p].weight * (closed.allocation.cost + fixed) : kImpossible;
    bound += solved ? products_[p].weight * (closed.allocation.bound + fixed) : 0;
    point.candidate.allocations.push_back(std::move(closed.allocation));
    point.candidate.treatments.push_back(std::move(closed.treatments));
    point.candidate.resident_frac.push_back(std::move(closed.resident_frac));
  }
  const double metric = point.candidate.metric;
  point.candidate.gap_frac = metric > 0 && metric < kImpossible ? (metric - bound) / metric : 0;
  return point;
}

}  // namespace

Result<ClosedProduct> close_product(const silicon::CostTable& table, Metric metric,
                                    const LossTable& losses, const ResidencyLevels& levels,
                                    double max_loss, double max_gap_frac) {
  ClosedProduct closed;
  const auto spelled_out = make_problem(table, metric, losses, levels, max_loss);
  if (!spelled_out.has_value()) return closed;  // a site that the chip cannot execute at all
  AllocationParams params;
  params.max_gap_frac = max_gap_frac;
  params.max_nodes = kMaxNodes;
  DOVETAIL_TRY(closed.allocation, solve_allocation(spelled_out->problem, params));
  ChipAllocator allocator(losses, levels, {max_loss});
  std::vector<ChipAllocation> results;
  allocator.allocate(table, metric, results);
  const bool solved = closed.allocation.status == AllocationStatus::kSolved;
  if (results[0].feasible && (!solved || results[0].cost < closed.allocation.cost)) {
    const double bound = solved ? closed.allocation.bound : results[0].bound;
    closed.allocation = to_allocation(*spelled_out, results[0]);
    closed.allocation.bound = std::max(bound, results[0].bound);
    const double cost = closed.allocation.cost;
    closed.allocation.gap_frac = cost > 0 ? (cost - closed.allocation.bound) / cost : 0;
  }
  if (closed.allocation.status != AllocationStatus::kSolved) return closed;
  DOVETAIL_TRY_STATUS(verify(spelled_out->problem, closed.allocation));
  ChipAllocation named = to_chip_allocation(*spelled_out, closed.allocation);
  closed.treatments = std::move(named.treatments);
  closed.resident_frac = std::move(named.resident_frac);
  return closed;
}

std::unique_ptr<ChipQuestions> joint_questions(const std::vector<Product>& products,
                                               std::vector<JointQuestion> questions) {
  return std::make_unique<JointQuestions>(products, std::move(questions));
}

}  // namespace dovetail::search
