// The named parameters of rounding: how a group's scale is chosen, where ties go, what a group of
// zeros stores. They change which codes are written, never how codes are read; a checkpoint names
// them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/format.h"

namespace dovetail::formats {

enum class ScaleRule : uint8_t {
  kAbsmax,  // the group's largest magnitude maps to the largest code; not for E8M0
  kMse,     // the scale out of a fixed grid around the plain one that gives the least squared error
  // E8M0 alone; a: the group's largest magnitude, e(a) = floor(log2 a), emax: exponent of the
  // largest element.
  kFloor,  // 2^(e(a) - emax), OCP MX section 6.3; the largest elements may saturate
  kRceil,  // the smallest power that saturates nothing
  kCeil,   // 2^(e(a) - emax), one more unless a is a power of two
  kEven,   // 2^(e(a rounded to the element's mantissa, ties away) - emax)
};

enum class Ties : uint8_t { kEven, kAway, kZero };  // half way between two codes

// What a group of zeros stores as its scale; its codes decode to zeros either way.
enum class ZeroBlock : uint8_t {
  kSmallest,  // scale code 0: zero, or 2^-127 for E8M0, which has no zero
  kOne,       // the code nearest to 1
};

struct Rounding {
  ScaleRule scale = ScaleRule::kMse;
  Ties ties = Ties::kEven;
  ZeroBlock zero_block = ZeroBlock::kSmallest;
  bool operator==(const Rounding&) const = default;
};

// The rule without a search: kFloor for E8M0, else kAbsmax.
[[nodiscard]] ScaleRule plain_rule(const WeightFormat& format);
// Rules that a format may use, the plain one first; bf16 has no scale and takes any.
[[nodiscard]] std::vector<ScaleRule> legal_rules(const WeightFormat& format);

// "absmax", "mse", "floor", "rceil", "ceil", "even"; "even", "away", "zero"; "smallest", "one".
[[nodiscard]] std::string_view rule_name(ScaleRule rule);
[[nodiscard]] std::string_view rule_name(Ties ties);
[[nodiscard]] std::string_view rule_name(ZeroBlock zero_block);
// Errors: kInvalidArgument naming the value and the legal ones.
[[nodiscard]] Result<ScaleRule> parse_scale_rule(std::string_view name);
[[nodiscard]] Result<Ties> parse_ties(std::string_view name);
[[nodiscard]] Result<ZeroBlock> parse_zero_block(std::string_view name);

}  // namespace dovetail::formats
