// dovetail: finds the compression recipe and the accelerator that fit each other.
#include <cstdio>
#include <exception>

#include <fmt/format.h>

#include "app/command.h"

namespace dovetail::app {
namespace {

constexpr const char* kFooter = R"(
Start here:
  dovetail pull smollm2-135m                    fetch a small model
  dovetail optimize studies/quickstart.toml     find recipe and chip together
  dovetail cost --chip reference_edge --model llama-3-8b --treatment int4_g128+a:int8_token \
      --workload chat_512_256                   what one point costs; needs no weights

Exit codes: 0 done, 1 the work failed, 2 the input is wrong.)";

int run(int argc, char** argv) {
  CLI::App app("Dovetail finds the LLM compression recipe and the accelerator that fit each other.",
               "dovetail");
  app.set_version_flag("--version", DOVETAIL_VERSION);
  app.require_subcommand(1);
  app.footer(kFooter);
  Action action;
  add_pull_command(app, action);
  add_inspect_command(app, action);
  add_cost_command(app, action);
#ifdef DOVETAIL_TORCH
  add_eval_command(app, action);
  add_optimize_command(app, action);
#endif
  add_report_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const Status status = action();
  end_progress();
  if (status.has_value()) return 0;
  std::fputs(fmt::format("dovetail: {}\n", status.error().message).c_str(), stderr);
  return exit_code(status.error());
}

}  // namespace
}  // namespace dovetail::app

int main(int argc, char** argv) {
  try {
    return dovetail::app::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("dovetail: out of memory\n", stderr);
  } catch (const std::exception& error) {
    std::fputs(fmt::format("dovetail: internal error: {}\n", error.what()).c_str(), stderr);
  }
  return 1;
}
