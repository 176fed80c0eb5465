#include "config_checks.h"

#include <cmath>

#include <fmt/format.h>

namespace dovetail::fuzz {
namespace {

// JSON escapes are TOML's, but for U+007F, which TOML wants escaped.
std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : Json(text).dump()) {
    if (c == '\x7f') {
      out += "\\u007f";
    } else {
      out += c;
    }
  }
  return out;
}

std::string value_of(const Json& value, bool with_empty_lists) {
  if (value.is_string()) return quoted(value.get<std::string>());
  if (value.is_number_float()) {
    const std::string digits = fmt::format("{}", value.get<double>());
    return digits.find_first_of(".e") == std::string::npos ? digits + ".0" : digits;
  }
  if (!value.is_structured()) return value.dump();
  std::string parts;
  for (const auto& [key, child] : value.items()) {
    if (child.is_array() && child.empty() && !with_empty_lists) continue;
    if (!parts.empty()) parts += ", ";
    if (value.is_object()) parts += quoted(key) + " = ";
    parts += value_of(child, with_empty_lists);
  }
  return value.is_object() ? "{ " + parts + " }" : "[" + parts + "]";
}

}  // namespace

std::string toml_of(const Json& object, bool with_empty_lists) {
  std::string text;
  for (const auto& [key, value] : object.items()) {
    if (value.is_array() && value.empty() && !with_empty_lists) continue;
    text += quoted(key) + " = " + value_of(value, with_empty_lists) + "\n";
  }
  return text;
}

}  // namespace dovetail::fuzz
