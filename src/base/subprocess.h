// Runs another program without a shell.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail {

// Starts `argv[0]`, looked up in PATH, with these as its standard input, output and error (-1: it
// has /dev/null). The caller waits for its end. Errors: kUnavailable if it cannot be started.
[[nodiscard]] Result<pid_t> start_program(const std::vector<std::string>& argv,
                                          const std::array<int, 3>& files);

struct SubprocessResult {
  int exit_code = 0;   // 128 + signal if a signal ended it
  std::string output;  // stdout and stderr together, the last 64 KiB
};

// `argv[0]` is looked up in PATH; standard input is empty. Waits for the end.
// Errors: kUnavailable if the program cannot be started.
[[nodiscard]] Result<SubprocessResult> run_subprocess(const std::vector<std::string>& argv);

}  // namespace dovetail
