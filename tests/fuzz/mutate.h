// Changes that know what an input is. Blind changes of bytes rarely leave JSON that parses or a
// length that fits, and what lies behind a parser is then never reached.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz_target.h"

namespace dovetail::fuzz {

// A changed input; empty where a blind change is wanted (every second time, always for kBytes).
[[nodiscard]] std::string mutate(Shape shape, std::string_view input, uint64_t seed);

}  // namespace dovetail::fuzz
