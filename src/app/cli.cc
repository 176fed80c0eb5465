#include "app/cli.h"

#include <map>

#include "app/cli_tree.h"
#include "app/terminal.h"

namespace dovetail::app {

std::unique_ptr<CLI::App> make_app(Action& action) {
  auto app = std::make_unique<CLI::App>("", "dovetail");
  app->set_version_flag("--version", DOVETAIL_VERSION);
  app->require_subcommand(1);
  const std::map<std::string, ColorChoice> colors = {{"auto", ColorChoice::kAuto},
                                                     {"always", ColorChoice::kAlways},
                                                     {"never", ColorChoice::kNever}};
  app->add_option_function<std::string>(
         "--color", [colors](const std::string& word) { set_color(colors.at(word)); },
         "colour on a terminal, always or never; NO_COLOR and TERM=dumb are kept")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN")
      ->default_str("auto");
  add_pull_command(*app, action);
  add_inspect_command(*app, action);
  add_verify_command(*app, action);
  add_chip_command(*app, action);
  add_cost_command(*app, action);
  add_calibrate_command(*app, action);
#ifdef DOVETAIL_TORCH
  add_compress_command(*app, action);
  add_eval_command(*app, action);
  add_serve_command(*app, action);
  add_optimize_command(*app, action);
  add_init_command(*app, action);
  add_docs_command(*app, action);
  add_targets_command(*app, action);
#endif
  add_explain_command(*app, action);
  add_report_command(*app, action);
  add_roadmap_command(*app, action);
  add_completion_command(*app, action);
  teach(*app);
  return app;
}

}  // namespace dovetail::app
