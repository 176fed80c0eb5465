#include "compress/site_matrix.h"

#include <algorithm>

#include "base/result.h"

namespace dovetail::compress {

using model::LayerWeights;
using model::Matrix;

std::vector<SiteMember> site_members(recipe::SiteKind kind) {
  switch (kind) {
    case recipe::SiteKind::kAttnQkv:
      return {{"q", &LayerWeights::q}, {"k", &LayerWeights::k}, {"v", &LayerWeights::v}};
    case recipe::SiteKind::kAttnO:
      return {{"o", &LayerWeights::o}};
    case recipe::SiteKind::kMlpGateUp:
      return {{"gate", &LayerWeights::gate}, {"up", &LayerWeights::up}};
    case recipe::SiteKind::kMlpDown:
      return {{"down", &LayerWeights::down}};
    case recipe::SiteKind::kKv:
    case recipe::SiteKind::kHead:
      break;
  }
  return {};
}

const std::array<model::Matrix model::LayerWeights::*, kLayerLinears>& layer_linears() {
  using model::LayerWeights;
  static constexpr std::array<model::Matrix LayerWeights::*, kLayerLinears> kMembers = {
      &LayerWeights::q,    &LayerWeights::k,  &LayerWeights::v,   &LayerWeights::o,
      &LayerWeights::gate, &LayerWeights::up, &LayerWeights::down};
  return kMembers;
}

std::vector<std::vector<SiteMember>> site_parts(recipe::SiteKind kind,
                                                const formats::WeightFormat& format) {
  const std::vector<SiteMember> members = site_members(kind);
  if (format.group_rows <= 1) return {members};
  std::vector<std::vector<SiteMember>> parts;
  for (const SiteMember& member : members) parts.push_back({member});
  return parts;
}

Matrix stacked(const LayerWeights& layer, const std::vector<SiteMember>& members) {
  Matrix stack;
  for (const SiteMember& member : members) {
    const Matrix& part = layer.*member.matrix;
    stack.cols = part.cols;
    stack.rows += part.rows;
  }
  stack.values.reserve(static_cast<size_t>(stack.rows * stack.cols));
  for (const SiteMember& member : members) {
    const std::vector<float>& part = (layer.*member.matrix).values;
    stack.values.insert(stack.values.end(), part.begin(), part.end());
  }
  return stack;
}

void unstack(const std::vector<float>& values, const std::vector<SiteMember>& members,
             LayerWeights& layer) {
  auto from = values.begin();
  for (const SiteMember& member : members) {
    std::vector<float>& part = (layer.*member.matrix).values;
    std::copy_n(from, std::ssize(part), part.begin());
    from += std::ssize(part);
  }
}

formats::MatrixScales scales_of_rows(const formats::WeightFormat& format,
                                     const formats::MatrixScales& scales, int64_t first,
                                     int64_t count) {
  DOVETAIL_CHECK(format.group_rows <= 1);
  formats::MatrixScales part = scales;
  if (format.group_rows == 0) return part;
  const auto cut = [&](auto& list, int64_t per_row) {
    if (list.empty()) return;
    const auto begin = list.begin() + first * per_row;
    list = std::remove_reference_t<decltype(list)>(begin, begin + count * per_row);
  };
  cut(part.stored, scales.groups);
  cut(part.scale, scales.groups);
  cut(part.zero, scales.groups);
  cut(part.row_scale, 1);
  part.row_groups = count;
  return part;
}

}  // namespace dovetail::compress
