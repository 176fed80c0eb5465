#include "app/worker_processes.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace dovetail::app {
namespace {

// Runs in the child; nothing here allocates.
[[noreturn]] void become_worker(const char* program, char* const* words, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it was killed before that took effect
  const int nothing = ::open("/dev/null", O_RDWR);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(nothing, descriptor);
  }
  ::execv(program, words);
  ::_exit(127);
}

}  // namespace

void share_cores(int64_t num_workers) {
  const int64_t cores = std::max<int64_t>(std::thread::hardware_concurrency(), 1);
  const std::string share = std::to_string(std::max<int64_t>(cores / num_workers, 1));
  ::setenv("DOVETAIL_THREADS", share.c_str(), 0);
}

Result<WorkerProcesses> WorkerProcesses::start(int64_t count,
                                               const std::vector<std::string>& arguments) {
  std::error_code code;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", code).string();
  if (code) return unavailable("this program's own file: " + code.message());
  std::vector<char*> words = {const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  WorkerProcesses workers;
  const pid_t parent = ::getpid();
  for (int64_t i = 0; i < count; ++i) {
    const pid_t child = ::fork();
    if (child == 0) become_worker(program.c_str(), words.data(), parent);
    if (child < 0) {
      return unavailable(
          fmt::format("worker {}: cannot be started: {}", i + 2, std::strerror(errno)));
    }
    workers.processes_.push_back(child);
  }
  return workers;
}

WorkerProcesses::WorkerProcesses(WorkerProcesses&& other) noexcept
    : processes_(std::exchange(other.processes_, {})) {}

WorkerProcesses::~WorkerProcesses() {
  for (const pid_t process : processes_) ::kill(process, SIGKILL);
  for (const pid_t process : processes_) {
    while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace dovetail::app
