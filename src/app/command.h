// The frame of every verb: one file cmd_<verb>.cc adds its options and the function that runs.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"

namespace dovetail::app {

// Set by the verb that the user named; called once after parsing.
using Action = std::function<Status()>;

void add_pull_command(CLI::App& app, Action& action);
void add_inspect_command(CLI::App& app, Action& action);
void add_verify_command(CLI::App& app, Action& action);
void add_chip_command(CLI::App& app, Action& action);
void add_cost_command(CLI::App& app, Action& action);
void add_calibrate_command(CLI::App& app, Action& action);
void add_explain_command(CLI::App& app, Action& action);
void add_targets_command(CLI::App& app, Action& action);
void add_report_command(CLI::App& app, Action& action);
void add_roadmap_command(CLI::App& app, Action& action);
void add_completion_command(CLI::App& app, Action& action);
// Left out without libtorch:
void add_compress_command(CLI::App& app, Action& action);
void add_eval_command(CLI::App& app, Action& action);
void add_serve_command(CLI::App& app, Action& action);
void add_optimize_command(CLI::App& app, Action& action);
void add_init_command(CLI::App& app, Action& action);
void add_docs_command(CLI::App& app, Action& action);

// Prints to stdout with a line end.
void print_line(const std::string& text);
void print_json(const Json& json);

// A line on stderr that is rewritten in place, with time left; where stderr is no terminal, or a
// dumb one, a line a phase.
[[nodiscard]] ProgressSink terminal_progress();
// Ends the line that terminal_progress left open.
void end_progress();

// 2: the input is wrong; 1: the work failed.
[[nodiscard]] int exit_code(const Error& error);

}  // namespace dovetail::app
