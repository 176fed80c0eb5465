#include "formats/scale_rule.h"

#include <array>

namespace dovetail::formats {
namespace {

constexpr int64_t kGroupCandidates = 16;
constexpr int64_t kRowCandidates = 32;
constexpr int64_t kMaxIntBits = 8;

// Index: bits. ratio^15 of a group is .26 at 2 bits, .58 at 4, .85 at 8; ratio^31 of a row is .06,
// .25 and .65. tools: formats_quantize_bench reports how far this grid is from a dense search.
constexpr std::array<float, kMaxIntBits + 1> kGroupRatio = {1,     1,     .914F, .944F, .964F,
                                                            .975F, .981F, .985F, .989F};
constexpr std::array<float, kMaxIntBits + 1> kRowRatio = {1,     1,     .913F, .94F, .956F,
                                                          .967F, .975F, .981F, .986F};

std::vector<float> powers(float ratio, int64_t count) {
  std::vector<float> factors = {1.0F};
  while (static_cast<int64_t>(factors.size()) < count) factors.push_back(factors.back() * ratio);
  return factors;
}

std::vector<float> binade_phases() {
  std::vector<float> factors;
  for (int i = 0; i < 16; ++i) factors.push_back(1.0F + static_cast<float>(i) / 16.0F);
  return factors;
}

struct Grids {
  std::array<std::vector<float>, kMaxIntBits + 1> group;
  std::array<std::vector<float>, kMaxIntBits + 1> row;
  std::vector<float> fp8 = binade_phases();
  std::vector<int32_t> mxfp4 = {0, 1, -1};
  std::vector<int32_t> nvfp4 = {0, 1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6, -7, -8, -9};
};

const Grids& grids() {
  static const Grids all = [] {
    Grids made;
    for (size_t bits = 2; bits <= kMaxIntBits; ++bits) {
      made.group[bits] = powers(kGroupRatio[bits], kGroupCandidates);
      made.row[bits] = powers(kRowRatio[bits], kRowCandidates);
    }
    return made;
  }();
  return all;
}

}  // namespace

const std::vector<float>& scale_factors(const WeightFormat& format) {
  static const std::vector<float> none;
  if (format.family == WeightFamily::kFp8E4m3Fn) return grids().fp8;
  if (format.family != WeightFamily::kInt) return none;
  const auto bits = static_cast<size_t>(format.bits);
  return format.group_size == 0 ? grids().row[bits] : grids().group[bits];
}

const std::vector<int32_t>& scale_code_steps(const WeightFormat& format) {
  static const std::vector<int32_t> none;
  if (format.family == WeightFamily::kMxfp4) return grids().mxfp4;
  if (format.family == WeightFamily::kNvfp4) return grids().nvfp4;
  return none;
}

}  // namespace dovetail::formats
