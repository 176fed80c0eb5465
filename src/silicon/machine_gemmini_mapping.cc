#include "silicon/machine_gemmini_mapping.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <vector>

#include <fmt/format.h>

namespace dovetail::silicon {
namespace {

constexpr std::string_view kDimNames = "NQPKSRC";
constexpr size_t kNumLevels = 4;

struct Factor {
  LoopDim dim;
  int64_t size;
  bool spatial;
};

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos;
       begin = end + separator.size()) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

// "K16X"
Result<Factor> parse_factor(const std::string& word) {
  const size_t dim = word.empty() ? std::string::npos : kDimNames.find(word[0]);
  const bool spatial = word.size() > 1 && word.back() == 'X';
  const char* begin = word.data() + std::min<size_t>(word.size(), 1);
  const char* end = word.data() + word.size() - (spatial ? 1 : 0);
  int64_t size = 0;
  const auto [stop, error] = std::from_chars(begin, end, size);
  if (dim == std::string::npos || begin == end || error != std::errc() || stop != end || size < 1 ||
      size > kMaxLoopSize) {
    return invalid_argument(
        fmt::format("mapping word '{}', want one of {} and a factor of 1..{}, as K16 or K16X", word,
                    kDimNames, kMaxLoopSize));
  }
  return Factor{static_cast<LoopDim>(dim), size, spatial};
}

// The number in "L3[WIO]".
Result<size_t> parse_level(const std::string& word) {
  if (word.size() < 4 || word[0] != 'L' || word[1] < '0' || word[1] > '3' || word[2] != '[' ||
      word.back() != ']') {
    return invalid_argument(
        fmt::format("mapping level '{}', want L0 to L3 with its tensors, as L3[WIO]", word));
  }
  return static_cast<size_t>(word[1] - '0');
}

using Levels = std::array<std::vector<Factor>, kNumLevels>;

Result<Levels> parse_levels(const std::string& text) {
  Levels levels;
  std::set<size_t> seen;
  for (const std::string& part : split(text, " - ")) {
    std::istringstream words(part);
    std::string word;
    words >> word;
    DOVETAIL_TRY(const size_t level, parse_level(word));
    if (!seen.insert(level).second) {
      return invalid_argument(fmt::format("mapping has level L{} twice", level));
    }
    while (words >> word) {
      DOVETAIL_TRY(const Factor factor, parse_factor(word));
      levels[level].push_back(factor);
    }
  }
  if (seen.size() != kNumLevels) {
    return invalid_argument(
        fmt::format("mapping has {} levels, want L3, L2, L1 and L0", seen.size()));
  }
  return levels;
}

}  // namespace

std::string ConvLayer::name() const {
  const auto at = [&](LoopDim dim) { return size[index_of(dim)]; };
  if (is_matmul()) {
    return fmt::format("matmul {} {}->{}", at(LoopDim::kP), at(LoopDim::kC), at(LoopDim::kK));
  }
  return fmt::format("{}x{} {}x{} {}->{} s{}", at(LoopDim::kS), at(LoopDim::kR), at(LoopDim::kQ),
                     at(LoopDim::kP), at(LoopDim::kC), at(LoopDim::kK), stride);
}

Status check_layer(const ConvLayer& layer) {
  for (size_t d = 0; d < kNumLoopDims; ++d) {
    if (layer.size[d] < 1 || layer.size[d] > kMaxLoopSize) {
      return invalid_argument(fmt::format("layer dimension {} = {}, want 1..{}", kDimNames[d],
                                          layer.size[d], kMaxLoopSize));
    }
  }
  if (layer.stride < 1 || layer.stride > 16) {
    return invalid_argument(fmt::format("stride = {}, want 1..16", layer.stride));
  }
  const auto at = [&](LoopDim dim) { return layer.size[index_of(dim)]; };
  if (at(LoopDim::kN) != 1) {
    return invalid_argument(fmt::format("layer dimension N = {}, want 1 image", at(LoopDim::kN)));
  }
  if (!layer.is_matmul() &&
      (at(LoopDim::kP) != at(LoopDim::kQ) || at(LoopDim::kR) != at(LoopDim::kS))) {
    return invalid_argument(
        fmt::format("convolution of {} x {} outputs and a {} x {} kernel, want "
                    "squares: the measured programs know no other",
                    at(LoopDim::kQ), at(LoopDim::kP), at(LoopDim::kS), at(LoopDim::kR)));
  }
  return {};
}

Result<GemminiMapping> parse_gemmini_mapping(const std::string& text, const ConvLayer& layer) {
  DOVETAIL_TRY_STATUS(check_layer(layer));
  DOVETAIL_TRY(const Levels levels, parse_levels(text));
  LoopSizes tile;
  tile.fill(1);
  LoopSizes covered;
  covered.fill(1);
  GemminiMapping mapping;
  std::vector<LoopDim> order;
  for (size_t level = 0; level < kNumLevels; ++level) {
    for (const Factor& factor : levels[level]) {
      const size_t d = index_of(factor.dim);
      covered[d] = std::min(covered[d] * factor.size, kMaxLoopSize);
      const bool dram_loop = level + 1 == kNumLevels && !factor.spatial;
      if (!dram_loop) {
        tile[d] = std::min(tile[d] * factor.size, kMaxLoopSize);
      } else if (std::find(order.begin(), order.end(), factor.dim) != order.end()) {
        return invalid_argument(fmt::format("mapping loops twice over {} at L3", kDimNames[d]));
      } else {
        order.push_back(factor.dim);
      }
    }
  }
  // Dimensions without a DRAM loop run once; where they stand in the order changes nothing.
  for (size_t d = 0; d < kNumLoopDims; ++d) {
    if (covered[d] < layer.size[d]) {
      return invalid_argument(
          fmt::format("mapping covers {} = {}, want {}", kDimNames[d], covered[d], layer.size[d]));
    }
    mapping.tile[d] = std::min(tile[d], layer.size[d]);
    const auto dim = static_cast<LoopDim>(d);
    if (std::find(order.begin(), order.end(), dim) == order.end()) order.push_back(dim);
  }
  std::copy(order.begin(), order.end(), mapping.order.begin());
  return mapping;
}

std::string network_of_shape(const ConvLayer& layer) {
  const auto at = [&](LoopDim dim) { return layer.size[index_of(dim)]; };
  if (layer.is_matmul()) return at(LoopDim::kP) > 1 ? "bert" : "resnet50";
  const int64_t pixels = at(LoopDim::kP);
  const std::set<int64_t> pyramid = {112, 56, 28, 14, 7, 4, 2};
  const bool wide = at(LoopDim::kC) == 1024 && at(LoopDim::kK) == 1024 && at(LoopDim::kS) == 3;
  if (at(LoopDim::kS) == 2 || wide || !pyramid.contains(pixels)) return "unet";
  if (at(LoopDim::kK) == 720 || at(LoopDim::kK) == 36 || pixels <= 4) return "retinanet";
  if (at(LoopDim::kS) == 7 || pixels >= 56) return "resnet50";
  return "";
}

}  // namespace dovetail::silicon
