// What a terminal gets and a file or a pipe does not: colour, and lines that are rewritten.
#pragma once

#include <cstdint>
#include <string>

namespace dovetail::app {

enum class ColorChoice : uint8_t { kAuto, kAlways, kNever };

// --color of the command line; kAuto until it is called.
void set_color(ColorChoice choice);

// Whether text for a file descriptor may hold colour. kAuto: it is a terminal, TERM is neither
// "dumb" nor empty, and NO_COLOR is unset or empty.
[[nodiscard]] bool shows_color(int fd);

// Whether a line may be rewritten in place: a terminal that is not dumb, whatever --color says.
[[nodiscard]] bool rewrites_lines(int fd);

// The text as it is, or between escape codes where `fd` shows colour.
[[nodiscard]] std::string bold(const std::string& text, int fd);
[[nodiscard]] std::string red(const std::string& text, int fd);

}  // namespace dovetail::app
