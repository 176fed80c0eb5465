// dovetail optimize: recipe and chip together, for one study.
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "app/worker_processes.h"
#include "report/summary.h"
#include "study/study.h"

namespace dovetail::app {
namespace {

struct OptimizeOptions {
  std::string study;
  std::string out;
  int64_t workers = 1;
  bool json = false;
};

Status run_optimize(const OptimizeOptions& options) {
  DOVETAIL_TRY(const study::StudyConfig config, study::load_study(options.study));
  const std::string out = options.out.empty() ? "out/" + config.name : options.out;
  if (options.workers > 1) share_cores(options.workers);
  // They stop when the study is written here: what they still do then is the same once more.
  DOVETAIL_TRY(
      const WorkerProcesses workers,
      WorkerProcesses::start(options.workers - 1, {"optimize", options.study, "--out", out}));
  DOVETAIL_TRY(const Json record,
               study::run_study(config, options.study, out, terminal_progress()));
  end_progress();
  if (options.json) {
    print_json(record);
    return {};
  }
  DOVETAIL_TRY(const std::string summary, report::summarize(record));
  print_line(summary + "report: " + out + "/report.html");
  return {};
}

}  // namespace

void add_optimize_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<OptimizeOptions>();
  CLI::App* command =
      app.add_subcommand("optimize", "find the recipe and the chip that fit each other");
  command->add_option("study", options->study, "study file, as studies/quickstart.toml")
      ->required();
  command->add_option("--out", options->out,
                      "folder for results (default out/<name of the study>)");
  command
      ->add_option("--workers", options->workers,
                   "processes that share the work, each with its share of the cores (default 1); "
                   "starting the same study by hand once more joins in as well")
      ->check(CLI::Range(1, 256));
  command->add_flag("--json", options->json, "print the record instead of the summary");
  command->footer(
      "A study that was stopped continues where it stopped. The folder then holds report.html,\n"
      "targets.json, record.json, canonical.json (without times), recipes, study.db.");
  command->callback([options, &action] { action = [options] { return run_optimize(*options); }; });
}

}  // namespace dovetail::app
