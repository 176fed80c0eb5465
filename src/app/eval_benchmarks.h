// The verbs of `dovetail eval` that ask benchmarks.
#pragma once

#include "app/command.h"

namespace dovetail::app {

void add_benchmark_commands(CLI::App& eval, Action& action);
void add_eval_compare_command(CLI::App& eval, Action& action);

}  // namespace dovetail::app
