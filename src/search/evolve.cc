#include "search/evolve.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <pagmo/algorithm.hpp>
#include <pagmo/algorithms/nsga2.hpp>
#include <pagmo/batch_evaluators/member_bfe.hpp>
#include <pagmo/bfe.hpp>
#include <pagmo/population.hpp>
#include <pagmo/problem.hpp>

#include "base/parallel.h"
#include "base/random.h"
#include "search/block_walk.h"
#include "search/coarse_grid.h"
#include "search/findings.h"

namespace dovetail::search {
namespace {

constexpr int64_t kPopulation = 100;  // a multiple of 4, as pagmo wants
constexpr int64_t kMinGenerations = 2;
constexpr double kPolishingShare = 0.1;  // of the evaluations
constexpr double kSeedShare = 0.5;       // of the first population; the rest is random
constexpr double kOutOfBudget = 1e30;    // fitness, times how far the budget is exceeded
constexpr double kWorstExcess = 1e6;
constexpr double kNothingFits = 1e40;    // fitness where no recipe fits
constexpr double kCoarseEpsilon = 0.05;  // grid of the coarse grid's front

// NSGA-II's own settings: those of its authors, with a mutation of about one axis per chip.
constexpr double kCrossover = 0.95;
constexpr double kCrossoverIndex = 10;
constexpr double kMutation = 1.0 / static_cast<double>(kNumAxes);
constexpr double kMutationIndex = 10;

// What is known of one chip for one question.
struct Priced {
  std::vector<double> fitness;
  bool in_budget = false;
  SolvedChip solved;
};

// Prices chips once each, many at a time.
class Pricing {
 public:
  Pricing(const ChipQuestions& questions, const BudgetScreen& screen, int64_t question,
          bool with_price)
      : questions_(questions),
        screen_(screen),
        question_(question),
        with_price_(with_price),
        scratch_(static_cast<size_t>(num_threads())) {}

  // Afterwards `at` knows all of them.
  Status price(std::vector<int64_t> chips);
  [[nodiscard]] const Priced& at(int64_t chip) const { return priced_.at(chip); }
  [[nodiscard]] const std::map<int64_t, Priced>& all() const { return priced_; }
  [[nodiscard]] int64_t count() const { return std::ssize(priced_); }
  [[nodiscard]] int64_t num_objectives() const { return with_price_ ? 3 : 2; }
  [[nodiscard]] const std::vector<EvolveLine>& log() const { return log_; }

 private:
  struct Scratch {
    std::unique_ptr<ChipSolver> solver;
    std::vector<silicon::CostTable> tables;
    std::vector<uint8_t> wanted;
  };
  Result<Priced> price_one(int64_t chip, Scratch& scratch) const;

  const ChipQuestions& questions_;
  const BudgetScreen& screen_;
  int64_t question_;
  bool with_price_;
  std::vector<Scratch> scratch_;
  std::map<int64_t, Priced> priced_;
  double least_metric_ = kImpossible;
  std::vector<EvolveLine> log_;
};

Result<Priced> Pricing::price_one(int64_t index, Scratch& scratch) const {
  Priced priced;
  const AxisValues position = split_index(screen_.lengths(), index);
  DOVETAIL_TRY(const Limit limit, screen_.classify_exactly(position));
  const auto objectives = static_cast<size_t>(num_objectives());
  if (limit != Limit::kNone) {
    DOVETAIL_TRY(const BudgetScreen::Excess excess, screen_.excess(position));
    priced.fitness.assign(objectives, kOutOfBudget * std::min(excess.ratio, kWorstExcess));
    return priced;
  }
  priced.in_budget = true;
  const chip::Chip chip = chip_of(screen_.space(), position);
  if (scratch.solver == nullptr) {
    scratch.solver = questions_.make_solver();
    scratch.wanted.assign(static_cast<size_t>(questions_.count()), 0);
    scratch.wanted[static_cast<size_t>(question_)] = 1;
  }
  DOVETAIL_TRY_STATUS(fill_tables(questions_.products(), chip, scratch.tables));
  scratch.solver->solve(scratch.tables, scratch.wanted, priced.solved.ranges);
  for (size_t q = 0; q < scratch.wanted.size(); ++q) {
    if (scratch.wanted[q] == 0) priced.solved.ranges[q] = {kImpossible, kImpossible};
  }
  DOVETAIL_TRY(const silicon::ChipLimits limits, questions_.products().front().costs->limits(chip));
  priced.solved.chip_index = index;
  priced.solved.area_mm2 = limits.area_mm2;
  priced.solved.price_usd = limits.die_price_usd + limits.dram_price_usd;
  const double metric = priced.solved.ranges[static_cast<size_t>(question_)].upper;
  if (!(metric < kImpossible)) {
    priced.fitness.assign(objectives, kNothingFits);
    return priced;
  }
  priced.fitness = {metric, limits.area_mm2};
  if (with_price_) priced.fitness.push_back(priced.solved.price_usd);
  return priced;
}

Status Pricing::price(std::vector<int64_t> chips) {
  std::ranges::sort(chips);
  chips.erase(std::ranges::unique(chips).begin(), chips.end());
  std::erase_if(chips, [this](int64_t chip) { return priced_.contains(chip); });
  std::vector<Result<Priced>> results(chips.size());
  parallel_for(std::ssize(chips), [&](int64_t i, int64_t worker) {
    results[static_cast<size_t>(i)] =
        price_one(chips[static_cast<size_t>(i)], scratch_[static_cast<size_t>(worker)]);
  });
  for (size_t i = 0; i < chips.size(); ++i) {
    if (!results[i].has_value()) return std::unexpected(results[i].error());
    if (results[i]->in_budget) {
      least_metric_ =
          std::min(least_metric_, results[i]->solved.ranges[static_cast<size_t>(question_)].upper);
    }
    priced_.emplace(chips[i], std::move(*results[i]));
  }
  log_.push_back({question_, count(), least_metric_});
  return {};
}

// The problem as pagmo sees it: one integer per axis that has a choice, its position in the list.
class ChipProblemOfPagmo {
 public:
  ChipProblemOfPagmo() = default;
  ChipProblemOfPagmo(Pricing& pricing, const AxisValues& lengths, Status& status)
      : pricing_(&pricing), lengths_(lengths), status_(&status) {
    for (size_t axis = 0; axis < lengths.size(); ++axis) {
      if (lengths[axis] > 1) axes_.push_back(axis);
    }
  }

  [[nodiscard]] pagmo::vector_double fitness(const pagmo::vector_double& x) const {
    return batch_fitness(x);
  }
  // Errors travel beside pagmo, which knows exceptions alone.
  [[nodiscard]] pagmo::vector_double batch_fitness(const pagmo::vector_double& xs) const {
    const size_t count = xs.size() / axes_.size();
    std::vector<int64_t> chips;
    for (size_t i = 0; i < count; ++i) chips.push_back(chip_at(xs, i));
    const Status status = pricing_->price(chips);
    if (!status.has_value() && status_->has_value()) *status_ = status;
    pagmo::vector_double fitness;
    for (const int64_t chip : chips) {
      const std::vector<double> one = status.has_value()
                                          ? pricing_->at(chip).fitness
                                          : std::vector<double>(get_nobj(), kNothingFits);
      fitness.insert(fitness.end(), one.begin(), one.end());
    }
    return fitness;
  }
  [[nodiscard]] pagmo::vector_double::size_type get_nobj() const {
    return static_cast<size_t>(pricing_->num_objectives());
  }
  [[nodiscard]] pagmo::vector_double::size_type get_nix() const { return axes_.size(); }
  [[nodiscard]] std::pair<pagmo::vector_double, pagmo::vector_double> get_bounds() const {
    pagmo::vector_double upper;
    for (const size_t axis : axes_) upper.push_back(static_cast<double>(lengths_[axis] - 1));
    return {pagmo::vector_double(axes_.size(), 0.0), upper};
  }
  [[nodiscard]] pagmo::vector_double variables_of(int64_t chip) const {
    const AxisValues position = split_index(lengths_, chip);
    pagmo::vector_double variables;
    for (const size_t axis : axes_) variables.push_back(static_cast<double>(position[axis]));
    return variables;
  }

 private:
  [[nodiscard]] int64_t chip_at(const pagmo::vector_double& xs, size_t i) const {
    AxisValues position{};
    for (size_t a = 0; a < axes_.size(); ++a) {
      position[axes_[a]] = static_cast<int64_t>(std::llround(xs[i * axes_.size() + a]));
    }
    return join_index(lengths_, position);
  }

  Pricing* pricing_ = nullptr;
  AxisValues lengths_{};
  std::vector<size_t> axes_;
  Status* status_ = nullptr;
};

class Evolution {
 public:
  Evolution(const ChipQuestions& questions, const Space& space, const Budget& budget,
            const std::vector<SweepTarget>& targets, const SweepParams& params,
            const EvolveParams& evolve, const ProgressSink& progress)
      : questions_(questions),
        screen_(*questions.products().front().costs, space, budget),
        targets_(targets),
        params_(params),
        evolve_(evolve),
        progress_(progress) {}

  Result<EvolveOutcome> run();

 private:
  // The best chips and the front of the coarse grid, per question, as indices of the whole space.
  Result<std::vector<std::vector<int64_t>>> search_grid();
  Status evolve_question(int64_t question, const std::vector<int64_t>& seeds, Pricing& pricing);
  Status polish(const SweepTarget& target, Pricing& pricing) const;

  const ChipQuestions& questions_;
  BudgetScreen screen_;
  const std::vector<SweepTarget>& targets_;
  const SweepParams& params_;
  const EvolveParams& evolve_;
  const ProgressSink& progress_;
  EvolveOutcome outcome_;
};

Result<std::vector<std::vector<int64_t>>> Evolution::search_grid() {
  const CoarseGrid grid = coarse_grid(screen_.space(), evolve_.max_grid_chips);
  SweepParams params = params_;
  params.prune = true;
  params.keep_front = true;
  params.front_epsilon_frac = kCoarseEpsilon;
  DOVETAIL_TRY(const SweepOutcome coarse,
               sweep(questions_, grid.space, screen_.budget(), targets_, params, progress_));
  outcome_.found.stats = coarse.stats;
  std::vector<std::vector<int64_t>> seeds(static_cast<size_t>(questions_.count()));
  const auto add = [&](size_t question, const std::vector<SweepEntry>& entries) {
    for (const SweepEntry& entry : entries) {
      seeds[question].push_back(whole_index(grid, screen_.space(), entry.chip_index));
    }
  };
  for (size_t t = 0; t < targets_.size(); ++t) {
    add(static_cast<size_t>(targets_[t].question), coarse.targets[t].ranking);
  }
  for (size_t q = 0; q < seeds.size(); ++q) add(q, coarse.fronts[q]);
  return seeds;
}

Status Evolution::evolve_question(int64_t question, const std::vector<int64_t>& seeds,
                                  Pricing& pricing) {
  std::vector<int64_t> first;
  const auto most_seeds = static_cast<size_t>(kSeedShare * static_cast<double>(kPopulation));
  const size_t stride = std::max<size_t>(1, (seeds.size() + most_seeds - 1) / most_seeds);
  for (size_t i = 0; i < seeds.size(); i += stride) {
    first.push_back(seeds[i]);
  }
  Random random(static_cast<uint64_t>(evolve_.seed) * 1000003 + static_cast<uint64_t>(question));
  const int64_t total = num_chips(screen_.space());
  while (std::ssize(first) < kPopulation) first.push_back(random.below(total));
  DOVETAIL_TRY_STATUS(pricing.price(first));
  // All of the grid's best are part of the answer, whatever becomes of the population.
  DOVETAIL_TRY_STATUS(pricing.price(seeds));
  Status status;
  const ChipProblemOfPagmo chips(pricing, screen_.lengths(), status);
  const pagmo::problem problem(chips);
  const auto seed = static_cast<unsigned>(evolve_.seed);
  pagmo::population population(problem, 0U, seed);
  for (const int64_t chip : first) population.push_back(chips.variables_of(chip));
  const auto for_evolution =
      static_cast<int64_t>((1 - kPolishingShare) * static_cast<double>(evolve_.evaluations));
  const auto generations = static_cast<unsigned>(for_evolution / kPopulation - 1);
  pagmo::nsga2 algorithm(generations, kCrossover, kCrossoverIndex, kMutation, kMutationIndex, seed);
  algorithm.set_bfe(pagmo::bfe(pagmo::member_bfe()));
  // What it found is in `pricing`, which saw every chip.
  static_cast<void>(algorithm.evolve(population));
  return status;
}

// Moves along one axis at a time to the best of its values, until none is better or the
// evaluations are used up.
Status Evolution::polish(const SweepTarget& target, Pricing& pricing) const {
  const auto value = [&](const Priced& priced) {
    const SolvedChip& chip = priced.solved;
    if (!priced.in_budget) return kImpossible;
    return scale_factor(target.scale, chip.area_mm2, chip.price_usd) *
           chip.ranges[static_cast<size_t>(target.question)].upper;
  };
  int64_t best = -1;
  double least = kImpossible;
  for (const auto& [chip, priced] : pricing.all()) {
    if (value(priced) < least) {
      least = value(priced);
      best = chip;
    }
  }
  int64_t num_neighbours = 0;
  for (const int64_t length : screen_.lengths()) num_neighbours += length - 1;
  bool improved = best >= 0;
  while (improved && pricing.count() + num_neighbours <= evolve_.evaluations) {
    improved = false;
    const AxisValues centre = split_index(screen_.lengths(), best);
    std::vector<int64_t> neighbours;
    for (size_t axis = 0; axis < centre.size(); ++axis) {
      AxisValues moved = centre;
      for (moved[axis] = 0; moved[axis] < screen_.lengths()[axis]; ++moved[axis]) {
        neighbours.push_back(join_index(screen_.lengths(), moved));
      }
    }
    DOVETAIL_TRY_STATUS(pricing.price(neighbours));
    for (const int64_t chip : neighbours) {
      const double one = value(pricing.at(chip));
      if (one >= least) continue;
      least = one;
      best = chip;
      improved = true;
    }
  }
  return {};
}

Result<EvolveOutcome> Evolution::run() {
  DOVETAIL_TRY(const std::vector<std::vector<int64_t>> seeds, search_grid());
  EnumerateStats& stats = outcome_.found.stats;
  const double most =
      screen_.budget().max_area_mm2 * static_cast<double>(most_tensor_parallel(screen_.space()));
  std::vector<SolvedChip> solved;
  for (int64_t q = 0; q < questions_.count(); ++q) {
    report_progress(progress_, "evolving chips",
                    static_cast<double>(q) / static_cast<double>(questions_.count()));
    const bool with_price = std::ranges::any_of(targets_, [q](const SweepTarget& target) {
      return target.question == q && target.scale == Scale::kPrice;
    });
    Pricing pricing(questions_, screen_, q, with_price);
    DOVETAIL_TRY_STATUS(evolve_question(q, seeds[static_cast<size_t>(q)], pricing));
    for (const SweepTarget& target : targets_) {
      if (target.question == q) DOVETAIL_TRY_STATUS(polish(target, pricing));
    }
    std::ranges::copy(pricing.log(), std::back_inserter(outcome_.log));
    for (const auto& [chip, priced] : pricing.all()) {
      if (priced.in_budget) solved.push_back(priced.solved);
    }
  }
  double least = most;
  for (const SolvedChip& chip : solved) least = std::min(least, chip.area_mm2);
  Findings findings(targets_, questions_.count(), params_, least, most);
  for (const SolvedChip& chip : solved) findings.add(chip);
  findings.finish(outcome_.found);
  stats.num_in_budget += findings.num_solved();
  stats.num_allocated += findings.num_solved();
  stats.num_chips = num_chips(screen_.space());
  return std::move(outcome_);
}

}  // namespace

Result<EvolveOutcome> evolve(const ChipQuestions& questions, const Space& space,
                             const Budget& budget, const std::vector<SweepTarget>& targets,
                             const SweepParams& params, const EvolveParams& evolve,
                             const ProgressSink& progress) {
  const auto least = static_cast<int64_t>(
      std::ceil(static_cast<double>(kMinGenerations * kPopulation) / (1 - kPolishingShare)));
  if (evolve.evaluations < least) {
    return invalid_argument(fmt::format("evaluations = {}, want >= {}", evolve.evaluations, least));
  }
  if (evolve.seed < 0 || evolve.seed > std::numeric_limits<uint32_t>::max()) {
    return invalid_argument(
        fmt::format("seed = {}, want 0..{}", evolve.seed, std::numeric_limits<uint32_t>::max()));
  }
  if (num_chips(space) < 2) {
    return invalid_argument("the space has a single chip, want at least two for nsga2");
  }
  return Evolution(questions, space, budget, targets, params, evolve, progress).run();
}

}  // namespace dovetail::search
