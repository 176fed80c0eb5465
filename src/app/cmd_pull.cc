// dovetail pull: fetches a model of the zoo.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "model/zoo.h"

namespace dovetail::app {
namespace {

struct PullOptions {
  std::string name;
  bool json = false;
};

Status list_zoo(bool json) {
  DOVETAIL_TRY(const std::vector<model::ZooEntry> zoo, model::load_zoo());
  Json list = Json::array();
  for (const model::ZooEntry& entry : zoo) {
    list.push_back(to_json(entry));
    if (!json)
      print_line(fmt::format("{:<22}{} ({:.0f} MB, {})", entry.name, entry.description,
                             static_cast<double>(entry.bytes) / 1e6, entry.license));
  }
  if (json) print_json(list);
  return {};
}

Status run_pull(const PullOptions& options) {
  if (options.name.empty()) return list_zoo(options.json);
  DOVETAIL_TRY(const std::string path, model::pull_model(options.name, terminal_progress()));
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
  CLI::App* command = app.add_subcommand("pull", "fetch a model by name; without one, list them");
  command->add_option("name", options->name, "zoo name, as smollm2-135m");
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_pull(*options); }; });
}

}  // namespace dovetail::app
