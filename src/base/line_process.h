// A program that answers one line with one line, for as long as it is needed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail {

struct LineLimits {
  double max_seconds = 10;                // from the call of ask() to the end of the answer
  int64_t max_bytes = int64_t{16} << 20;  // of an answer
};

// Ends the program when it is destroyed. For one thread at a time.
class LineProcess {
 public:
  // `argv[0]` is looked up in PATH; no shell. What the program writes to standard error mixes with
  // its answers. Errors: kUnavailable if it cannot be started.
  [[nodiscard]] static Result<LineProcess> start(const std::vector<std::string>& argv);

  LineProcess(LineProcess&& other) noexcept;
  LineProcess& operator=(LineProcess&& other) noexcept;
  ~LineProcess();

  // Sends `line`, which must hold no line end, and returns the next line without its end.
  // Errors: kUnavailable if the program ended first (the error quotes its last words), answered too
  // late or at too great a length. After an error the program is ended, and each later call fails.
  [[nodiscard]] Result<std::string> ask(std::string_view line, const LineLimits& limits = {});

 private:
  LineProcess(std::string name, pid_t child, int socket);
  std::unexpected<Error> fail(std::string_view what);
  void finish();

  std::string name_;
  pid_t child_ = -1;
  int socket_ = -1;      // the program's standard input and output
  std::string pending_;  // received, not yet returned
};

}  // namespace dovetail
