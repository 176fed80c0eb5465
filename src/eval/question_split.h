// Which questions are asked first, and which half chooses a candidate while the other certifies it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

struct SplitQuestion {
  std::string id;       // unique, for example "anatomy/17"
  std::string stratum;  // for example the subject; may be empty
};

struct QuestionHalves {
  std::vector<int64_t> selection;      // indices into the questions, ascending
  std::vector<int64_t> certification;  // the rest
};

// Halves every stratum. Which question falls where depends on its id and the seed alone, never on
// the order of the list; of a stratum with an odd number the one left over goes to each half in
// turn. A candidate picked for its score on one half has no such luck on the other. Errors:
// kInvalidArgument (fewer than 2 questions, an id that occurs twice).
[[nodiscard]] Result<QuestionHalves> split_questions(const std::vector<SplitQuestion>& questions,
                                                     uint64_t seed);

// A random order by id and seed: what is asked first is a sample without replacement, as verdicts
// from a part of the questions want it. Errors: kInvalidArgument (an id that occurs twice).
[[nodiscard]] Result<std::vector<int64_t>> asking_order(const std::vector<SplitQuestion>& questions,
                                                        uint64_t seed);

}  // namespace dovetail::eval
