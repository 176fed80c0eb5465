// Runs another program without a shell.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail {

struct SubprocessResult {
  int exit_code = 0;   // 128 + signal if a signal ended it
  std::string output;  // stdout and stderr together, the last 64 KiB
};

// `argv[0]` is looked up in PATH; standard input is empty. Waits for the end.
// Errors: kUnavailable if the program cannot be started.
[[nodiscard]] Result<SubprocessResult> run_subprocess(const std::vector<std::string>& argv);

}  // namespace dovetail
