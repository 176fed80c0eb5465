// The answer of a study in five sentences, each with how sure it is.
//
// Made from the record's numbers alone; a margin whose band holds 1, a loss that was not measured
// or an analysis that was not run is called so.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

namespace dovetail::report {

struct Sentence {
  std::string topic;     // "Build", "Together or in turn", ...
  std::string text;      // one plain sentence with units
  std::string standing;  // "sure", "model", "partly", "open"
};

// "model" -> "sure within the cost model", ...
[[nodiscard]] std::string_view standing_words(std::string_view standing);

// The scenario that the page opens with and the summary names: of the study's first objective the
// one that keeps its accuracy targets, where it has targets that none keeps the one with the
// smallest cap, without targets the feasible one with the middle cap; -1 if none is feasible.
[[nodiscard]] int64_t headline_scenario(const Json& record);

// Five sentences, six with accuracy targets; fewer if nothing is feasible. `record` has passed
// check_record.
[[nodiscard]] std::vector<Sentence> decide(const Json& record);

}  // namespace dovetail::report
