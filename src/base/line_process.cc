#include "base/line_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/subprocess.h"

namespace dovetail {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kQuotedBytes = 400;

enum class Wait : uint8_t { kReady, kTooLate, kFailed };

// Until there is something to read (or, with `also_write`, room to write).
Wait wait_for(int socket, bool also_write, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Wait::kTooLate;
    const auto events = static_cast<short>(POLLIN | (also_write ? POLLOUT : 0));
    pollfd wanted{.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready > 0) return Wait::kReady;
    if (ready < 0 && errno != EINTR) return Wait::kFailed;
  }
}

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

// Sends as much as there is room for. False if nobody reads any more.
bool send_some(int socket, std::string_view& left) {
  const ssize_t n = ::send(socket, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0) return would_block();
  left.remove_prefix(static_cast<size_t>(n));
  return true;
}

// Appends what is there. False at the end.
bool receive_some(int socket, std::string& text) {
  std::array<char, 65536> chunk;
  const ssize_t n = ::recv(socket, chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (n < 0) return would_block();
  text.append(chunk.data(), static_cast<size_t>(n));
  return n > 0;
}

}  // namespace

Result<LineProcess> LineProcess::start(const std::vector<std::string>& argv) {
  DOVETAIL_CHECK(!argv.empty());
  // A pair of sockets, not pipes: writing to a program that is gone must not raise a signal.
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return unavailable(fmt::format("{}: no socket: {}", argv[0], std::strerror(errno)));
  }
  const auto child = start_program(argv, {ends[1], ends[1], ends[1]});
  ::close(ends[1]);
  if (!child.has_value()) {
    ::close(ends[0]);
    return std::unexpected(child.error());
  }
  return LineProcess(argv[0], *child, ends[0]);
}

LineProcess::LineProcess(std::string name, pid_t child, int socket)
    : name_(std::move(name)), child_(child), socket_(socket) {}

LineProcess::LineProcess(LineProcess&& other) noexcept
    : name_(std::move(other.name_)),
      child_(std::exchange(other.child_, -1)),
      socket_(std::exchange(other.socket_, -1)),
      pending_(std::move(other.pending_)) {}

LineProcess& LineProcess::operator=(LineProcess&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(child_, other.child_);
  std::swap(socket_, other.socket_);
  std::swap(pending_, other.pending_);
  return *this;
}

LineProcess::~LineProcess() {
  finish();
}

void LineProcess::finish() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
  if (child_ <= 0) return;
  ::kill(child_, SIGKILL);
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
}

std::unexpected<Error> LineProcess::fail(std::string_view what) {
  finish();
  std::string message = fmt::format("{}: {}", name_, what);
  if (!pending_.empty()) {
    const size_t begin = pending_.size() - std::min(pending_.size(), kQuotedBytes);
    message += fmt::format("; its last words: {}", one_line(pending_.substr(begin)));
  }
  pending_.clear();
  return unavailable(message);
}

Result<std::string> LineProcess::ask(std::string_view line, const LineLimits& limits) {
  DOVETAIL_CHECK(line.find('\n') == std::string_view::npos);
  if (socket_ < 0) return unavailable(fmt::format("{}: has ended", name_));
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(limits.max_seconds));
  const std::string question = std::string(line) + "\n";
  std::string_view left = question;
  size_t searched = 0;
  while (true) {
    const size_t end = pending_.find('\n', searched);
    if (left.empty() && end != std::string::npos) {
      std::string answer = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return answer;
    }
    searched = end == std::string::npos ? pending_.size() : end;
    if (std::ssize(pending_) > limits.max_bytes) {
      pending_.clear();
      return fail(fmt::format("an answer of more than {} bytes", limits.max_bytes));
    }
    const Wait wait = wait_for(socket_, !left.empty(), deadline);
    if (wait == Wait::kTooLate) {
      return fail(fmt::format("no answer within {} s", limits.max_seconds));
    }
    const bool alive = wait == Wait::kReady && receive_some(socket_, pending_) &&
                       (left.empty() || send_some(socket_, left));
    const bool answered = left.empty() && pending_.find('\n', searched) != std::string::npos;
    if (!alive && !answered) return fail("ended before it answered");
  }
}

}  // namespace dovetail
