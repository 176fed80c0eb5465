// Promises of every struct that is read from TOML: values lie in their ranges, and what was read,
// written again, reads the same.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "fuzz_target.h"

namespace dovetail::fuzz {

// A visitor that compares every value with the range or the choices that its key states.
class RangeCheck {
 public:
  template <typename T>
  void number(std::string_view, const T& value, const NumberSpec& spec) {
    const auto real = static_cast<double>(value);
    require(real >= spec.min && real <= spec.max, "an accepted number lies in its range");
  }
  void flag(std::string_view, bool, const TextSpec&) {}
  void text(std::string_view, const std::string& value, const TextSpec& spec) {
    if (spec.choices.empty() || (value.empty() && !spec.required)) return;
    require(std::ranges::find(spec.choices, value) != spec.choices.end(),
            "an accepted text is one of its choices");
  }
  template <typename T>
  void numbers(std::string_view key, const std::vector<T>& values, const NumberSpec& spec) {
    for (const T& value : values) number(key, value, spec);
  }
  void texts(std::string_view key, const std::vector<std::string>& values, const TextSpec& spec) {
    for (const std::string& value : values) text(key, value, spec);
  }
  template <typename T>
  void group(std::string_view, const T& value, const TextSpec&) {
    T::visit(*this, value);
  }
  template <typename T>
  void group(std::string_view, const std::optional<T>& value, const TextSpec&) {
    if (value.has_value()) T::visit(*this, *value);
  }
  template <typename T>
  void list(std::string_view, const std::vector<T>& values, const TextSpec&) {
    for (const T& value : values) T::visit(*this, value);
  }
};

// A JSON object as TOML, tables inline. Some readers want an empty list absent, some want it there.
[[nodiscard]] std::string toml_of(const Json& object, bool with_empty_lists);

template <typename T>
void require_sound_config(const T& value) {
  RangeCheck check;
  T::visit(check, value);
  const Json written = to_json(value);
  auto again = read_config_text<T>(toml_of(written, false), "written.toml");
  if (!again.has_value()) again = read_config_text<T>(toml_of(written, true), "written.toml");
  require(again.has_value(), again.has_value() ? "" : "written again: " + again.error().message);
  require(to_json(*again) == written, "what is written reads the same");
}

// Reads a struct from TOML text; nothing, after its error was judged, if the text is wrong.
template <typename T>
[[nodiscard]] std::optional<T> read_soundly(std::string_view text) {
  const std::string name = "input.toml";
  const auto value = read_config_text<T>(text, name);
  if (!value.has_value()) {
    require_good_error(value.error(), name);
    return std::nullopt;
  }
  require_sound_config(*value);
  return *value;
}

}  // namespace dovetail::fuzz
