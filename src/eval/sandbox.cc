#include "eval/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"

namespace dovetail::eval {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kNonceBytes = 32;
constexpr size_t kMaxProgramBytes = 1 << 20;
constexpr size_t kMaxReportBytes = 4096;
constexpr double kMaxStartSeconds = 30;  // until the first line; a machine may be busy
// What an unprivileged user is called. Root gives up its rights first: limits on the number of
// processes do not hold for it, and a fault of the kernel would cost less.
constexpr uid_t kNobody = 65534;

// Files of the child, by number.
enum ChildFile { kNull, kOutput, kLog, kRequest, kReport, kInterpreter, kStatus, kHold, kFiles };

class File {
 public:
  File() = default;
  explicit File(int number) : number_(number) {}
  File(File&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~File() { reset(); }
  void reset() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool is_open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

struct Pipe {
  File read;
  File write;
};

std::unexpected<Error> system_error(std::string_view what) {
  return io_error(fmt::format("sandbox: {}: {}", what, std::strerror(errno)));
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("no pipe");
  return Pipe{.read = File(ends[0]), .write = File(ends[1])};
}

// A file in memory with these bytes, to be read from its start.
Result<File> memory_file(std::string_view text) {
  File file(::memfd_create("dovetail_program", MFD_CLOEXEC));
  if (!file.is_open()) return system_error("no memory file");
  while (!text.empty()) {
    const ssize_t n = ::write(file.number(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return system_error("memory file");
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::lseek(file.number(), 0, SEEK_SET) != 0) return system_error("memory file");
  return file;
}

Result<std::string> make_nonce() {
  std::string nonce(kNonceBytes, '\0');
  if (::getrandom(nonce.data(), nonce.size(), 0) != static_cast<ssize_t>(nonce.size())) {
    return system_error("no random bytes");
  }
  return nonce;
}

std::vector<std::string> arguments_of(const SandboxParams& params) {
  const auto number = [](ChildFile file) { return std::to_string(static_cast<int>(file)); };
  const std::string nobody = std::to_string(kNobody);
  const std::string file_bytes = std::to_string(params.max_file_bytes);
  std::vector<std::string> words = {params.bwrap_path,
                                    "--unshare-user",
                                    "--unshare-pid",
                                    "--unshare-net",
                                    "--unshare-ipc",
                                    "--unshare-uts",
                                    "--unshare-cgroup-try",
                                    "--uid",
                                    nobody,
                                    "--gid",
                                    nobody,
                                    "--hostname",
                                    "sandbox",
                                    "--die-with-parent",
                                    "--new-session",
                                    "--cap-drop",
                                    "ALL",
                                    "--ro-bind",
                                    "/usr",
                                    "/usr"};
  // Part of /usr on current systems, folders of their own on older ones.
  for (const std::string folder : {"/lib", "/lib64"}) {
    if (std::filesystem::exists(folder)) {
      words.insert(words.end(), {"--ro-bind", folder, folder});
    }
  }
  words.insert(words.end(),
               {"--perms",
                "0555",
                "--ro-bind-data",
                number(kInterpreter),
                "/dovetail_python",
                "--dev-bind",
                "/dev/null",
                "/dev/null",
                "--dev-bind",
                "/dev/urandom",
                "/dev/urandom",
                "--size",
                file_bytes,
                "--perms",
                "0700",
                "--tmpfs",
                "/tmp",
                "--remount-ro",
                "/",
                "--chdir",
                "/tmp",
                "--info-fd",
                number(kStatus),
                "--block-fd",
                number(kHold),
                "/dovetail_python",
                std::to_string(params.max_memory_bytes),
                std::to_string(2 * static_cast<int64_t>(std::ceil(params.max_seconds)) + 1),
                file_bytes});
  return words;
}

// In the child between vfork and exec, where only plain system calls are safe.
[[noreturn]] void become_bwrap(const std::array<int, kFiles>& files, char* const* words) {
  const auto give_up = [](std::string_view reason) {
    [[maybe_unused]] const ssize_t n = ::write(kLog, reason.data(), reason.size());
    while (true) ::syscall(SYS_exit_group, 1);
  };
  constexpr int kBeyond = 64;  // so that none is overwritten before it is moved
  std::array<int, kFiles> moved{};
  for (size_t i = 0; i < kFiles; ++i) {
    moved[i] = ::fcntl(files[i], F_DUPFD, kBeyond);
    if (moved[i] < 0) give_up("a file cannot be passed on");
  }
  for (size_t i = 0; i < kFiles; ++i) ::dup2(moved[i], static_cast<int>(i));
  if (::syscall(SYS_close_range, static_cast<unsigned>(kFiles), ~0U, 0U) != 0) {
    give_up("files of the host cannot be closed: Linux 5.9 or newer is needed");
  }
  if (::syscall(SYS_geteuid) == 0) {
    if (::syscall(SYS_setgroups, 0, nullptr) != 0 ||
        ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
        ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0) {
      give_up("the rights of root cannot be given up: no user 65534 here");
    }
  }
  if (::syscall(SYS_setpgid, 0, 0) != 0) give_up("no process group");
  char* const environment[] = {nullptr};
  ::execve(words[0], words, environment);
  give_up("bwrap cannot be executed");
  while (true) {
  }
}

std::string read_some(const File& file) {
  std::array<char, 4096> chunk;
  while (true) {
    const ssize_t n = ::read(file.number(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    return {chunk.data(), static_cast<size_t>(std::max<ssize_t>(0, n))};
  }
}

// True if there is something to read (or the end) before the deadline.
bool wait_readable(const File& file, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{.fd = file.number(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 60'000)));
    if (ready > 0) return true;
    if (ready == 0 && Clock::now() >= deadline) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// One bwrap with all that runs inside.
class Cage {
 public:
  Cage(Cage&& other) noexcept
      : bwrap_(std::exchange(other.bwrap_, -1)),
        first_(std::move(other.first_)),
        log_(std::move(other.log_)),
        report_(std::move(other.report_)) {}
  Cage& operator=(Cage&&) = delete;
  ~Cage() { finish(); }

  static Result<Cage> start(const SandboxParams& params, const File& request) {
    File null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    File interpreter(::open(params.interpreter_path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!null.is_open() || !interpreter.is_open()) return system_error(params.interpreter_path);
    DOVETAIL_TRY(Pipe log, make_pipe());
    DOVETAIL_TRY(Pipe report, make_pipe());
    DOVETAIL_TRY(Pipe status, make_pipe());
    DOVETAIL_TRY(Pipe hold, make_pipe());
    const std::array<int, kFiles> files = {
        null.number(),         null.number(),        log.write.number(),    request.number(),
        report.write.number(), interpreter.number(), status.write.number(), hold.read.number()};
    const std::vector<std::string> words = arguments_of(params);
    std::vector<char*> pointers;
    for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    Cage cage;
    // Not fork: this process may hold gigabytes of weights, whose page tables that would copy.
    cage.bwrap_ = ::vfork();
    if (cage.bwrap_ < 0) return system_error("no process");
    if (cage.bwrap_ == 0) become_bwrap(files, pointers.data());
    cage.log_ = std::move(log.read);
    cage.report_ = std::move(report.read);
    for (File* end : {&log.write, &report.write, &status.write, &hold.read}) end->reset();
    DOVETAIL_TRY_STATUS(cage.find_first_process(status.read));
    return cage;  // closing `hold` lets it go on
  }

  [[nodiscard]] const File& report() const { return report_; }

  // What bwrap or the interpreter said before the program began.
  std::string log() {
    finish();
    std::string text;
    for (std::string part = read_some(log_); !part.empty() && text.size() < kMaxReportBytes;
         part = read_some(log_)) {
      text += part;
    }
    return one_line(text);
  }

  // Ends the first process of the cage, with which the kernel ends all others, and waits until
  // they are gone.
  void finish() {
    if (bwrap_ <= 0) return;
    if (first_.is_open()) {
      ::syscall(SYS_pidfd_send_signal, first_.number(), SIGKILL, nullptr, 0U);
      // A descriptor of a process becomes readable when it has ended, its namespace emptied.
      while (!wait_readable(first_, Clock::now() + std::chrono::seconds(60))) {
      }
    } else {
      ::kill(-bwrap_, SIGKILL);  // its group: the first process may not yet follow it into death
    }
    int state = 0;
    while (::waitpid(bwrap_, &state, 0) < 0 && errno == EINTR) {
    }
    bwrap_ = -1;
  }

 private:
  Cage() = default;

  // bwrap names the first process inside and holds it until we let it go, so the number is its own.
  Status find_first_process(const File& status) {
    const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                             std::chrono::duration<double>(kMaxStartSeconds));
    std::string text;
    while (text.find('}') == std::string::npos && wait_readable(status, deadline)) {
      const std::string part = read_some(status);
      if (part.empty()) break;
      text += part;
    }
    const size_t colon = text.find(':');
    const long number =
        colon == std::string::npos ? 0 : std::strtol(text.c_str() + colon + 1, nullptr, 10);
    if (number > 0) {
      first_ = File(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(number), 0U)));
    }
    if (first_.is_open()) return {};
    return unavailable(
        fmt::format("sandbox: bwrap does not start: '{}'; it needs user namespaces "
                    "(user.max_user_namespaces above 0; in a container, a seccomp and AppArmor "
                    "profile that allows them)",
                    log()));
  }

  pid_t bwrap_ = -1;
  File first_;  // the first process inside
  File log_;
  File report_;
};

struct Report {
  std::string text;  // after the 'S'
  bool started = false;
  bool timed_out = false;
  double wall_s = 0;
};

// A pass with a nonce, a failure with its zero byte, or what no interpreter of ours would write.
bool is_complete(std::string_view text) {
  if (text.empty()) return false;
  if (text[0] == 'P') return text.size() > kNonceBytes;
  return text[0] != 'F' || text.back() == '\0' || text.size() > kMaxReportBytes;
}

// Until the report is complete, the program has no more way to write one, or time is up.
Report read_report(const File& file, double max_seconds) {
  const auto seconds = [](double value) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
  };
  Report report;
  auto begin = Clock::now();
  auto deadline = begin + seconds(kMaxStartSeconds);
  while (!is_complete(report.text)) {
    if (!wait_readable(file, deadline)) {
      report.timed_out = true;
      break;
    }
    std::string part = read_some(file);
    if (part.empty()) break;
    if (!report.started && part[0] == 'S') {
      part.erase(0, 1);
      report.started = true;
      begin = Clock::now();
      deadline = begin + seconds(max_seconds);
    }
    report.text += part;
  }
  report.wall_s = std::chrono::duration<double>(Clock::now() - begin).count();
  return report;
}

ProgramResult judge(const Report& report, const std::string& nonce, double max_seconds) {
  ProgramResult result{.outcome = ProgramOutcome::kFailed, .detail = "", .wall_s = report.wall_s};
  if (report.timed_out) {
    result.outcome = ProgramOutcome::kTimedOut;
    result.detail = fmt::format("still running after {} s", max_seconds);
  } else if (report.text == "P" + nonce) {
    result.outcome = ProgramOutcome::kPassed;
  } else if (report.text.starts_with('F')) {
    result.detail = one_line(report.text.substr(1, report.text.find('\0') - 1));
  } else if (report.text.empty()) {
    result.detail = "the process ended before the program did";
  } else {
    result.detail = "the program wrote a report of its own";
  }
  return result;
}

Result<ProgramResult> run_program(const SandboxParams& params, const std::string& program) {
  DOVETAIL_TRY(const std::string nonce, make_nonce());
  DOVETAIL_TRY(const File request, memory_file(nonce + program));
  DOVETAIL_TRY(Cage cage, Cage::start(params, request));
  const Report report = read_report(cage.report(), params.max_seconds);
  cage.finish();
  if (!report.started) {
    return unavailable(fmt::format("sandbox: the interpreter does not start: '{}'", cage.log()));
  }
  return judge(report, nonce, params.max_seconds);
}

std::string find_bwrap() {
  const char* path = std::getenv("PATH");
  std::string_view folders = path == nullptr ? "/usr/bin:/bin" : path;
  while (!folders.empty()) {
    const size_t length = std::min(folders.find(':'), folders.size());
    const std::string candidate = std::string(folders.substr(0, length)) + "/bwrap";
    if (candidate[0] == '/' && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    folders.remove_prefix(std::min(length + 1, folders.size()));
  }
  return "";
}

Status check_params(const SandboxParams& params) {
  if (!(params.max_seconds > 0 && params.max_seconds <= 3600)) {
    return invalid_argument(
        fmt::format("sandbox: max_seconds = {}, want above 0, at most 3600", params.max_seconds));
  }
  if (params.max_memory_bytes < (int64_t{128} << 20)) {
    return invalid_argument(fmt::format("sandbox: max_memory_bytes = {}, want at least {}",
                                        params.max_memory_bytes, int64_t{128} << 20));
  }
  if (params.max_file_bytes < (int64_t{1} << 20)) {
    return invalid_argument(fmt::format("sandbox: max_file_bytes = {}, want at least {}",
                                        params.max_file_bytes, int64_t{1} << 20));
  }
  return {};
}

Status find_programs(SandboxParams& params) {
  if (params.bwrap_path.empty()) params.bwrap_path = find_bwrap();
  if (params.bwrap_path.empty() || ::access(params.bwrap_path.c_str(), X_OK) != 0) {
    return unavailable(
        fmt::format("sandbox: bwrap is missing{}; install the package bubblewrap",
                    params.bwrap_path.empty() ? " in PATH" : ": " + params.bwrap_path));
  }
  if (params.interpreter_path.empty()) {
    std::error_code ignored;
    const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
    params.interpreter_path = (program.parent_path() / "dovetail_python").string();
  }
  if (::access(params.interpreter_path.c_str(), R_OK) != 0) {
    return unavailable(fmt::format("sandbox: {} is missing; build the target dovetail_python",
                                   params.interpreter_path));
  }
  return {};
}

// Passes only where the walls hold.
constexpr const char* kProbe = R"(
import os, socket
assert set(os.listdir('/')) <= {'usr', 'lib', 'lib64', 'tmp', 'dev', 'dovetail_python'}
assert os.listdir('/tmp') == [] and set(os.environ) <= {'PWD', 'LC_CTYPE'}
for forbidden in (socket.socket, os.fork, lambda: os.kill(1, 0), lambda: os.mkdir('/other')):
    try:
        forbidden()
    except OSError:
        continue
    raise AssertionError('allowed')
)";

}  // namespace

std::string to_string(ProgramOutcome outcome) {
  switch (outcome) {
    case ProgramOutcome::kPassed:
      return "passed";
    case ProgramOutcome::kTimedOut:
      return "timed_out";
    case ProgramOutcome::kFailed:
      break;
  }
  return "failed";
}

Result<Sandbox> Sandbox::create(const SandboxParams& params) {
  DOVETAIL_TRY_STATUS(check_params(params));
  SandboxParams found = params;
  DOVETAIL_TRY_STATUS(find_programs(found));
  SandboxParams patient = found;
  patient.max_seconds = kMaxStartSeconds;
  DOVETAIL_TRY(const ProgramResult probe, run_program(patient, kProbe));
  if (probe.outcome != ProgramOutcome::kPassed) {
    return unavailable(
        fmt::format("sandbox: its walls do not hold: {}; nothing is run", probe.detail));
  }
  return Sandbox(std::move(found));
}

Result<std::vector<ProgramResult>> Sandbox::run(const std::vector<std::string>& programs) const {
  for (size_t i = 0; i < programs.size(); ++i) {
    if (programs[i].size() > kMaxProgramBytes) {
      return invalid_argument(fmt::format("sandbox: program {} has {} bytes, want at most {}", i,
                                          programs[i].size(), kMaxProgramBytes));
    }
  }
  std::vector<std::optional<Result<ProgramResult>>> results(programs.size());
  parallel_for(static_cast<int64_t>(programs.size()), [&](int64_t i, int64_t) {
    const auto place = static_cast<size_t>(i);
    results[place] = run_program(params_, programs[place]);
  });
  std::vector<ProgramResult> judged;
  for (auto& result : results) {
    DOVETAIL_TRY(ProgramResult one, std::move(*result));
    judged.push_back(std::move(one));
  }
  return judged;
}

}  // namespace dovetail::eval
