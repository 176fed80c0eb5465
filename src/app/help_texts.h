// What --help teaches of each verb beside its arguments: what it is for, examples, exit codes.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

namespace dovetail::app {

struct ExampleText {
  std::string_view says;
  std::string_view command;  // what follows "dovetail "; every one is parsed by a test
};

struct HelpText {
  std::string_view verb = {};     // "cost", "eval kl"; empty for the program itself
  std::string_view group = {};    // heading in the list of verbs; empty: hidden
  std::string_view purpose = {};  // one sentence
  std::string_view notes = {};
  std::string_view exits = {};
  std::vector<std::pair<std::string_view, std::string_view>> values =
      {};  // argument, kind of its value
  std::vector<ExampleText> examples = {};
};

// In the order in which help lists them.
[[nodiscard]] const std::vector<HelpText>& help_texts();
// Null for a verb without one.
[[nodiscard]] const HelpText* find_help(std::string_view verb);

}  // namespace dovetail::app
