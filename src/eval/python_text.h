// What Python's str does to text, on UTF-8: the reference harness is written in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace dovetail::eval {

// str.isspace of one code point: White_Space of Unicode 14 and U+001C..U+001F.
[[nodiscard]] bool is_python_space(int32_t code_point);

// str.strip() and str.rstrip(). Valid UTF-8.
[[nodiscard]] std::string_view strip(std::string_view text);
[[nodiscard]] std::string_view strip_right(std::string_view text);

// text[0].isspace() and text[-1].isspace(), false for no text. Valid UTF-8.
[[nodiscard]] bool begins_with_space(std::string_view text);
[[nodiscard]] bool ends_with_space(std::string_view text);

// str.replace(from, to); `from` is not empty.
[[nodiscard]] std::string replace_all(std::string_view text, std::string_view from,
                                      std::string_view to);

// bytes.decode("utf-8", errors="replace"), and back: each part of bytes that cannot begin or go on
// with a character becomes one U+FFFD (Unicode 15, table 3-8).
[[nodiscard]] std::string with_replacement_characters(std::string_view bytes);

// text.split(separator)[0], for a separator that is not empty.
[[nodiscard]] std::string_view text_before(std::string_view text, std::string_view separator);

}  // namespace dovetail::eval
