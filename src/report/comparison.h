// What changed between two studies: inputs first, because they are why, then the answers.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace dovetail::report {

struct Change {
  std::string what;  // "max_area_mm2", "request latency, loss <= 0.15: cores"
  std::string from;  // "" if it was not there
  std::string to;    // "" if it is not there any more
  std::string note;  // by how much, if that has a number: "-12 %"
};

struct ChangeGroup {
  std::string title;
  bool input = false;  // given to the study, not found by it
  std::vector<Change> changes = {};
};

struct Comparison {
  std::string from_name;
  std::string to_name;
  std::vector<ChangeGroup> groups = {};  // only those with changes; inputs first
};

// Scenarios are matched by objective and loss cap, constants and products by name. Times and hosts
// (`run`) do not count.
// Errors: kInvalidArgument if one of them is not a record that this version reads.
[[nodiscard]] Result<Comparison> compare_records(const Json& from, const Json& to);

// One sentence: what changed and what follows from it.
[[nodiscard]] std::string comparison_summary(const Comparison& comparison);
[[nodiscard]] std::string comparison_text(const Comparison& comparison);
[[nodiscard]] Result<std::string> comparison_html(const Comparison& comparison);
[[nodiscard]] Json to_json(const Comparison& comparison);

}  // namespace dovetail::report
