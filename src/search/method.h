// How a search looks through a space: every chip, or as many as a budget of evaluations allows.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"
#include "search/space.h"

namespace dovetail::search {

struct Method {
  std::string method = "auto";
  int64_t max_exact_chips = 2'000'000'000;
  int64_t evaluations = 10'000;
  int64_t seed = 1;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("method", s.method,
           {.choices = {"auto", "exact", "nsga2"},
            .help = "exact: every chip; nsga2: a heuristic with a bound; auto: exact up to "
                    "max_exact_chips"});
    v.number("max_exact_chips", s.max_exact_chips,
             {.min = 1, .max = 1e12, .help = "largest space that auto searches exactly"});
    v.number("evaluations", s.evaluations,
             {.min = 200, .max = 1e8, .help = "nsga2: chips priced for each question"});
    v.number("seed", s.seed, {.min = 0, .max = 4e9, .help = "nsga2: seed of its random choices"});
  }
};

[[nodiscard]] inline bool is_exact(const Method& method, const Space& space) {
  if (method.method != "auto") return method.method == "exact";
  return num_chips(space) <= method.max_exact_chips;
}

}  // namespace dovetail::search
