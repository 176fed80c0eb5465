// Does the winner survive the ranges of the technology constants?
//
// Every constant goes to both ends of its stated range. Twice: first the best chips of the space
// (the contenders) are priced and allocated again, which shows how far each constant moves the
// answer; then, for the constants that move most or that let another chip win, the whole space is
// searched again. `searched` says which of the two a row rests on.
#pragma once

#include <memory>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "study/memory.h"
#include "study/scenario.h"

namespace dovetail::study {

// Rows as docs/record.md says, largest swing first; constants that change nothing are left out.
// Empty for a frozen chip or without a feasible joint answer. The predicted cap stays where the
// joint answer settled. Tier: analytical.
[[nodiscard]] Result<Json> tornado_to_json(const StudyState& state, const ScenarioAnswer& answer,
                                           const ProgressSink& progress);

// What tornado_to_json() remembers, as pieces that several workers can share. Three lists, each of
// which needs the results of the one before: the contenders, the contests, the searches.
enum class TornadoStep : uint8_t { kContenders, kContests, kSearches };
[[nodiscard]] Result<std::vector<Piece>> tornado_pieces(
    TornadoStep step, const StudyState& state, const std::shared_ptr<const ScenarioAnswer>& answer,
    const ProgressSink& progress);

}  // namespace dovetail::study
