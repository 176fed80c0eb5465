#include "formats/rounding.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/config.h"

namespace dovetail::formats {
namespace {

template <typename Value, size_t kCount>
using Names = std::array<std::pair<Value, std::string_view>, kCount>;

constexpr Names<ScaleRule, 6> kScaleRules = {{{ScaleRule::kAbsmax, "absmax"},
                                              {ScaleRule::kMse, "mse"},
                                              {ScaleRule::kFloor, "floor"},
                                              {ScaleRule::kRceil, "rceil"},
                                              {ScaleRule::kCeil, "ceil"},
                                              {ScaleRule::kEven, "even"}}};
constexpr Names<Ties, 3> kTies = {
    {{Ties::kEven, "even"}, {Ties::kAway, "away"}, {Ties::kZero, "zero"}}};
constexpr Names<ZeroBlock, 2> kZeroBlocks = {
    {{ZeroBlock::kSmallest, "smallest"}, {ZeroBlock::kOne, "one"}}};

template <typename Value, size_t kCount>
std::string_view name_of(Value value, const Names<Value, kCount>& names) {
  const auto found = std::ranges::find(names, value, &std::pair<Value, std::string_view>::first);
  return found == names.end() ? "unknown" : found->second;
}

template <typename Value, size_t kCount>
Result<Value> parse(std::string_view what, std::string_view name,
                    const Names<Value, kCount>& names) {
  std::vector<std::string> legal;
  for (const auto& [value, legal_name] : names) {
    if (legal_name == name) return value;
    legal.emplace_back(legal_name);
  }
  const auto near = nearest_name(name, legal);
  return invalid_argument(
      fmt::format("{} = \"{}\", want one of {}{}", what, name, fmt::join(legal, ", "),
                  near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

}  // namespace

ScaleRule plain_rule(const WeightFormat& format) {
  return format.scale == ScaleType::kE8m0 ? ScaleRule::kFloor : ScaleRule::kAbsmax;
}

std::vector<ScaleRule> legal_rules(const WeightFormat& format) {
  if (format.scale == ScaleType::kE8m0) {
    return {ScaleRule::kFloor, ScaleRule::kMse, ScaleRule::kRceil, ScaleRule::kCeil,
            ScaleRule::kEven};
  }
  return {ScaleRule::kAbsmax, ScaleRule::kMse};
}

std::string_view rule_name(ScaleRule rule) {
  return name_of(rule, kScaleRules);
}
std::string_view rule_name(Ties ties) {
  return name_of(ties, kTies);
}
std::string_view rule_name(ZeroBlock zero_block) {
  return name_of(zero_block, kZeroBlocks);
}

Result<ScaleRule> parse_scale_rule(std::string_view name) {
  return parse("scale_rule", name, kScaleRules);
}
Result<Ties> parse_ties(std::string_view name) {
  return parse("ties", name, kTies);
}
Result<ZeroBlock> parse_zero_block(std::string_view name) {
  return parse("zero_block", name, kZeroBlocks);
}

}  // namespace dovetail::formats
