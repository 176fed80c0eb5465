// The reasons of an explanation, one function each: why this chip, why these bits, how sure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "report/explain.h"

namespace dovetail::report {

// Whether two caps of a record mean the same scenario; a front stores its cap after a division.
[[nodiscard]] bool same_cap(double a, double b);
// "latency@0.15".
[[nodiscard]] std::string scenario_name(const Json& scenario);
// "4.2 % more", "0.3 % less", "the same".
[[nodiscard]] std::string change_words(double ratio);
// In how many axes two chips differ: "format set i5 -> i9, SRAM 4 -> 8 MiB"; "" if in none.
[[nodiscard]] std::string chip_changes(const Json& from, const Json& to);
// What a front point costs under a scenario's objective.
[[nodiscard]] double objective_of(const Json& record, const Json& scenario,
                                  const Json& front_point);

// What the chip and the recipes are, and what of the budget they take.
[[nodiscard]] ExplanationPart what_it_is(const Json& record, const Json& point);
// Which resource takes the time of prefill and of decode. Of a front point too.
[[nodiscard]] ExplanationPart what_binds(const Json& point);
// Axis by axis: the cheapest point of the front with another value, and what one more unit of
// each resource is worth.
[[nodiscard]] ExplanationPart why_this_chip(const Json& record, const Json& scenario);
// The sites that keep more bits than most, by what fewer would lose and what they would save.
[[nodiscard]] ExplanationPart why_these_bits(const Json& record, const Json& scenario);
// Other ways of working, other caps.
[[nodiscard]] ExplanationPart what_else_costs(const Json& record, const Json& scenario);
// Search, losses, technology constants.
[[nodiscard]] ExplanationPart how_sure(const Json& record, const Json& scenario);

}  // namespace dovetail::report
