// dovetail init: the first study of somebody who has none.
#include <unistd.h>

#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "app/command.h"
#include "app/terminal.h"
#include "base/config_keys.h"
#include "base/paths.h"
#include "model/zoo.h"
#include "study/starter.h"

namespace dovetail::app {
namespace {

using study::Field;
using study::Wishes;

struct InitOptions {
  std::string file = "study.toml";
  // As given, lists with one entry each time; empty: not given.
  std::array<std::vector<std::string>, study::kNumFields> answers;
  bool yes = false;
  bool force = false;
  bool json = false;
};

std::string names_of(Field field) {
  switch (field) {
    case Field::kModel: {
      std::vector<std::string> names = model::shape_names();
      if (const auto zoo = model::load_zoo(); zoo.has_value()) {
        for (const model::ZooEntry& entry : *zoo) names.push_back(entry.name);
      }
      return fmt::format("{}, a GGUF file, a model folder or a config.json",
                         fmt::join(names, ", "));
    }
    case Field::kClass:
      return fmt::format("{} or a TOML file", fmt::join(data_names("classes"), ", "));
    case Field::kWorkload:
      return fmt::format("{} or a TOML file", fmt::join(data_names("workloads"), ", "));
    case Field::kObjectives: {
      for (const ConfigKey& key : describe_config<study::StudyConfig>()) {
        if (key.path == "objectives") {
          return fmt::format("{}; several with commas", fmt::join(key.choices, ", "));
        }
      }
      return "";
    }
    default:
      return std::string(study::field_text(field).hint);
  }
}

// Asks until the answer is right. Errors: the input ended.
Status ask(Wishes& wishes, Field field) {
  const study::FieldText& text = study::field_text(field);
  DOVETAIL_TRY(const std::string fallback, study::default_answer(wishes, field));
  print_line(
      fmt::format("\n{}\n  {}", bold(std::string(text.question), STDOUT_FILENO), names_of(field)));
  for (;;) {
    std::fputs(fmt::format("  [{}] ", fallback).c_str(), stdout);
    std::fflush(stdout);
    std::string answer;
    if (!std::getline(std::cin, answer)) {
      print_line("");
      return invalid_argument(fmt::format(
          "init: the input ended at the question for {}; nothing was written", text.flag));
    }
    while (!answer.empty() && std::isspace(static_cast<unsigned char>(answer.back())) != 0) {
      answer.pop_back();
    }
    const Status taken = study::set_answer(wishes, field, answer.empty() ? fallback : answer);
    if (taken.has_value()) return {};
    print_line("  " + taken.error().message);
  }
}

Status take_flags(const InitOptions& options, Wishes& wishes) {
  for (int64_t i = 0; i < study::kNumFields; ++i) {
    const auto& given = options.answers[static_cast<size_t>(i)];
    if (given.empty()) continue;
    const auto field = static_cast<Field>(i);
    const Status taken = study::set_answer(wishes, field, fmt::format("{}", fmt::join(given, ",")));
    if (!taken.has_value()) {
      return with_context(taken.error(), std::string(study::field_text(field).flag));
    }
  }
  return {};
}

// What no flag gave: asked on a terminal, default with --yes, else an error that names the flags.
Status take_answers(const InitOptions& options, Wishes& wishes) {
  if (options.yes) return {};
  std::vector<Field> open;
  std::vector<std::string_view> flags;
  for (int64_t i = 0; i < study::kNumFields; ++i) {
    const auto field = static_cast<Field>(i);
    if (!options.answers[static_cast<size_t>(i)].empty() || !study::field_text(field).asked) {
      continue;
    }
    open.push_back(field);
    flags.push_back(study::field_text(field).flag);
  }
  if (open.empty()) return {};
  if (::isatty(STDIN_FILENO) == 0) {
    return invalid_argument(fmt::format(
        "init: there is no terminal to ask for {}; give them, or --yes to take the defaults",
        fmt::join(flags, ", ")));
  }
  print_line("Enter takes what stands in brackets.");
  for (const Field field : open) DOVETAIL_TRY_STATUS(ask(wishes, field));
  return {};
}

// "chat" is chat.toml; the study is named like its file.
Result<std::string> path_of_study(const InitOptions& options) {
  const std::string path = options.file.ends_with(".toml") ? options.file : options.file + ".toml";
  std::error_code code;
  if (std::filesystem::exists(path, code) && !options.force) {
    return invalid_argument(
        fmt::format("{}: is there already; give another name, or --force to replace it", path));
  }
  return path;
}

void print_written(const study::StudyConfig& config, const std::string& path) {
  print_line(fmt::format("{}: {} chips before limits, {} weight formats, {} scenario{}", path,
                         search::num_chips(*config.space), config.menu.weights.size(),
                         config.objectives.size() * config.kl_caps_nats.size(),
                         config.objectives.size() * config.kl_caps_nats.size() == 1 ? "" : "s"));
  std::set<std::string> models;
  for (const study::ProductConfig& product : config.products) {
    models.insert(product.loss_profile.empty() ? product.model : product.loss_profile);
  }
  for (const std::string& name : models) {
    if (!model::resolve_model(name).has_value()) print_line("next: dovetail pull " + name);
  }
  print_line("next: dovetail optimize " + path);
}

Status run_init(const InitOptions& options) {
  DOVETAIL_TRY(const std::string path, path_of_study(options));
  Wishes wishes;
  wishes.name = std::filesystem::path(path).stem().string();
  DOVETAIL_TRY_STATUS(take_flags(options, wishes));
  DOVETAIL_TRY_STATUS(take_answers(options, wishes));
  const auto config = study::start_study(wishes);
  if (!config.has_value()) return with_context(config.error(), "init");
  DOVETAIL_TRY_STATUS(write_text_file(path, study::study_text(*config)));
  if (options.json) {
    print_json(Json{{"path", path}, {"study", to_json(*config)}});
  } else {
    print_written(*config, path);
  }
  return {};
}

}  // namespace

void add_init_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = app.add_subcommand("init", "write a commented study file");
  command->add_option("file", options->file, "file to write; .toml is added; also the study's name")
      ->capture_default_str();
  for (int64_t i = 0; i < study::kNumFields; ++i) {
    const study::FieldText& text = study::field_text(static_cast<Field>(i));
    const auto field = static_cast<Field>(i);
    CLI::Option* option = command->add_option(
        std::string(text.flag), options->answers[static_cast<size_t>(i)], std::string(text.hint));
    const bool list = field == Field::kObjectives || field == Field::kKlCaps;
    option->expected(1);
    option->multi_option_policy(list ? CLI::MultiOptionPolicy::TakeAll
                                     : CLI::MultiOptionPolicy::Throw);
  }
  command->add_flag("--yes", options->yes, "ask nothing, take the defaults of the class");
  command->add_flag("--force", options->force, "replace a file that is there");
  command->add_flag("--json", options->json, "print the study as JSON beside writing it");
  command->callback([options, &action] { action = [options] { return run_init(*options); }; });
}

}  // namespace dovetail::app
