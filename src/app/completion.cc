#include "app/completion.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/paths.h"
#include "model/zoo.h"

namespace dovetail::app {
namespace {

// What to offer at one place of the command line.
struct Offer {
  std::string at;  // bash and zsh: "cost:--chip" a value, "cost:1" the first word, "cost:-" options
  std::vector<std::string> words = {};
  std::vector<std::string> says = {};  // one for each word, or empty
  bool files = false;
  bool folders = false;
};

// The kinds whose value may be a path as well.
bool takes_files(const std::string& kind) {
  static const std::vector<std::string> kKinds = {"CHIP", "CLASS", "WORKLOAD",  "MODEL",
                                                  "FILE", "PAGE",  "STUDY.toml"};
  return std::ranges::find(kKinds, kind) != kKinds.end();
}

// Kinds of several values, as "STUDY_FOLDER STUDY_FOLDER", go by the first.
std::string first_word(const std::string& kind) {
  return kind.substr(0, kind.find(' '));
}

void add_value(const Argument& argument, const NamesByKind& names, Offer& offer) {
  const std::string kind = first_word(argument.value);
  const auto known = names.find(kind);
  if (!argument.choices.empty()) {
    offer.words = argument.choices;
  } else if (known != names.end()) {
    offer.words = known->second;
  }
  offer.files = takes_files(kind);
  offer.folders = kind.ends_with("FOLDER");
}

void collect(const Verb& verb, const std::vector<Argument>& everywhere, const NamesByKind& names,
             std::vector<Offer>& offers) {
  Offer options{.at = verb.path + ":-"};
  std::vector<Argument> arguments = verb.arguments;
  arguments.insert(arguments.end(), everywhere.begin(), everywhere.end());
  Argument help;
  help.name = "--help";
  help.help = "what this verb does, with examples";
  arguments.push_back(std::move(help));
  int64_t position = 0;
  for (const Argument& argument : arguments) {
    if (!argument.positional) {
      options.words.push_back(argument.name);
      options.says.push_back(argument.help);
      if (argument.value.empty()) continue;
    }
    Offer offer{.at = argument.positional ? fmt::format("{}:{}", verb.path, ++position)
                                          : fmt::format("{}:{}", verb.path, argument.name)};
    add_value(argument, names, offer);
    offers.push_back(std::move(offer));
  }
  if (!verb.verbs.empty()) {
    Offer below{.at = verb.path + ":1"};
    for (const Verb& one : verb.verbs) {
      below.words.push_back(one.path.substr(one.path.rfind(' ') + 1));
      below.says.push_back(one.purpose);
    }
    offers.push_back(std::move(below));
  }
  offers.push_back(std::move(options));
  for (const Verb& one : verb.verbs) collect(one, everywhere, names, offers);
}

std::vector<std::string> verb_paths(const Verb& verb) {
  std::vector<std::string> paths;
  for (const Verb& below : verb.verbs) {
    paths.push_back(below.path);
    for (std::string& path : verb_paths(below)) paths.push_back(std::move(path));
  }
  return paths;
}

// Every option that a value follows: its value is no verb and no argument.
std::vector<std::string> options_with_value(const std::vector<Offer>& offers) {
  std::vector<std::string> names;
  for (const Offer& offer : offers) {
    const size_t colon = offer.at.find(":--");
    if (colon != std::string::npos) names.push_back(offer.at.substr(colon + 1));
  }
  std::ranges::sort(names);
  const auto rest = std::ranges::unique(names);
  names.erase(rest.begin(), rest.end());
  return names;
}

// For use between double quotes or inside single quotes of a shell.
std::string single_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// The loop that bash and zsh share: which verb, how many words after it.
std::string walk(const Verb& root, const std::vector<Offer>& offers, const char* word_at) {
  std::string cases;
  for (const std::string& path : verb_paths(root)) {
    const size_t space = path.rfind(' ');
    const std::string above = space == std::string::npos ? "" : path.substr(0, space);
    cases += fmt::format("      '{}:{}') verb='{}'; position=1 ;;\n", above,
                         path.substr(space == std::string::npos ? 0 : space + 1), path);
  }
  return fmt::format(
      "    word={}\n"
      "    if [[ -n $skip ]]; then skip=''; continue; fi\n"
      "    case $word in\n"
      "      {}) skip=1; continue ;;\n"
      "      -*) continue ;;\n"
      "    esac\n"
      "    case \"$verb:$word\" in\n{}"
      "      *) position=$((position + 1)) ;;\n"
      "    esac\n",
      word_at, fmt::join(options_with_value(offers), "|"), cases);
}

std::string bash_script(const Verb& root, const std::vector<Offer>& offers) {
  std::string cases;
  for (const Offer& offer : offers) {
    cases += fmt::format("    '{}') words={}{} ;;\n", offer.at,
                         single_quoted(fmt::format("{}", fmt::join(offer.words, " "))),
                         offer.files     ? "; paths=-f"
                         : offer.folders ? "; paths=-d"
                                         : "");
  }
  return "# Completion of dovetail for bash; printed by: dovetail completion bash\n"
         "_dovetail() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local verb='' word='' skip='' words='' paths='' place='' i position=1\n"
         "  if [[ $cur == = ]]; then cur=''; "
         "elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    [[ ${COMP_WORDS[i]} == = ]] && { skip=1; continue; }\n" +
         walk(root, offers, "${COMP_WORDS[i]}") +
         "  done\n"
         "  place=\"$verb:$position\"\n"
         "  [[ $cur == -* ]] && place=\"$verb:-\"\n"
         "  case $prev in\n"
         "    " +
         fmt::format("{}", fmt::join(options_with_value(offers), "|")) +
         ") place=\"$verb:$prev\" ;;\n"
         "  esac\n"
         "  case $place in\n" +
         cases +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  if [[ -n $paths ]]; then\n"
         "    compopt -o filenames 2>/dev/null\n"
         "    local IFS=$'\\n'\n"
         "    COMPREPLY+=($(compgen $paths -- \"$cur\"))\n"
         "  fi\n"
         "}\n"
         "complete -F _dovetail dovetail\n";
}

std::string zsh_script(const Verb& root, const std::vector<Offer>& offers) {
  std::string cases;
  for (const Offer& offer : offers) {
    std::string items;
    for (size_t i = 0; i < offer.words.size(); ++i) {
      const std::string says = i < offer.says.size() ? ":" + offer.says[i] : "";
      items += " " + single_quoted(offer.words[i] + says);
    }
    cases += fmt::format("    '{}') offers=({} ){} ;;\n", offer.at, items,
                         offer.files     ? "; paths='_files'"
                         : offer.folders ? "; paths='_files -/'"
                                         : "");
  }
  return "#compdef dovetail\n"
         "# Completion of dovetail for zsh; printed by: dovetail completion zsh\n"
         "_dovetail() {\n"
         "  local cur=${words[CURRENT]} prev=${words[CURRENT-1]}\n"
         "  local verb='' word='' skip='' paths='' place='' i position=1\n"
         "  local -a offers\n"
         "  for ((i = 2; i < CURRENT; i++)); do\n" +
         walk(root, offers, "${words[i]}") +
         "  done\n"
         "  place=\"$verb:$position\"\n"
         "  [[ $cur == -* ]] && place=\"$verb:-\"\n"
         "  case $prev in\n"
         "    " +
         fmt::format("{}", fmt::join(options_with_value(offers), "|")) +
         ") place=\"$verb:$prev\" ;;\n"
         "  esac\n"
         "  case $place in\n" +
         cases +
         "  esac\n"
         "  (( ${#offers} )) && _describe 'dovetail' offers\n"
         "  [[ -n $paths ]] && ${=paths}\n"
         "}\n"
         "if [[ ${funcstack[1]} == _dovetail ]]; then _dovetail \"$@\"; "
         "else compdef _dovetail dovetail; fi\n";
}

std::string fish_script(const Verb& root, const std::vector<Offer>& offers) {
  std::string switches;
  for (const std::string& path : verb_paths(root)) {
    const size_t space = path.rfind(' ');
    const std::string above = space == std::string::npos ? "" : path.substr(0, space);
    switches += fmt::format("      case '{}:{}'\n        set verb '{}'; set position 1\n", above,
                            path.substr(space == std::string::npos ? 0 : space + 1), path);
  }
  std::string script =
      "# Completion of dovetail for fish; printed by: dovetail completion fish\n"
      "function __dovetail_at\n"
      "  set -l verb ''; set -l position 1; set -l skip ''\n"
      "  for word in (commandline -opc)[2..]\n"
      "    if test -n \"$skip\"; set skip ''; continue; end\n"
      "    switch $word\n"
      "      case " +
      fmt::format("{}", fmt::join(options_with_value(offers), " ")) +
      "\n        set skip 1; continue\n"
      "      case '-*'\n        continue\n"
      "    end\n"
      "    switch \"$verb:$word\"\n" +
      switches +
      "      case '*'\n        set position (math $position + 1)\n"
      "    end\n"
      "  end\n"
      "  test \"$verb\" = \"$argv[1]\"; and test \"$argv[2]\" = '-' -o \"$argv[2]\" = $position\n"
      "end\n"
      "complete -c dovetail -f\n";
  for (const Offer& offer : offers) {
    const size_t colon = offer.at.rfind(':');
    const std::string verb = offer.at.substr(0, colon);
    const std::string place = offer.at.substr(colon + 1);
    const std::string words = single_quoted(fmt::format("{}", fmt::join(offer.words, " ")));
    const std::string paths = offer.files ? " -F" : "";
    if (place == "-") {
      for (size_t i = 0; i < offer.words.size(); ++i) {
        script += fmt::format("complete -c dovetail -n \"__dovetail_at '{}' -\" -l {} -d {}\n",
                              verb, offer.words[i].substr(2), single_quoted(offer.says[i]));
      }
    } else if (place.starts_with("--")) {
      const std::string list = offer.folders ? "'(__fish_complete_directories)'" : words;
      script += fmt::format("complete -c dovetail -n \"__dovetail_at '{}' -\" -l {} -r{} -a {}\n",
                            verb, place.substr(2), paths, list);
    } else if (!offer.says.empty()) {
      for (size_t i = 0; i < offer.words.size(); ++i) {
        script += fmt::format("complete -c dovetail -n \"__dovetail_at '{}' {}\" -a {} -d {}\n",
                              verb, place, offer.words[i], single_quoted(offer.says[i]));
      }
    } else {
      const std::string list = offer.folders ? "'(__fish_complete_directories)'" : words;
      script += fmt::format("complete -c dovetail -n \"__dovetail_at '{}' {}\"{} -a {}\n", verb,
                            place, paths, list);
    }
  }
  return script;
}

}  // namespace

NamesByKind installed_names() {
  NamesByKind names = {{"CHIP", data_names("chips")},
                       {"CLASS", data_names("classes")},
                       {"WORKLOAD", data_names("workloads")},
                       {"MODEL", model::shape_names()}};
  if (const auto zoo = model::load_zoo(); zoo.has_value()) {
    for (const model::ZooEntry& entry : *zoo) {
      names["ZOO_MODEL"].push_back(entry.name);
      names["MODEL"].push_back(entry.name);
    }
  }
  return names;
}

std::string completion_script(const std::string& shell, const Verb& root,
                              const NamesByKind& names) {
  std::vector<Argument> everywhere;
  for (const Argument& argument : root.arguments) {
    if (!argument.positional && !argument.value.empty()) everywhere.push_back(argument);
  }
  std::vector<Offer> offers;
  Verb top = root;
  std::erase_if(top.arguments, [](const Argument& argument) { return !argument.value.empty(); });
  collect(top, everywhere, names, offers);
  if (shell == "zsh") return zsh_script(root, offers);
  return shell == "fish" ? fish_script(root, offers) : bash_script(root, offers);
}

}  // namespace dovetail::app
