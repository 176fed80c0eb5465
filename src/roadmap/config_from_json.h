// Reads a config struct back from the JSON that to_json wrote, with the checks of its visit().
#pragma once

#include <string>

#include "base/config.h"

namespace dovetail::roadmap {

// The JSON as one TOML value: objects become inline tables, nulls are left out.
[[nodiscard]] std::string to_toml_value(const Json& json);
// The keys of an object, one a line.
[[nodiscard]] std::string to_toml(const Json& object);

// Errors: those of the struct's visit(), with `where` in front.
template <typename T>
[[nodiscard]] Result<T> config_from_json(const Json& json, const std::string& where) {
  return read_config_text<T>(to_toml(json), where);
}

}  // namespace dovetail::roadmap
