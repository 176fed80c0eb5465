// A file of technology constants.
#include "silicon/technology.h"

#include <cmath>

#include "fuzz_target.h"

namespace dovetail::fuzz {

void fuzz_technology(std::string_view input) {
  const std::string path = write_scratch("technology/dram.toml", input);
  const std::string folder = scratch_folder() + "/technology";
  const auto technology = silicon::Technology::load(folder);
  if (!technology.has_value()) {
    require_good_error(technology.error(), path);
    return;
  }
  note_accepted();
  for (const auto& [key, constant] : technology->constants()) {
    require(constant.low <= constant.value && constant.value <= constant.high &&
                std::isfinite(constant.low) && std::isfinite(constant.high),
            "a constant lies in its finite range");
    require(!constant.source.empty() && !constant.unit.empty() && !constant.date.empty(),
            "a constant has unit, source and date");
    const auto value = technology->value(key);
    require(value.has_value() && *value == constant.value, "a constant is found by its key");
  }
  const auto missing = technology->value("dram.lpddr5.no_such_constant");
  if (!missing.has_value()) require_good_error(missing.error(), "no_such_constant");
  const auto again = silicon::Technology::load(folder);
  require(again.has_value() && again->digest() == technology->digest(),
          "the same file gives the same digest");
}

}  // namespace dovetail::fuzz
