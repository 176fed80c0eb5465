// A Scorer on host::HostModel, one request after the other.
#pragma once

#include <memory>

#include "eval/scorer.h"
#include "host/host_model.h"

namespace dovetail::eval {

// Requests whose fed ids are the same (the four choices of a question) share one forward pass.
// `max_length`: 0 for the model's positions, else at most those. Errors: kInvalidArgument.
[[nodiscard]] Result<std::unique_ptr<Scorer>> make_host_scorer(const host::HostModel& model,
                                                               int64_t max_length = 0);

}  // namespace dovetail::eval
