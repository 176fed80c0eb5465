// Losses of the head's treatments. The head is measured: its rounded matrix meets stored final
// hidden states and the KL is taken, which needs no layer again. A tied head is the input embedding
// too, and that side is predicted from the gradient there.
//
// Why not 1/2 sum S * dW^2: the softmax ignores what all logits have in common, and rounding the
// few channels in which the hidden state is huge errs alike in every row of the head. The diagonal
// counts that error; on SmolLM2 it overstates 4-bit heads by 2 to 4 times.
#pragma once

#include <cstdint>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "compress/loss_profile.h"
#include "formats/format.h"
#include "host/host_model.h"
#include "model/model.h"

namespace dovetail::compress {

struct HeadLosses {
  LossByName weight;      // nats per token, by formats::format_name
  LossByName activation;  // INT8 and FP8 per token
};

// `weight_formats`: without bf16. `embedding_sensitivity` (tokens, h): host::Sensitivity::embedding
// of the same tokens; read when tied. KL is measured at `scored_positions` positions, evenly
// spaced. Memory: a copy of the head and scored_positions * vocab floats. Errors: kInvalidArgument
// (scored_positions < 1, tokens out of range).
[[nodiscard]] Result<HeadLosses> price_head(
    const host::HostModel& reference, const host::TokenBatch& tokens,
    const std::vector<formats::WeightFormat>& weight_formats,
    const model::Matrix& embedding_sensitivity, int64_t scored_positions,
    const ProgressSink& progress = {});

}  // namespace dovetail::compress
