// dovetail pull: fetches a model of the zoo, or the data that a benchmark needs.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "model/file_set.h"
#include "model/zoo.h"

namespace dovetail::app {
namespace {

struct PullOptions {
  std::string name;
  bool json = false;
};

Status list_zoo(bool json) {
  DOVETAIL_TRY(const std::vector<model::ZooEntry> zoo, model::load_zoo());
  DOVETAIL_TRY(const std::vector<model::FileSet> sets, model::load_file_sets());
  Json list = Json::array();
  for (const model::ZooEntry& entry : zoo) {
    list.push_back(to_json(entry));
    if (!json)
      print_line(fmt::format("{:<22}{} ({:.0f} MB, {})", entry.name, entry.description,
                             static_cast<double>(entry.bytes) / 1e6, entry.license));
  }
  for (const model::FileSet& set : sets) {
    list.push_back(to_json(set));
    if (!json) print_line(fmt::format("{:<22}{}", set.name, set.description));
  }
  if (json) print_json(list);
  return {};
}

Result<std::string> pull(const std::string& name) {
  DOVETAIL_TRY(const std::vector<model::FileSet> sets, model::load_file_sets());
  for (const model::FileSet& set : sets) {
    if (set.name == name) return model::pull_file_set(name, terminal_progress());
  }
  return model::pull_model(name, terminal_progress());
}

Status run_pull(const PullOptions& options) {
  if (options.name.empty()) return list_zoo(options.json);
  DOVETAIL_TRY(const std::string path, pull(options.name));
  end_progress();
  if (options.json) {
    print_json(Json{{"model", options.name}, {"path", path}});
  } else {
    print_line(fmt::format("{} is at {}", options.name, path));
  }
  return {};
}

}  // namespace

void add_pull_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<PullOptions>();
  CLI::App* command = app.add_subcommand(
      "pull", "fetch a model or a benchmark's data by name; without one, list them");
  command->add_option("name", options->name, "zoo name, as smollm2-135m, or ifeval");
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_pull(*options); }; });
}

}  // namespace dovetail::app
