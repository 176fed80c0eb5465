// Scales of static activation formats: the largest magnitude that calibration text makes at each
// site maps to the largest code.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/host_model.h"

namespace dovetail::compress {

// The numerics with every static scale that is 0 filled in. Sites are taken in order of execution,
// over the whole text, with the model's weights as they are and everything before the site rounded
// as `numerics` asks. Copies numerics without static formats at no cost. A site whose inputs are
// all zeros gets the smallest scale, 2^-126.
//
// tokens: every position counts. Memory: 4 bytes * tokens * (hidden + the widest input).
// Errors: as host::check_tokens and check_numerics.
[[nodiscard]] Result<host::Numerics> with_static_scales(const host::HostModel& model,
                                                        host::Numerics numerics,
                                                        const host::TokenBatch& tokens,
                                                        int64_t rows_at_once = 2048);

}  // namespace dovetail::compress
