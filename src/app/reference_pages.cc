#include "app/reference_pages.h"

#include <fmt/format.h>

#include "base/config_keys.h"
#include "base/paths.h"
#include "chip/chip.h"
#include "recipe/recipe_file.h"
#include "recipe/workload.h"
#include "silicon/technology.h"
#include "study/starter.h"
#include "study/study_config.h"

namespace dovetail::app {
namespace {

constexpr std::string_view kMade =
    "<!-- Written by `dovetail docs --out docs` from the program itself; changes here are lost. "
    "-->\n\n";

std::unexpected<Error> without_help(const std::string& what) {
  return std::unexpected(Error{ErrorCode::kInternal, what + " has no help, want one sentence"});
}

// A cell of a Markdown table.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
  return escaped;
}

struct ConfigPage {
  std::string name;   // of the page and the schema
  std::string intro;  // where such a file is used
  std::vector<ConfigKey> keys;
};

std::vector<ConfigPage> config_pages() {
  return {{"study",
           "A study asks one joint question; `dovetail optimize` answers it and `dovetail init` "
           "writes one. Examples: `studies/`.",
           describe_config<study::StudyConfig>()},
          {"chip",
           "A chip is one accelerator; `cost --chip`, `chip` and `reference_chips` of a study read "
           "it. What each part does: [chip.md](../chip.md). Examples: `data/chips/`.",
           describe_config<chip::Chip>()},
          {"workload", "A workload is what a product does all day. Examples: `data/workloads/`.",
           describe_config<recipe::Workload>()},
          {"recipe", "A recipe is a treatment for every site; `recipe` of a study freezes one.",
           describe_config<recipe::RecipeFile>()},
          {"class",
           "A class of devices is what `dovetail init --class` starts from. Examples: "
           "`data/classes/`.",
           describe_config<study::StudyClass>()}};
}

Result<std::string> config_markdown(const ConfigPage& page) {
  std::string text = fmt::format(
      "# Keys of a {} file\n\n{}{}\n\nAn unknown key is refused with the nearest name. "
      "Schema for editors: [{}.schema.json]({}.schema.json).\n\n"
      "| key | kind | wanted | default | meaning |\n|---|---|---|---|---|\n",
      page.name, kMade, page.intro, page.name, page.name);
  for (const ConfigKey& key : page.keys) {
    if (key.help.empty()) return without_help(fmt::format("key {} of a {}", key.path, page.name));
    const std::string wanted =
        key.choices.empty() ? key.wanted : fmt::format("{}", fmt::join(key.choices, ", "));
    const bool shows = !key.required && !key.fallback.is_null() && key.fallback != "";
    text += fmt::format("| `{}` | {} | {} | {} | {} |\n", key.path, key.kind, cell(wanted),
                        key.required ? "required"
                        : shows      ? "`" + cell(key.fallback.dump()) + "`"
                                     : "",
                        cell(key.help));
  }
  return text;
}

std::string value_words(const Argument& argument) {
  return argument.value.empty() ? "" : " " + argument.value;
}

Result<std::string> cli_markdown(const Verb& verb, int level) {
  const std::string name = verb.path.empty() ? "dovetail" : "dovetail " + verb.path;
  if (verb.purpose.empty()) return without_help(name);
  std::string text = fmt::format("{} {}\n\n", std::string(static_cast<size_t>(level), '#'), name);
  if (level == 1) text += kMade;
  text += verb.purpose + "\n\n```\n" + usage_of(verb) + "\n```\n\n";
  if (!verb.notes.empty()) text += verb.notes + "\n\n";
  if (!verb.arguments.empty()) text += "| argument | meaning |\n|---|---|\n";
  for (const Argument& argument : verb.arguments) {
    if (argument.help.empty()) return without_help(name + " " + argument.name);
    text += fmt::format("| `{}` | {} |\n",
                        argument.name + (argument.positional ? "" : value_words(argument)),
                        cell(argument_words(argument)));
  }
  if (!verb.arguments.empty()) text += "\n";
  if (!verb.examples.empty()) {
    text += "```sh\n";
    for (const Example& example : verb.examples) {
      if (!example.says.empty()) text += "# " + example.says + "\n";
      text += "dovetail " + example.command + "\n";
    }
    text += "```\n\n";
  }
  if (!verb.exits.empty()) text += "Exit codes: " + verb.exits + ".\n\n";
  for (const Verb& below : verb.verbs) {
    DOVETAIL_TRY(const std::string part, cli_markdown(below, 2));
    text += part;
  }
  return text;
}

Result<std::string> technology_markdown() {
  DOVETAIL_TRY(const silicon::Technology technology,
               silicon::Technology::load(data_folder() + "/technology"));
  std::string text = fmt::format(
      "# Technology constants\n\n{}Every constant of the cost models, from `data/technology/`; the "
      "truth may lie anywhere between low and high. How they are used: "
      "[cost_model.md](../cost_model.md).\n\n"
      "| key | value | low | high | unit | source |\n|---|---|---|---|---|---|\n",
      kMade);
  for (const auto& [key, constant] : technology.constants()) {
    text += fmt::format("| `{}` | {:g} | {:g} | {:g} | {} | {} ({}) |\n", key, constant.value,
                        constant.low, constant.high, cell(constant.unit), cell(constant.source),
                        constant.date);
  }
  return text;
}

// Text of a man page: a backslash, and a dot or a quote at the start of a line, mean something.
std::string roff(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else if (escaped.empty() && (c == '.' || c == '\'')) {
      escaped += std::string("\\&") + c;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string man_arguments(const Verb& verb) {
  std::string text;
  for (const Argument& argument : verb.arguments) {
    text += fmt::format(".TP\n.B {}\n{}\n",
                        roff(argument.name + (argument.positional ? "" : value_words(argument))),
                        roff(argument_words(argument)));
  }
  return text;
}

std::string man_examples(const Verb& verb) {
  if (verb.examples.empty()) return "";
  std::string text = ".PP\n.nf\n";
  for (const Example& example : verb.examples) {
    if (!example.says.empty()) text += roff("# " + example.says) + "\n";
    text += roff("dovetail " + example.command) + "\n";
  }
  return text + ".fi\n";
}

std::string man_verbs(const Verb& verb) {
  std::string text;
  for (const Verb& below : verb.verbs) {
    text += fmt::format(".SS \"{}\"\n{}\n.PP\n.B {}\n", roff(below.path), roff(below.purpose),
                        roff(usage_of(below)));
    text += man_arguments(below);
    text += man_examples(below);
    if (!below.notes.empty()) text += ".PP\n" + roff(below.notes) + "\n";
    text += man_verbs(below);
  }
  return text;
}

}  // namespace

std::string man_page(const Verb& root) {
  return fmt::format(
             ".\\\" Written by dovetail docs from the program itself.\n"
             ".TH DOVETAIL 1 \"\" \"dovetail {}\" \"User Commands\"\n"
             ".SH NAME\ndovetail \\- LLM compression recipes and inference chips that fit each "
             "other\n.SH SYNOPSIS\n.B {}\n.SH DESCRIPTION\n{}\n{}\n",
             DOVETAIL_VERSION, roff(usage_of(root)), roff(root.purpose), roff(root.notes)) +
         man_examples(root) + ".SH OPTIONS\n" + man_arguments(root) + ".SH VERBS\n" +
         man_verbs(root) + fmt::format(".SH EXIT STATUS\n{}.\n", roff(root.exits)) +
         ".SH ENVIRONMENT\n"
         ".TP\n.B DOVETAIL_CACHE\nfolder of fetched models and shared results "
         "[~/.cache/dovetail]\n"
         ".TP\n.B DOVETAIL_HOME\nfolder that holds data/, for a program away from its sources\n"
         ".TP\n.B NO_COLOR\nset to anything: no colour\n";
}

Result<std::vector<Page>> reference_pages(const Verb& root) {
  std::vector<Page> pages;
  DOVETAIL_TRY(std::string cli, cli_markdown(root, 1));
  pages.push_back({"reference/cli.md", std::move(cli)});
  std::string index = fmt::format(
      "# Reference\n\n{}- [cli.md](cli.md): every verb, argument and exit code\n", kMade);
  for (const ConfigPage& page : config_pages()) {
    DOVETAIL_TRY(std::string text, config_markdown(page));
    pages.push_back({fmt::format("reference/{}.md", page.name), std::move(text)});
    pages.push_back({fmt::format("reference/{}.schema.json", page.name),
                     json_schema("Dovetail " + page.name, page.keys).dump(2) + "\n"});
    index += fmt::format("- [{}.md]({}.md): keys of a {} file\n", page.name, page.name, page.name);
  }
  DOVETAIL_TRY(std::string technology, technology_markdown());
  pages.push_back({"reference/technology.md", std::move(technology)});
  index += "- [technology.md](technology.md): every technology constant with its source\n";
  pages.push_back({"reference/README.md", std::move(index)});
  pages.push_back({"man/dovetail.1", man_page(root)});
  return pages;
}

}  // namespace dovetail::app
