// More processes of this program that share the work of one study (docs/robustness.md).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::app {

// Leaves each of `num_workers` processes its share of the machine's cores, unless the user set
// DOVETAIL_THREADS. Call before any work starts: the number of threads is read once.
void share_cores(int64_t num_workers);

// Processes that end with this one, also when it is killed. They print nothing: whatever they find
// wrong, this process finds too.
class WorkerProcesses {
 public:
  // `arguments`: what follows the program's name. Errors: kUnavailable (no process can be started).
  [[nodiscard]] static Result<WorkerProcesses> start(int64_t count,
                                                     const std::vector<std::string>& arguments);
  WorkerProcesses(WorkerProcesses&& other) noexcept;
  WorkerProcesses& operator=(WorkerProcesses&&) = delete;
  // Stops those that still run: by then this process has failed, or the study is written.
  ~WorkerProcesses();

 private:
  WorkerProcesses() = default;
  std::vector<pid_t> processes_;
};

}  // namespace dovetail::app
