// Profiles a model: the predicted loss of every treatment at every site, from one backward pass
// over the profile text and, for the KV cache, injection.
//
// A weight format costs 1/2 sum S * dW^2 (S: host::profile_pass), an activation format
// 1/2 E[(W^T delta)^2 dx^2], a kv treatment the measured KL of kv_injection.h, the head that of
// head_loss.h. Valid for
// element-wise rounding to nearest alone: formats whose errors are correlated by an algorithm
// (GPTQ, rotations) need other prices. Why, and how well it holds: docs/loss.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "compress/kv_injection.h"
#include "compress/loss_profile.h"
#include "host/host_model.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// The profiled weight formats (recipe/profiled_formats.h) with every activation format, and every
// kv format with bf16 and INT8 queries.
[[nodiscard]] recipe::Menu whole_menu();

// Raised when the same inputs give another profile: part of the key of stored ones.
inline constexpr int kProfileMethod = 4;

struct ProfileText {
  std::string name;
  std::string digest;
  host::TokenBatch tokens;  // 512 to 1,024 positions give a stable ranking
};

struct ProfileParams {
  uint64_t label_seed = 1;       // the labels that the backward pass draws
  uint64_t off_grid_seed = 0;    // noted in the result; the weights come permuted
  std::string model_digest;      // noted in the result
  int64_t head_positions = 256;  // positions at which the head's treatments are measured
  KvInjectionParams kv;
};

// Prices the formats that `menu` names. Memory beside the weights: their size again for S, plus the
// working memory of the backward pass. Progress runs 0..1 about evenly in time.
// Errors: kInvalidArgument (tokens out of range, empty text).
[[nodiscard]] Result<LossProfile> profile(const std::shared_ptr<const model::Weights>& weights,
                                          const recipe::Menu& menu, const ProfileText& text,
                                          const ProfileParams& params,
                                          const ProgressSink& progress = {});

// The two parts, for workers that share a profile: all but the kv sites, whose entries stay empty;
// and those, by KvInjector (kv_injection.h).
[[nodiscard]] Result<LossProfile> profile_linears(
    const std::shared_ptr<const model::Weights>& weights, const recipe::Menu& menu,
    const ProfileText& text, const ProfileParams& params, const ProgressSink& progress = {});

}  // namespace dovetail::compress
