// The command line as data, taken from the CLI11 tree and the table of help texts: what --help, the
// reference page, the man page and the shell completions are made from.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace dovetail::app {

struct Argument {
  std::string name;                  // "--chip", or "STUDY" for an argument by position
  std::string value;                 // kind of value: "CHIP", "FOLDER", "N"; empty for a flag
  std::string help;                  // one line
  std::string fallback;              // default, empty without one
  std::string range;                 // "2 - 1048576", empty without one
  std::vector<std::string> choices;  // empty: any value
  bool required = false;
  bool positional = false;
  bool repeats = false;  // may be given several times
};

struct Example {
  std::string says;     // what it is for, a few words
  std::string command;  // what follows "dovetail "
};

struct Verb {
  std::string path;                 // "cost", "eval kl"; empty for the program itself
  std::string group;                // heading in the list of verbs
  std::string purpose;              // one sentence
  std::string notes;                // what else one must know, may be empty
  std::string exits;                // what the exit codes mean here
  std::vector<Argument> arguments;  // without --help
  std::vector<Example> examples;
  std::vector<Verb> verbs;  // below this one, in the order of help
};

// Gives every verb its group, its sentence and the kinds of its values (help_texts.h), and makes
// --help print help_text(). Call once, after all verbs were added.
void teach(CLI::App& app);

[[nodiscard]] Verb describe_verb(const CLI::App& app);

// Names the first verb or option of the command line that does not exist, with the nearest that
// does; CLI11 itself only says that something was not expected.
[[nodiscard]] Status check_words(const CLI::App& app, const std::vector<std::string>& words);

// "dovetail cost --chip CHIP [OPTIONS]".
[[nodiscard]] std::string usage_of(const Verb& verb);
// Help of an argument with its choices, range and default.
[[nodiscard]] std::string argument_words(const Argument& argument);
// What --help prints. Headings are bold where `color`.
[[nodiscard]] std::string help_text(const Verb& verb, bool color);

}  // namespace dovetail::app
