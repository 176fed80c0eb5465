// dovetail: finds the compression recipe and the accelerator that fit each other.
#include <unistd.h>

#include <cstdio>
#include <exception>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cli_tree.h"
#include "app/command.h"
#include "app/terminal.h"

namespace dovetail::app {
namespace {

int fail(const std::string& message, int code) {
  std::fputs(fmt::format("{} {}\n", red("dovetail:", STDERR_FILENO), message).c_str(), stderr);
  return code;
}

// What CLI11 found wrong, in one line that names the verb and where to read on.
int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* verb = &app;
  std::string path;
  while (!verb->get_subcommands().empty()) {
    verb = verb->get_subcommands().front();
    path += " " + verb->get_name();
  }
  std::string what = error.what();
  if (error.get_name() == "RequiredError" && !verb->get_subcommands(nullptr).empty()) {
    what = "a verb is missing";
  }
  const std::string where = path.empty() ? "" : path.substr(1) + ": ";
  return fail(fmt::format("{}{}; see dovetail{} --help", where, what, path), 2);
}

int run(int argc, char** argv) {
  Action action;
  const std::unique_ptr<CLI::App> app = make_app(action);
  const Status words = check_words(*app, {argv + 1, argv + argc});
  if (!words.has_value()) return fail(words.error().message, exit_code(words.error()));
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return app->exit(wanted);
  } catch (const CLI::ParseError& error) {
    return usage_error(*app, error);
  }
  const Status status = action();
  end_progress();
  if (status.has_value()) return 0;
  return fail(status.error().message, exit_code(status.error()));
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
