// The matrices of a linear site as one: q, k and v, or gate and up, stacked along n.
//
// They see the same inputs, so an algorithm solves them together; and what a format keeps once a
// tensor (NVFP4's FP32 scale, one scale a tensor, fitted levels) is kept once for the site, as
// runtimes that fuse them want it. Formats with blocks of rows are the exception: a block ends
// where its matrix does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/codec.h"
#include "formats/format.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct SiteMember {
  std::string_view name;  // "q", "gate"
  model::Matrix model::LayerWeights::* matrix;
};
// In the order in which they are stacked; empty for kv and head.
[[nodiscard]] std::vector<SiteMember> site_members(recipe::SiteKind kind);

// All linears of a layer: q, k, v, o, gate, up, down.
inline constexpr size_t kLayerLinears = 7;
[[nodiscard]] const std::array<model::Matrix model::LayerWeights::*, kLayerLinears>&
layer_linears();

// Members that are one matrix for this format: one list of all, or one of each.
[[nodiscard]] std::vector<std::vector<SiteMember>> site_parts(recipe::SiteKind kind,
                                                              const formats::WeightFormat& format);

// (sum of rows, k). The values of `layer` are copied.
[[nodiscard]] model::Matrix stacked(const model::LayerWeights& layer,
                                    const std::vector<SiteMember>& members);
// values: of the stack, written into the members.
void unstack(const std::vector<float>& values, const std::vector<SiteMember>& members,
             model::LayerWeights& layer);

// The scales of rows first .. first + count - 1. Formats with one scale a row or a tensor.
[[nodiscard]] formats::MatrixScales scales_of_rows(const formats::WeightFormat& format,
                                                   const formats::MatrixScales& scales,
                                                   int64_t first, int64_t count);

}  // namespace dovetail::compress
