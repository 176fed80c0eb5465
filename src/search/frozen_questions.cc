// Frozen recipes: only the residency is left to choose, and that is a fractional knapsack by
// (cost saved / bytes), whose relaxation is the lower bound and whose whole units are the upper.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "search/chip_questions.h"

namespace dovetail::search {
namespace {

constexpr double kRoundingSlack = 1.0 - 1e-12;
constexpr double kFitSlack = 1.0 - 1e-9;  // SRAM filled to the last byte may round up
constexpr double kUnusable = 0.5 * static_cast<double>(silicon::kIllegal);

// `count` sites of one kind share a treatment.
struct Use {
  size_t kind = 0;
  size_t treatment = 0;
  double count = 0;
};

// One cost table in the metric asked for.
struct PreparedTable {
  struct Entry {
    double streamed = 0;  // kImpossible if not executable
    double saving = 0;    // by residency, per site, >= 0
    double bytes = 0;     // per site
    double density = 0;   // saving / bytes
  };
  std::array<std::vector<Entry>, recipe::kNumSiteKinds> entries;
  double fixed = 0;
  double sram_bytes = 0;
  double dram_bytes = 0;  // left for weights and KV

  void prepare(const silicon::CostTable& table, Metric metric) {
    const bool latency = metric == Metric::kLatency;
    for (size_t kind = 0; kind < entries.size(); ++kind) {
      const silicon::SiteCosts& site = table.sites[kind];
      const std::vector<float>& streamed = latency ? site.latency_ns : site.energy_pj;
      const std::vector<float>& resident =
          latency ? site.resident_latency_ns : site.resident_energy_pj;
      entries[kind].resize(streamed.size());
      for (size_t t = 0; t < streamed.size(); ++t) {
        Entry& entry = entries[kind][t];
        entry.streamed = streamed[t] < kUnusable ? static_cast<double>(streamed[t]) : kImpossible;
        const double saving = static_cast<double>(streamed[t]) - static_cast<double>(resident[t]);
        entry.bytes = static_cast<double>(site.bytes[t]);
        entry.saving = saving > 0 && entry.bytes > 0 ? saving : 0;
        entry.density = entry.saving > 0 ? entry.saving / entry.bytes : 0;
      }
    }
    fixed = fixed_cost(table, metric);
    sram_bytes = std::max(0.0, table.sram_bytes);
    dram_bytes = table.dram_bytes - table.fixed_dram_bytes;
  }
  const Entry& at(const Use& use) const { return entries[use.kind][use.treatment]; }
};

// Never above the frozen recipe's cost: all SRAM filled at the best density that the recipe has.
double quick_bound(const PreparedTable& table, const std::vector<Use>& uses) {
  double streamed = table.fixed;
  double saving = 0;
  double density = 0;
  for (const Use& use : uses) {
    const PreparedTable::Entry& entry = table.at(use);
    streamed += use.count * entry.streamed;
    saving += use.count * entry.saving;
    density = std::max(density, entry.density);
  }
  return streamed - std::min(saving, density * table.sram_bytes);
}

// The largest share of one more site that fits into `room` bytes.
double fitting_share(const std::vector<double>& shares, double bytes, double room) {
  double best = 0;
  for (const double share : shares) {
    if (share * bytes <= room) best = std::max(best, share);
  }
  return best;
}

CostRange frozen_range(const PreparedTable& table, const std::vector<Use>& uses,
                       const ResidencyLevels& levels, std::vector<Use>& order) {
  double streamed = table.fixed;
  double bytes = 0;
  order.clear();
  for (const Use& use : uses) {
    const PreparedTable::Entry& entry = table.at(use);
    streamed += use.count * entry.streamed;
    bytes += use.count * entry.bytes;
    if (entry.saving > 0) order.push_back(use);
  }
  if (!(streamed < kImpossible) || bytes - table.sram_bytes > table.dram_bytes) {
    return {kImpossible, kImpossible};
  }
  std::ranges::sort(order, [&table](const Use& a, const Use& b) {
    return table.at(a).density > table.at(b).density;
  });
  double room = table.sram_bytes;
  double whole_room = table.sram_bytes * kFitSlack;
  CostRange range{streamed, streamed};
  for (const Use& use : order) {
    const PreparedTable::Entry& entry = table.at(use);
    const double taken = std::min(room, use.count * entry.bytes);
    range.lower -= taken * entry.density;
    room -= taken;
    const double whole = std::min(use.count, std::floor(whole_room / entry.bytes));
    whole_room -= whole * entry.bytes;
    range.upper -= whole * entry.saving;
    if (whole < use.count) {
      const double share = fitting_share(levels.shares[use.kind], entry.bytes, whole_room);
      whole_room -= share * entry.bytes;
      range.upper -= share * entry.saving;
    }
  }
  const double resident = table.sram_bytes * kFitSlack - whole_room;
  if (bytes - resident > table.dram_bytes) range.upper = kImpossible;
  return range;
}

class FrozenQuestions : public ChipQuestions {
 public:
  FrozenQuestions(const std::vector<Product>& products, std::vector<FrozenQuestion> questions)
      : products_(products), questions_(std::move(questions)) {
    for (const Product& product : products_) {
      levels_.push_back(residency_levels(product.costs->shape()));
    }
    for (const FrozenQuestion& question : questions_) {
      for (const FrozenRecipe& recipe : question.variants)
        DOVETAIL_CHECK(recipe.size() == products_.size());
      std::vector<std::vector<std::vector<Use>>> variants;
      for (const FrozenRecipe& recipe : question.variants) variants.push_back(count_uses(recipe));
      uses_.push_back(std::move(variants));
    }
  }
  const std::vector<Product>& products() const override { return products_; }
  int64_t count() const override { return static_cast<int64_t>(questions_.size()); }
  Metric metric(int64_t question) const override {
    return questions_[static_cast<size_t>(question)].metric;
  }
  std::unique_ptr<ChipSolver> make_solver() const override;
  Result<ClosedPoint> close(const std::vector<silicon::CostTable>& tables, int64_t question,
                            double max_gap_frac) const override;

 private:
  friend class FrozenSolver;
  // Of the products first..last-1, which take the same variant.
  Result<ClosedPoint> close_some(const std::vector<silicon::CostTable>& tables, int64_t question,
                                 size_t first, size_t last, double max_gap_frac) const;
  std::vector<std::vector<Use>> count_uses(const FrozenRecipe& recipe) const {
    std::vector<std::vector<Use>> result(products_.size());
    for (size_t p = 0; p < products_.size(); ++p) {
      const LossTable& losses = products_[p].losses;
      for (int64_t s = 0; s < std::ssize(recipe[p]); ++s) {
        const auto kind = static_cast<size_t>(site_kind(losses, s));
        const auto treatment = static_cast<size_t>(recipe[p][static_cast<size_t>(s)]);
        const auto found = std::ranges::find_if(result[p], [&](const Use& use) {
          return use.kind == kind && use.treatment == treatment;
        });
        if (found != result[p].end()) {
          found->count += 1;
        } else {
          result[p].push_back({kind, treatment, 1});
        }
      }
    }
    return result;
  }

  std::vector<Product> products_;
  std::vector<FrozenQuestion> questions_;
  std::vector<ResidencyLevels> levels_;
  std::vector<std::vector<std::vector<std::vector<Use>>>> uses_;  // [question][variant][product]
};

class FrozenSolver : public ChipSolver {
 public:
  explicit FrozenSolver(const FrozenQuestions& owner)
      : owner_(owner), prepared_(owner.products_.size()) {}

  void bound(const std::vector<silicon::CostTable>& tables, std::vector<double>& lower) override {
    const std::vector<uint8_t> all(owner_.questions_.size(), 1);
    solve(tables, all, ranges_);
    lower.resize(ranges_.size());
    for (size_t q = 0; q < ranges_.size(); ++q) lower[q] = ranges_[q].lower;
  }

  void solve(const std::vector<silicon::CostTable>& tables, const std::vector<uint8_t>& wanted,
             std::vector<CostRange>& ranges) override {
    ranges.assign(owner_.questions_.size(), CostRange{});
    for (size_t q = 0; q < ranges.size(); ++q) {
      if (wanted[q] == 0) continue;
      prepare(tables, owner_.questions_[q].metric);
      const auto& variants = owner_.uses_[q];
      const auto all = static_cast<size_t>(std::ssize(prepared_));
      if (!owner_.questions_[q].mixed) {
        ranges[q] = best_of(variants, 0, all);
        continue;
      }
      ranges[q] = {0, 0};
      for (size_t p = 0; p < all; ++p) {
        const CostRange own = best_of(variants, p, p + 1);
        ranges[q].lower += own.lower;
        ranges[q].upper += own.upper;
      }
      ranges[q].lower *= kRoundingSlack;
    }
  }

  // The variants that may be cheapest for the products first..last-1, with their lower bounds
  // ascending.
  std::vector<std::pair<double, int64_t>> contenders(const std::vector<silicon::CostTable>& tables,
                                                     int64_t question, size_t first, size_t last) {
    const auto q = static_cast<size_t>(question);
    prepare(tables, owner_.questions_[q].metric);
    std::vector<std::pair<double, int64_t>> result;
    for (size_t v = 0; v < owner_.uses_[q].size(); ++v) {
      if (!offered(owner_.uses_[q][v], first, last)) continue;
      const CostRange range = full(owner_.uses_[q][v], first, last);
      if (range.lower < kImpossible) result.emplace_back(range.lower, static_cast<int64_t>(v));
    }
    std::ranges::sort(result);
    return result;
  }

 private:
  void prepare(const std::vector<silicon::CostTable>& tables, Metric metric) {
    for (size_t p = 0; p < prepared_.size(); ++p) prepared_[p].prepare(tables[p], metric);
  }
  using Variant = std::vector<std::vector<Use>>;  // per product
  static bool offered(const Variant& variant, size_t first, size_t last) {
    for (size_t p = first; p < last; ++p) {
      if (variant[p].empty()) return false;
    }
    return true;
  }
  double quick(const Variant& variant, size_t first, size_t last) const {
    double sum = 0;
    for (size_t p = first; p < last; ++p) {
      sum += owner_.products_[p].weight * quick_bound(prepared_[p], variant[p]);
    }
    return sum * kRoundingSlack;
  }
  CostRange full(const Variant& variant, size_t first, size_t last) {
    CostRange sum{0, 0};
    for (size_t p = first; p < last; ++p) {
      const CostRange range = frozen_range(prepared_[p], variant[p], owner_.levels_[p], order_);
      sum.lower += owner_.products_[p].weight * range.lower;
      sum.upper += owner_.products_[p].weight * range.upper;
    }
    sum.lower *= kRoundingSlack;
    return sum;
  }
  // Of the products first..last-1, which take the same variant.
  CostRange best_of(const std::vector<Variant>& variants, size_t first, size_t last) {
    CostRange best{kImpossible, kImpossible};
    for (const Variant& variant : variants) {
      if (!offered(variant, first, last)) continue;
      if (quick(variant, first, last) >= best.upper) continue;  // can improve neither side
      const CostRange range = full(variant, first, last);
      best.lower = std::min(best.lower, range.lower);
      best.upper = std::min(best.upper, range.upper);
    }
    return best;
  }

  const FrozenQuestions& owner_;
  std::vector<PreparedTable> prepared_;  // per product
  std::vector<Use> order_;
  std::vector<CostRange> ranges_;
};

std::unique_ptr<ChipSolver> FrozenQuestions::make_solver() const {
  return std::make_unique<FrozenSolver>(*this);
}

Result<ClosedPoint> FrozenQuestions::close_some(const std::vector<silicon::CostTable>& tables,
                                                int64_t question, size_t first, size_t last,
                                                double max_gap_frac) const {
  FrozenSolver solver(*this);
  ClosedPoint best;
  best.candidate.metric = kImpossible;
  const auto at = [](size_t p) { return static_cast<std::ptrdiff_t>(p); };
  const std::vector<silicon::CostTable> own(tables.begin() + at(first), tables.begin() + at(last));
  for (const auto& [lower, variant] : solver.contenders(tables, question, first, last)) {
    if (lower >= best.candidate.metric) break;
    const FrozenRecipe& recipe =
        questions_[static_cast<size_t>(question)].variants[static_cast<size_t>(variant)];
    std::vector<Product> only(products_.begin() + at(first), products_.begin() + at(last));
    for (size_t p = 0; p < only.size(); ++p) {
      only[p].losses = frozen(only[p].losses, recipe[first + p]);
    }
    const auto joint = joint_questions(only, {{metric(question), kImpossible}});
    DOVETAIL_TRY(ClosedPoint point, joint->close(own, 0, max_gap_frac));
    if (point.candidate.metric < best.candidate.metric) {
      best = std::move(point);
      best.variants.assign(only.size(), variant);
    }
  }
  return best;
}

Result<ClosedPoint> FrozenQuestions::close(const std::vector<silicon::CostTable>& tables,
                                           int64_t question, double max_gap_frac) const {
  if (!questions_[static_cast<size_t>(question)].mixed) {
    return close_some(tables, question, 0, products_.size(), max_gap_frac);
  }
  ClosedPoint all;
  double bound = 0;
  for (size_t p = 0; p < products_.size(); ++p) {
    DOVETAIL_TRY(ClosedPoint one, close_some(tables, question, p, p + 1, max_gap_frac));
    all.candidate.metric += one.candidate.metric;
    if (!(one.candidate.metric < kImpossible)) return all;
    bound += one.candidate.metric * (1 - one.candidate.gap_frac);
    all.candidate.allocations.push_back(std::move(one.candidate.allocations[0]));
    all.candidate.treatments.push_back(std::move(one.candidate.treatments[0]));
    all.candidate.resident_frac.push_back(std::move(one.candidate.resident_frac[0]));
    all.variants.push_back(one.variants[0]);
  }
  all.candidate.gap_frac = 1 - bound / all.candidate.metric;
  return all;
}

}  // namespace

std::unique_ptr<ChipQuestions> frozen_questions(const std::vector<Product>& products,
                                                std::vector<FrozenQuestion> questions) {
  return std::make_unique<FrozenQuestions>(products, std::move(questions));
}

}  // namespace dovetail::search
