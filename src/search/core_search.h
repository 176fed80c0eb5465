// Finds good choices among the few options that matter: repair to feasibility, then single changes
// and exchanges of two.
//
// The core of a problem is what Lagrangian reduced costs leave open: usually tens of sites with a
// few options each. An option that is outside the core cannot be in any better choice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search/price_master.h"

namespace dovetail::search {

struct CoreOption {
  int32_t site = 0;   // 0..num_sites-1 of the core
  int32_t label = 0;  // the caller's name for it
  double cost = 0;
  double reduced_cost = 0;  // at the prices that shaped the core, >= 0
  Use use = {};             // in units where limits are about 1
};

class CoreSearch {
 public:
  // Starts over. `used` and `cost` are those of the sites outside the core.
  void reset(int32_t num_sites, double cost, const Use& used, const Use& limit);
  // `chosen`: the site's current option. Every site needs exactly one; options of a site need not
  // be neighbours.
  void add(const CoreOption& option, bool chosen);

  // Moves towards feasibility, cheapest reduced cost per violation removed first. True if reached.
  bool repair();
  // While it helps: the single change that saves most, else the exchange of two that saves most.
  // Needs a feasible choice and keeps it so. Stops at `good_enough`.
  void improve(double good_enough, int max_exchanges);

  [[nodiscard]] double cost() const { return cost_; }
  [[nodiscard]] bool feasible() const;
  [[nodiscard]] int64_t num_options() const { return static_cast<int64_t>(options_.size()); }
  // The chosen option of every site.
  template <typename Visit>
  void visit_choice(Visit&& visit) const {
    for (const int32_t j : chosen_) visit(options_[static_cast<size_t>(j)]);
  }

 private:
  struct Move {
    double cost = 0;
    Use use = {};
    int32_t site = 0;
    int32_t option = 0;
  };
  [[nodiscard]] Move move_to(int32_t option) const;
  [[nodiscard]] bool fits(const Use& change) const;
  [[nodiscard]] double violation_after(const Use& change) const;
  void apply(const Move& move);
  bool improve_single();
  bool exchange_two();
  void list_moves();

  double cost_ = 0;
  Use used_ = {};
  Use limit_ = {};
  std::vector<CoreOption> options_;
  std::vector<int32_t> chosen_;
  std::vector<Move> moves_;    // as options_: the change from the current choice to each
  std::vector<Move> savings_;  // scratch: those that cost less
};

}  // namespace dovetail::search
