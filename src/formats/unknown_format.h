// The error of a format name that does not exist. Private to this folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::formats {

[[nodiscard]] inline std::unexpected<Error> unknown_format(std::string_view kind,
                                                           std::string_view name,
                                                           std::string_view wanted,
                                                           const std::vector<std::string>& legal) {
  const auto near = nearest_name(name, legal);
  return invalid_argument(
      fmt::format("{} format = \"{}\", want {}{}", kind, name, wanted,
                  near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

}  // namespace dovetail::formats
