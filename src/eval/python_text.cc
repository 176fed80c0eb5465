#include "eval/python_text.h"

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "base/result.h"

namespace dovetail::eval {
namespace {

// The character that begins at `at`. Valid UTF-8.
int32_t code_point_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<int32_t>(static_cast<uint8_t>(text[i])); };
  const int32_t lead = byte(at);
  const size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size == 1) return lead;
  int32_t code_point = lead & (0x7f >> size);
  for (size_t i = 1; i < size && at + i < text.size(); ++i) {
    code_point = (code_point << 6) | (byte(at + i) & 0x3f);
  }
  return code_point;
}

// Where the last character begins; text is not empty.
size_t last_begin(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

// Of one character. Five modifier letters are lower case only since Unicode 15.
bool is_lower_character(char32_t c) {
  if (c == 0x10fc || (c >= 0xa7f2 && c <= 0xa7f4) || c == 0xab69) return false;
  return u_isULowercase(static_cast<UChar32>(c)) != 0;
}

}  // namespace

bool is_python_space(int32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty() && is_python_space(code_point_at(text, last_begin(text)))) {
    text = text.substr(0, last_begin(text));
  }
  return text;
}

std::string_view strip(std::string_view text) {
  text = strip_right(text);
  while (begins_with_space(text)) {
    text.remove_prefix(1);
    while (!text.empty() && (static_cast<uint8_t>(text[0]) & 0xc0) == 0x80) text.remove_prefix(1);
  }
  return text;
}

bool begins_with_space(std::string_view text) {
  return !text.empty() && is_python_space(code_point_at(text, 0));
}

bool ends_with_space(std::string_view text) {
  return strip_right(text).size() != text.size();
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  DOVETAIL_CHECK(!from.empty());
  std::string replaced;
  for (size_t at = 0;;) {
    const size_t found = text.find(from, at);
    replaced += text.substr(at, found == std::string_view::npos ? found : found - at);
    if (found == std::string_view::npos) return replaced;
    replaced += to;
    at = found + from.size();
  }
}

std::string with_replacement_characters(std::string_view bytes) {
  std::string text;
  icu::UnicodeString::fromUTF8(icu::StringPiece(bytes.data(), static_cast<int32_t>(bytes.size())))
      .toUTF8String(text);
  return text;
}

std::u32string code_points(std::string_view text) {
  std::u32string points;
  for (size_t at = 0; at < text.size();) {
    points += static_cast<char32_t>(code_point_at(text, at));
    for (++at; at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80;) ++at;
  }
  return points;
}

std::string from_code_points(std::u32string_view text) {
  icu::UnicodeString units;
  for (const char32_t c : text) units.append(static_cast<UChar32>(c));
  std::string bytes;
  units.toUTF8String(bytes);
  return bytes;
}

std::string lower(std::string_view text) {
  icu::UnicodeString units = icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  std::string lowered;
  units.toLower(icu::Locale::getRoot()).toUTF8String(lowered);
  return lowered;
}

bool is_upper_character(char32_t c) {
  return u_isUUppercase(static_cast<UChar32>(c)) != 0;
}

bool is_upper(std::string_view text) {
  bool any = false;
  for (const char32_t c : code_points(text)) {
    if (is_lower_character(c) || u_istitle(static_cast<UChar32>(c)) != 0) return false;
    any = any || is_upper_character(c);
  }
  return any;
}

bool is_lower(std::string_view text) {
  bool any = false;
  for (const char32_t c : code_points(text)) {
    if (is_upper_character(c) || u_istitle(static_cast<UChar32>(c)) != 0) return false;
    any = any || is_lower_character(c);
  }
  return any;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    size_t next = at + 1;
    while (next < text.size() && (static_cast<uint8_t>(text[next]) & 0xc0) == 0x80) ++next;
    if (is_python_space(code_point_at(text, at))) {
      if (at > begin) found.push_back(text.substr(begin, at - begin));
      begin = next;
    }
    at = next;
  }
  if (begin < text.size()) found.push_back(text.substr(begin));
  return found;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator) {
  DOVETAIL_CHECK(!separator.empty());
  std::vector<std::string_view> pieces;
  for (;;) {
    const size_t at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return pieces;
    text.remove_prefix(at + separator.size());
  }
}

std::string_view strip_left_of(std::string_view text, char c) {
  while (text.starts_with(c)) text.remove_prefix(1);
  return text;
}

std::string_view strip_right_of(std::string_view text, char c) {
  while (text.ends_with(c)) text.remove_suffix(1);
  return text;
}

std::string_view text_before(std::string_view text, std::string_view separator) {
  DOVETAIL_CHECK(!separator.empty());
  return text.substr(0, text.find(separator));
}

}  // namespace dovetail::eval
