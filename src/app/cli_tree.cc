#include "app/cli_tree.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "app/help_texts.h"
#include "app/terminal.h"
#include "base/config.h"

namespace dovetail::app {
namespace {

constexpr int kStdout = 1;
constexpr size_t kWidth = 96;

// "--text" of "--text", the longest of several names.
std::string name_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  const std::vector<std::string>& names = option.get_lnames();
  return names.empty() ? "-" + option.get_snames().front() : "--" + names.front();
}

// CLI11 shows "TYPE", "TYPE:{a,b}" or "TYPE:INT in [2 - 9]".
void take_checks(const std::string& checks, Argument& argument) {
  const size_t open = checks.find('{');
  if (open != std::string::npos && checks.ends_with('}')) {
    const std::string list = checks.substr(open + 1, checks.size() - open - 2);
    for (size_t begin = 0; begin <= list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      argument.choices.push_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
  } else if (const size_t range = checks.find("in ["); range != std::string::npos) {
    argument.range = checks.substr(range + 4, checks.rfind(']') - range - 4);
  }
}

Argument describe_option(const CLI::Option& option) {
  Argument argument;
  argument.positional = option.get_positional();
  argument.name = name_of(option);
  argument.help = option.get_description();
  argument.required = option.get_required();
  argument.repeats = !argument.positional && option.get_expected_max() == 1 &&
                     option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  if (option.get_expected_min() == 0 && option.get_items_expected_max() == 0) return argument;
  const std::string type = option.get_type_name();
  const size_t colon = std::min(type.find(':'), type.size());
  argument.value = type.substr(0, colon);
  if (colon < type.size()) take_checks(type.substr(colon + 1), argument);
  if (argument.positional) argument.name = argument.value;
  argument.fallback = option.get_default_str();
  return argument;
}

bool is_help(const CLI::App& app, const CLI::Option& option) {
  return &option == app.get_help_ptr();
}

std::string path_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  if (parent == nullptr) return "";
  const std::string above = path_of(*parent);
  return above.empty() ? app.get_name() : above + " " + app.get_name();
}

// Breaks `text` into lines of at most `width`, between words.
std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines(1);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) {
      lines.emplace_back();
    }
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    begin = end + 1;
  }
  return lines;
}

// `left` in a column, `right` wrapped beside it, below it where `left` is too wide.
std::string two_columns(const std::string& left, const std::string& right, size_t column) {
  std::string text = "  " + left;
  const std::string indent(column, ' ');
  const auto lines = wrapped(right, kWidth - column);
  bool beside = text.size() + 2 <= column;
  for (const std::string& line : lines) {
    if (beside) {
      text += std::string(column - text.size(), ' ') + line;
      beside = false;
    } else {
      text += "\n" + indent + line;
    }
    beside = false;
  }
  return text + "\n";
}

std::string arguments_text(const Verb& verb, bool positional) {
  std::string text;
  for (const Argument& argument : verb.arguments) {
    if (argument.positional != positional) continue;
    const std::string left = positional               ? argument.name
                             : argument.value.empty() ? argument.name
                                                      : argument.name + " " + argument.value;
    constexpr size_t kColumn = 26;
    text += two_columns(left, argument_words(argument), kColumn);
  }
  return text;
}

std::string verbs_text(const Verb& verb, const std::function<std::string(std::string)>& heading) {
  std::string text;
  std::string group;
  for (const Verb& below : verb.verbs) {
    if (below.group != group) text += "\n" + heading(below.group) + "\n";
    group = below.group;
    constexpr size_t kColumn = 14;
    text += two_columns(below.path.substr(below.path.rfind(' ') + 1), below.purpose, kColumn);
  }
  return text;
}

std::string examples_text(const Verb& verb) {
  std::string text;
  for (const Example& example : verb.examples) {
    if (!example.says.empty()) text += "  # " + example.says + "\n";
    text += "  dovetail " + example.command + "\n";
  }
  return text;
}

// Prints what describe_verb() gives.
class TeachingFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode) const override {
    return help_text(describe_verb(*app), shows_color(kStdout));
  }
};

// The option of this name in `app` or above it.
const CLI::Option* find_option(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  const auto near = nearest_name(word, names);
  return near.has_value() ? fmt::format(", did you mean {}?", *near)
                          : fmt::format(", want one of {}", fmt::join(names, ", "));
}

std::unexpected<Error> unknown_option(const CLI::App& app, const std::string& name) {
  std::vector<std::string> names;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      if (!option->get_positional() && !option->get_group().empty()) {
        names.push_back(name_of(*option));
      }
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  const std::string path = path_of(app);
  return invalid_argument(fmt::format("{}{}unknown option {}{}", path, path.empty() ? "" : ": ",
                                      name, did_you_mean(name, names)));
}

}  // namespace

std::string argument_words(const Argument& argument) {
  std::string words = argument.help;
  if (!argument.choices.empty()) {
    words += fmt::format(" (one of {})", fmt::join(argument.choices, ", "));
  }
  if (!argument.range.empty()) words += fmt::format(" ({})", argument.range);
  if (!argument.fallback.empty()) words += fmt::format(" [{}]", argument.fallback);
  if (argument.required) words += " (required)";
  if (argument.repeats) words += "; may be given several times";
  return words;
}

std::string usage_of(const Verb& verb) {
  std::string usage = "dovetail" + (verb.path.empty() ? "" : " " + verb.path);
  bool has_options = false;
  for (const Argument& argument : verb.arguments) {
    if (argument.positional) {
      usage += argument.required ? " " + argument.name : fmt::format(" [{}]", argument.name);
    } else if (argument.required) {
      usage += fmt::format(" {} {}", argument.name, argument.value);
    } else {
      has_options = true;
    }
  }
  if (!verb.verbs.empty()) usage += " VERB";
  return usage + (has_options ? " [OPTIONS]" : "");
}

Verb describe_verb(const CLI::App& app) {
  Verb verb;
  verb.path = path_of(app);
  if (const HelpText* text = find_help(verb.path)) {
    verb.group = text->group;
    verb.purpose = text->purpose;
    verb.notes = text->notes;
    verb.exits = text->exits;
    for (const ExampleText& example : text->examples) {
      verb.examples.push_back({std::string(example.says), std::string(example.command)});
    }
  } else {
    verb.group = app.get_group();
    verb.purpose = app.get_description();
  }
  for (const CLI::Option* option : app.get_options()) {
    if (!is_help(app, *option) && !option->get_group().empty()) {
      verb.arguments.push_back(describe_option(*option));
    }
  }
  std::stable_partition(verb.arguments.begin(), verb.arguments.end(),
                        [](const Argument& argument) { return argument.positional; });
  for (const CLI::App* below : app.get_subcommands(nullptr)) {
    if (!below->get_group().empty()) verb.verbs.push_back(describe_verb(*below));
  }
  // Groups in the order of the table, verbs of one group together.
  const auto place = [](const Verb& below) {
    const HelpText* text = find_help(below.path);
    return text == nullptr ? help_texts().size() : static_cast<size_t>(text - help_texts().data());
  };
  std::stable_sort(verb.verbs.begin(), verb.verbs.end(),
                   [&](const Verb& a, const Verb& b) { return place(a) < place(b); });
  return verb;
}

void teach(CLI::App& app) {
  app.formatter(std::make_shared<TeachingFormatter>());
  for (CLI::App* below : app.get_subcommands(nullptr)) {
    below->fallthrough();  // --color may stand anywhere
    teach(*below);
  }
  const HelpText* text = find_help(path_of(app));
  if (text == nullptr) return;
  if (app.get_parent() != nullptr) app.group(std::string(text->group));
  app.description(std::string(text->purpose));
  for (const auto& [name, kind] : text->values) {
    if (CLI::Option* option = app.get_option_no_throw(std::string(name))) {
      option->type_name(std::string(kind));
    }
  }
}

Status check_words(const CLI::App& root, const std::vector<std::string>& words) {
  const CLI::App* app = &root;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return {};
    if (word.starts_with("--") || (word.size() == 2 && word[0] == '-')) {
      const size_t equals = word.find('=');
      const CLI::Option* option = find_option(app, word.substr(0, equals));
      if (option == nullptr) return unknown_option(*app, word.substr(0, equals));
      const bool takes_value = option->get_items_expected_min() > 0;
      if (takes_value && equals == std::string::npos) ++i;
      continue;
    }
    const auto verbs = app->get_subcommands(nullptr);
    if (verbs.empty()) continue;
    const auto found = std::find_if(verbs.begin(), verbs.end(),
                                    [&](const CLI::App* verb) { return verb->check_name(word); });
    if (found != verbs.end()) {
      app = *found;
      continue;
    }
    std::vector<std::string> names;
    for (const CLI::App* verb : verbs) {
      if (!verb->get_group().empty()) names.push_back(verb->get_name());
    }
    const std::string path = path_of(*app);
    return invalid_argument(fmt::format("{}{}unknown verb '{}'{}", path, path.empty() ? "" : ": ",
                                        word, did_you_mean(word, names)));
  }
  return {};
}

std::string help_text(const Verb& verb, bool color) {
  const auto heading = [&](const std::string& text) {
    return color ? "\033[1m" + text + "\033[0m" : text;
  };
  std::string text;
  for (const std::string& line : wrapped(verb.purpose, kWidth)) text += line + "\n";
  text += "\n" + heading("Usage") + "\n  " + usage_of(verb) + "\n";
  text += verbs_text(verb, heading);
  if (const std::string part = arguments_text(verb, true); !part.empty()) {
    text += "\n" + heading("Arguments") + "\n" + part;
  }
  if (const std::string part = arguments_text(verb, false); !part.empty()) {
    text += "\n" + heading("Options") + "\n" + part;
  }
  if (!verb.examples.empty()) text += "\n" + heading("Examples") + "\n" + examples_text(verb);
  if (!verb.notes.empty()) {
    text += "\n";
    for (const std::string& line : wrapped(verb.notes, kWidth)) text += line + "\n";
  }
  if (!verb.exits.empty()) text += fmt::format("\nExit codes: {}.\n", verb.exits);
  return text;
}

}  // namespace dovetail::app
