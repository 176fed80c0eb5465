#include "roadmap/config_from_json.h"

#include <vector>

#include <fmt/format.h>

namespace dovetail::roadmap {

std::string to_toml_value(const Json& json) {
  std::vector<std::string> parts;
  if (json.is_array()) {
    for (const Json& entry : json)
      if (!entry.is_null()) parts.push_back(to_toml_value(entry));
    return fmt::format("[{}]", fmt::join(parts, ", "));
  }
  if (json.is_object()) {
    for (const auto& [key, value] : json.items())
      if (!value.is_null())
        parts.push_back(fmt::format("{} = {}", Json(key).dump(), to_toml_value(value)));
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
  // JSON strings escape what TOML strings must, but for DEL, which no key or name may hold.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_toml(const Json& object) {
  std::string text;
  if (!object.is_object()) return text;
  for (const auto& [key, value] : object.items())
    if (!value.is_null()) text += fmt::format("{} = {}\n", Json(key).dump(), to_toml_value(value));
  return text;
}

}  // namespace dovetail::roadmap
