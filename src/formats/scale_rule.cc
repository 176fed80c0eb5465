#include "formats/scale_rule.h"

#include <array>
#include <cmath>

namespace dovetail::formats {
namespace {

constexpr int64_t kGroupCandidates = 16;
constexpr int64_t kRowCandidates = 32;
constexpr int64_t kMaxIntBits = 8;

// Index: bits. Where each grid ends is where the best factor of the 1st percentile of groups of 32
// to 128 (rows of 1536) normal, Laplace and Student t5 values lay in a dense search; a test
// holds the errors found to 1.2 % above those of such a search.
using Ratios = std::array<float, kMaxIntBits + 1>;
constexpr Ratios kSymmetricGroup = {1,      1,     .898F, .941F, .9686F,    // ends at .20 .40 .62
                                    .9836F, .990F, .994F, .997F};           // .78 .86 - .955
constexpr Ratios kAsymmetricGroup = {1,      1,      .929F, .964F, .9836F,  // .33 .58 .78
                                     .9915F, .9952F, .997F, .9983F};        // .88 .93 - .975
constexpr Ratios kRow = {1,      1,      .913F, .940F, .9575F,              // .06 .15 .26
                         .9746F, .9862F, .992F, .9966F};                    // .45 .65 - .90

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

// Sixteen values clip less: their grid ends nearer to 1.
constexpr float kShortGroupPower = .85F;
constexpr int64_t kShortGroup = 16;

struct Grids {
  std::array<std::vector<float>, kMaxIntBits + 1> symmetric_short;
  std::array<std::vector<float>, kMaxIntBits + 1> asymmetric_short;
  std::array<std::vector<float>, kMaxIntBits + 1> symmetric_group;
  std::array<std::vector<float>, kMaxIntBits + 1> asymmetric_group;
  std::array<std::vector<float>, kMaxIntBits + 1> row;
  std::vector<float> binade = binade_phases();
  std::vector<int32_t> e8m0 = {0, 1, -1};
  std::vector<int32_t> e4m3 = {0, 1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6, -7, -8, -9};
  std::vector<int32_t> uint8 = {0, -1, 1, -2, -3, -4, -5, -6};
};

const Grids& grids() {
  static const Grids all = [] {
    Grids made;
    for (size_t bits = 2; bits <= kMaxIntBits; ++bits) {
      made.symmetric_group[bits] = powers(kSymmetricGroup[bits], kGroupCandidates);
      made.asymmetric_group[bits] = powers(kAsymmetricGroup[bits], kGroupCandidates);
      made.row[bits] = powers(kRow[bits], kRowCandidates);
      made.symmetric_short[bits] =
          powers(std::pow(kSymmetricGroup[bits], kShortGroupPower), kGroupCandidates);
      made.asymmetric_short[bits] =
          powers(std::pow(kAsymmetricGroup[bits], kShortGroupPower), kGroupCandidates);
    }
    return made;
  }();
  return all;
}

}  // namespace

const std::vector<float>& scale_factors(const WeightFormat& format) {
  static const std::vector<float> none;
  if (format.scale == ScaleType::kFp32) return grids().binade;
  if (format.scale != ScaleType::kFp16) return none;
  const auto bits = static_cast<size_t>(format.bits);
  if (format.group_size == 0 || format.group_rows != 1) return grids().row[bits];
  if (format.group_size == kShortGroup)
    return format.asymmetric ? grids().asymmetric_short[bits] : grids().symmetric_short[bits];
  return format.asymmetric ? grids().asymmetric_group[bits] : grids().symmetric_group[bits];
}

const std::vector<int32_t>& scale_code_steps(const WeightFormat& format) {
  static const std::vector<int32_t> none;
  switch (format.scale) {
    case ScaleType::kE8m0:
      return grids().e8m0;
    case ScaleType::kE4m3:
      return grids().e4m3;
    case ScaleType::kUint8:
      return grids().uint8;
    default:
      return none;
  }
}

}  // namespace dovetail::formats
