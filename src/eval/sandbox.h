// Runs generated Python programs where they can harm nothing, and says which of them passed.
//
// A program passes if all of it ran and nothing was raised: exec(program, {}) of
// lm-evaluation-harness's code_eval, so `__name__` is "builtins", reading standard input raises,
// output is dropped. It runs alone in namespaces of its own (bubblewrap), without network, /proc,
// other processes or anything writable but an empty /tmp, under a list of allowed system calls
// (seccomp) and resource limits. What this guarantees and what it cannot: docs/sandbox.md and
// docs/design/0010-sandbox.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

struct SandboxParams {
  double max_seconds = 3;                // of wall clock from the program's first line, > 0
  int64_t max_memory_bytes = 1LL << 30;  // address space, at least 128 MiB
  int64_t max_file_bytes = 64LL << 20;   // all files in /tmp together, at least 1 MiB
  std::string bwrap_path = {};           // empty: bwrap in PATH
  std::string interpreter_path = {};     // empty: dovetail_python beside the running program
};

enum class ProgramOutcome : uint8_t { kPassed, kFailed, kTimedOut };

[[nodiscard]] std::string to_string(ProgramOutcome outcome);  // "passed", "failed", "timed_out"

struct ProgramResult {
  ProgramOutcome outcome = ProgramOutcome::kFailed;
  // Of a failure: "AssertionError: ...", or how the process ended. One line; written by the
  // program, so it may hold anything.
  std::string detail;
  double wall_s = 0;  // from the program's first line
};

class Sandbox {
 public:
  // Starts it once to see that it holds: a program in it must find no network, no /proc and nothing
  // of the host. There is no weaker way to run a program.
  // Errors: kInvalidArgument (a limit), kUnavailable (what is missing: bubblewrap, dovetail_python,
  // user namespaces, seccomp).
  [[nodiscard]] static Result<Sandbox> create(const SandboxParams& params = {});

  // One result a program, in order; several run at once (num_threads()). Each is UTF-8 of at most
  // 1 MiB. Nothing is left running, whatever the programs did.
  // Errors: kInvalidArgument (a program too large), kUnavailable or kIo (one could not be started):
  // then none of them is judged.
  [[nodiscard]] Result<std::vector<ProgramResult>> run(
      const std::vector<std::string>& programs) const;

 private:
  explicit Sandbox(SandboxParams params) : params_(std::move(params)) {}
  SandboxParams params_;
};

}  // namespace dovetail::eval
