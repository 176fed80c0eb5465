// Ranks the compression techniques of a study: what each saves for the nats that it adds.
//
// For each scenario's recommendation and each technique of the menu (docs/roadmap.md):
//   without    the best answer on the recommended chip that does not use the technique and leaves
//              its nats unspent: its loss cap is lower by what the technique adds
//   saved      1 - cost / cost without                         [share of the cost without]
//   per nat    saved over the nats that the technique adds
//   worth      the same as saved at equal loss: the nats may be spent on other techniques
// Where pairs of the chip serve the technique alone, the chip without them competes as well, so
// that area is not counted against an answer that does not need it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "roadmap/silicon_need.h"
#include "roadmap/solve.h"
#include "roadmap/tables.h"
#include "roadmap/technique.h"

namespace dovetail::roadmap {

struct RoadmapParams {
  bool space = false;  // also search the space without each technique that an answer uses
};

// low <= value <= high.
struct Band {
  double value = 0;
  double low = 0;
  double high = 0;
};

// An answer without the technique.
struct Alternative {
  Point point = {};
  Band saved = {};                // share of its objective that the recommendation saves
  double saved_latency_frac = 0;  // may be below 0: an objective in energy may cost time
  double saved_energy_frac = 0;
  double saved_area_frac = 0;
};

enum class Place : uint8_t {
  kUsed,       // the answer uses it
  kNotUsed,    // the chip executes it, the answer does not
  kNotOnChip,  // the chip executes none of its treatments
};

struct Row {
  Technique technique = {};
  Place place = Place::kNotUsed;
  double share_frac = 0;                // of the linears' weights; of the kv sites
  std::optional<Band> added_nats = {};  // absent for rotations, which change what all others add
  std::optional<Alternative> without = {};
  std::optional<Alternative> equal_loss = {};
  std::optional<Band> saved_per_nat = {};  // saved share per nat
  std::optional<Alternative> space = {};   // equal loss, any chip of the space
  SiliconNeed silicon = {};
  // Not used: how much less the technique would have to add (share of what it does, 0..1) for the
  // answer to become cheaper by more than solving can tell; absent: not even if it added nothing.
  std::optional<double> enters_at_frac = {};
  std::string confidence = {};  // "established", "not established", "predicted only"
  std::vector<std::string> falsified_by = {};
};

// One per scenario; rows in rank order. Infeasible: no rows.
struct ScenarioRoadmap {
  std::vector<Row> rows;
};

[[nodiscard]] Result<ScenarioRoadmap> rank_techniques(const Tables& tables, const Answer& answer,
                                                      const RoadmapParams& params,
                                                      const ProgressSink& progress);

// Everything, as docs/roadmap.md says.
[[nodiscard]] Result<Json> make_roadmap(const Tables& tables, const RoadmapParams& params,
                                        const ProgressSink& progress);

}  // namespace dovetail::roadmap
