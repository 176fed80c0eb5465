// What Python's str does to text, on UTF-8: the reference harness is written in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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

// The characters of a text, and back. Valid UTF-8; code points that can be encoded.
[[nodiscard]] std::u32string code_points(std::string_view text);
[[nodiscard]] std::string from_code_points(std::u32string_view text);

// str.lower(), str.isupper(), str.islower(). Valid UTF-8. Python 3.11 has Unicode 14, ICU may have
// a later one: letters that only the later one knows differ.
[[nodiscard]] std::string lower(std::string_view text);
[[nodiscard]] bool is_upper(std::string_view text);
[[nodiscard]] bool is_lower(std::string_view text);
// str.isupper() of one character.
[[nodiscard]] bool is_upper_character(char32_t c);

// str.split(): the words between white space. Valid UTF-8.
[[nodiscard]] std::vector<std::string_view> words(std::string_view text);

// text.split(separator), for a separator that is not empty.
[[nodiscard]] std::vector<std::string_view> split_at(std::string_view text,
                                                     std::string_view separator);

// text.lstrip(c) and text.rstrip(c) for an ASCII character.
[[nodiscard]] std::string_view strip_left_of(std::string_view text, char c);
[[nodiscard]] std::string_view strip_right_of(std::string_view text, char c);

}  // namespace dovetail::eval
