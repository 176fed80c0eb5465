// Whether Python's json.loads takes a text.
#pragma once

#include <string_view>

namespace dovetail::eval {

enum class JsonConstants { kAllowed, kRefused };  // NaN, Infinity, -Infinity: Python takes them

// True if json.loads(text) of Python 3.11 returns a value: one JSON value between white space, lone
// surrogates, repeated keys and constants allowed, integers of at most 4,300 digits. Nesting may be
// of any depth; Python gives up with RecursionError near 1,000, which ends lm-eval's run.
// Valid UTF-8.
[[nodiscard]] bool is_python_json(std::string_view text,
                                  JsonConstants constants = JsonConstants::kAllowed);

}  // namespace dovetail::eval
