// dovetail pull: fetches a model of the zoo, or the data that a benchmark needs.
#include <algorithm>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "app/command.h"
#include "base/paths.h"
#include "model/benchmark_files.h"
#include "model/file_set.h"
#include "model/hub_questions.h"
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
  DOVETAIL_TRY(const std::vector<model::KnownBenchmark> benchmarks, model::load_known_benchmarks());
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
  for (const model::KnownBenchmark& benchmark : benchmarks) {
    const bool is_set = std::ranges::any_of(
        sets, [&](const model::FileSet& set) { return set.name == benchmark.name; });
    if (is_set) continue;
    list.push_back({{"name", benchmark.name},
                    {"source", benchmark.source},
                    {"license", benchmark.license},
                    {"num_files", benchmark.files.size()}});
    if (!json)
      print_line(fmt::format("{:<22}questions, {}", benchmark.name,
                             benchmark.hub.empty()
                                 ? "by hand: says which files are missing and where they are from"
                                 : "from " + benchmark.hub + " of the Hugging Face hub"));
  }
  if (json) print_json(list);
  return {};
}

// Where the questions are: in `folder`, else fetched into the cache folder.
Result<std::string> pull_questions(const model::KnownBenchmark& benchmark,
                                   const std::string& folder) {
  const Status there = model::check_benchmark(benchmark, folder);
  if (there.has_value()) return folder;
  if (there.error().code != ErrorCode::kNotFound || benchmark.hub.empty()) {
    return std::unexpected(there.error());
  }
  const std::string fetched = cache_folder() + "/eval";
  if (!model::check_benchmark(benchmark, fetched).has_value()) {
    DOVETAIL_TRY_STATUS(model::pull_hub_questions(benchmark, fetched, terminal_progress()));
  }
  return fetched;
}

// Where the data of a benchmark is; none: it is no benchmark's name. A set that puts questions
// beside those of others is checked there; questions that no set brings must be there already.
Result<std::optional<std::string>> pull_benchmark(const std::string& name) {
  DOVETAIL_TRY(const std::vector<model::FileSet> sets, model::load_file_sets());
  std::optional<std::string> path;
  bool brings_questions = false;
  for (const model::FileSet& set : sets) {
    if (set.name != name) continue;
    DOVETAIL_TRY(path, model::pull_file_set(name, terminal_progress()));
    brings_questions = !set.folder.empty();
  }
  DOVETAIL_TRY(const std::vector<model::KnownBenchmark> benchmarks, model::load_known_benchmarks());
  for (const model::KnownBenchmark& benchmark : benchmarks) {
    if (benchmark.name != name) continue;
    const std::string folder = brings_questions ? *path : model::benchmark_folder();
    DOVETAIL_TRY(const std::string found, pull_questions(benchmark, folder));
    if (!path.has_value()) path = found;
  }
  return path;
}

Result<std::string> pull(const std::string& name) {
  DOVETAIL_TRY(std::optional<std::string> path, pull_benchmark(name));
  if (path.has_value()) return *std::move(path);
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
    const std::string used = model::benchmark_folder();
    if (path == cache_folder() + "/eval" && path != used)
      print_line("DOVETAIL_DATA is set: dovetail eval reads " + used);
  }
  return {};
}

}  // namespace

void add_pull_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<PullOptions>();
  CLI::App* command = app.add_subcommand(
      "pull", "fetch a model or a benchmark's data by name; without one, list them");
  command->add_option("name", options->name,
                      "zoo name, as smollm2-135m, or a benchmark's, as humaneval");
  command->add_flag("--json", options->json, "print the record");
  command->callback([options, &action] { action = [options] { return run_pull(*options); }; });
}

}  // namespace dovetail::app
