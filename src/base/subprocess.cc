#include "base/subprocess.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

extern char** environ;

namespace dovetail {
namespace {

constexpr size_t kKeptOutputBytes = 64 << 10;

void read_all(int file, std::string& output) {
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t n = ::read(file, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    output.append(chunk.data(), static_cast<size_t>(n));
    if (output.size() > 2 * kKeptOutputBytes) output.erase(0, output.size() - kKeptOutputBytes);
  }
}

}  // namespace

Result<pid_t> start_program(const std::vector<std::string>& argv, const std::array<int, 3>& files) {
  DOVETAIL_CHECK(!argv.empty());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int target = 0; target < 3; ++target) {
    const int source = files[static_cast<size_t>(target)];
    if (source < 0)
      posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0);
    else
      posix_spawn_file_actions_adddup2(&actions, source, target);
  }
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t child = 0;
  const int code = ::posix_spawnp(&child, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code == 0) return child;
  return unavailable(fmt::format("{}: cannot be started: {}", argv[0], std::strerror(code)));
}

Result<SubprocessResult> run_subprocess(const std::vector<std::string>& argv) {
  DOVETAIL_CHECK(!argv.empty());
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return io_error(fmt::format("{}: no pipe: {}", argv[0], std::strerror(errno)));
  }
  const auto child = start_program(argv, {-1, ends[1], ends[1]});
  ::close(ends[1]);
  if (!child.has_value()) {
    ::close(ends[0]);
    return std::unexpected(child.error());
  }
  SubprocessResult result;
  read_all(ends[0], result.output);
  ::close(ends[0]);
  int state = 0;
  while (::waitpid(*child, &state, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  return result;
}

}  // namespace dovetail
