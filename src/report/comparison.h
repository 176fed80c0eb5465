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

enum class Role {
  kInput,    // given to the study
  kLearned,  // measured by the study before it chose: loss table, prediction bias
  kAnswer,   // found by it
};

struct ChangeGroup {
  std::string title;
  Role role = Role::kAnswer;
  std::vector<Change> changes = {};
};

// `what` of the change of a scenario's objective.
inline constexpr const char* kObjectiveChange = "objective";

struct Comparison {
  std::string from_name;
  std::string to_name;
  std::vector<ChangeGroup> groups = {};  // only those with changes, in the order of their roles
};

// Scenarios are matched by objective and loss cap, constants and products by name. Times and hosts
// (`run`) do not count, the version of the program does.
// Errors: kInvalidArgument if one of them is not a record that this version reads.
[[nodiscard]] Result<Comparison> compare_records(const Json& from, const Json& to);

}  // namespace dovetail::report
