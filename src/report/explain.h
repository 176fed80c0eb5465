// A design point of a study in words: what it is, what binds, why this and not its neighbours, what
// the alternatives cost, how sure it is. Made from the record's numbers alone.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace dovetail::report {

struct ExplanationPart {
  std::string title;
  std::vector<std::string> lines;  // each one or two sentences
};

struct Explanation {
  std::string title;
  std::vector<ExplanationPart> parts;
};

// What can be explained, one name each: "latency@0.15" (a recommendation),
// "latency@0.15/size_first" (a baseline of it), "front:3" (a point of the front, from 0).
struct PointName {
  std::string name;
  std::string says;  // what it is, in a few words
};
// `record` has passed check_record.
[[nodiscard]] std::vector<PointName> explainable_points(const Json& record);

// `point`: one of these names; "latency 0.15 size_first" and the number of a scenario (from 1) and
// the name of a chip of the front are understood too.
// Errors: kInvalidArgument for a record that is none, for a point that is not there (with the
// nearest, and with what there is).
[[nodiscard]] Result<Explanation> explain_point(const Json& record, const std::string& point);

// The explanation for a terminal, lines of at most `width` characters.
[[nodiscard]] std::string explanation_text(const Explanation& explanation, size_t width = 96);
[[nodiscard]] Json to_json(const Explanation& explanation);

}  // namespace dovetail::report
