// The best chips of a space for some questions: by visiting all of them or by NSGA-II.
#pragma once

#include "search/method.h"
#include "search/sweep.h"

namespace dovetail::search {

// What `stats` says of the method is filled in. Errors: those of sweep and evolve.
[[nodiscard]] Result<SweepOutcome> find_chips(const ChipQuestions& questions, const Space& space,
                                              const Budget& budget,
                                              const std::vector<SweepTarget>& targets,
                                              const SweepParams& params, const Method& method,
                                              const ProgressSink& progress);

}  // namespace dovetail::search
