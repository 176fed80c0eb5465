#include "base/json_text.h"

#include <algorithm>

#include <fmt/format.h>

namespace dovetail {

int json_depth(std::string_view text, int limit) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size() && deepest <= limit; ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

Result<Json> parse_json(std::string_view text, const std::string& name) {
  if (json_depth(text, kMaxJsonDepth) > kMaxJsonDepth) {
    return invalid_argument(fmt::format("{}: JSON nested more than {} deep", name, kMaxJsonDepth));
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace dovetail
