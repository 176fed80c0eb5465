// How far a prediction of loss carries: bands on nats and on what an answer saves.
#pragma once

#include "roadmap/roadmap.h"

namespace dovetail::roadmap {

// Of the answer's products under their rotations, and of the algorithms of both points at the sites
// where they differ: the largest geometric standard deviation of measured over predicted loss. 1
// where the study did not test its prediction.
[[nodiscard]] double spread_between(const Tables& tables, const Point& one, const Point& other);

// The same of the algorithm of one treatment of linears; 1 where the study did not test it.
[[nodiscard]] double algorithm_spread(const Tables& tables,
                                      const recipe::LinearTreatment& treatment);

// Largest share over products and both points of the predicted loss that lies at sites whose
// treatment differs, 0..1; 1 under different rotations. What both points share cancels.
[[nodiscard]] double changed_share(const Tables& tables, const Point& one, const Point& other);

// What `answer` saves against `other`. The other's cost is uncertain by its gap and by the loss
// that its changed sites may really add, two standard deviations of it, through the elasticity:
//   cost * (1 + changed share * (spread^2 - 1))^(+-elasticity)
[[nodiscard]] Band saved_band(const Tables& tables, const Answer& answer, const Point& point,
                              const Point& other);

}  // namespace dovetail::roadmap
