// JSON text from files, nesting limited: the parser copes with any depth, but whoever copies,
// writes or walks the value recurses.
#pragma once

#include <string>
#include <string_view>

#include "base/config.h"

namespace dovetail {

inline constexpr int kMaxJsonDepth = 64;

// Deepest nesting of brackets outside strings, counted no further than to limit + 1.
[[nodiscard]] int json_depth(std::string_view text, int limit);

// `name` stands in front of every error message. Errors: kInvalidArgument.
[[nodiscard]] Result<Json> parse_json(std::string_view text, const std::string& name);

}  // namespace dovetail
