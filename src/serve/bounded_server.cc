#include "serve/bounded_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dovetail::serve {
namespace {

using std::chrono::milliseconds;

// How often who waits looks whether the server stops.
constexpr milliseconds kTick{100};
constexpr size_t kReadBytes = 16384;
// What a client still sends while it is refused is read for so long, or it would lose the answer.
constexpr milliseconds kLinger{500};

// True while the thread that accepts serves a connection that is too many.
thread_local bool is_refusing = false;

// A thread for each connection up to a number; one more runs, refused, where connections are
// accepted.
class ConnectionThreads : public httplib::TaskQueue {
 public:
  explicit ConnectionThreads(int64_t count) : count_(count), threads_(static_cast<size_t>(count)) {}

  // void in httplib 0.11, bool later.
  using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));
  Enqueued enqueue(std::function<void()> serve) override {
    if (++busy_ > count_) {
      --busy_;
      is_refusing = true;
      serve();
      is_refusing = false;
      return Enqueued(true);
    }
    threads_.enqueue([this, serve = std::move(serve)] {
      serve();
      --busy_;
    });
    return Enqueued(true);
  }
  void shutdown() override { threads_.shutdown(); }

 private:
  const int64_t count_;
  std::atomic<int64_t> busy_ = 0;
  httplib::ThreadPool threads_;
};

// httplib 0.15 and later are told both ends' addresses.
template <typename Process>
bool call_process(const Process& process, httplib::Stream& stream, bool& is_closed) {
  const auto leave = [](httplib::Request&) {};
  if constexpr (requires { process(stream, false, is_closed, leave); }) {
    return process(stream, false, is_closed, leave);
  } else {
    return process(stream, std::string(), 0, std::string(), 0, false, is_closed, leave);
  }
}

}  // namespace

BoundedStream*& BoundedStream::current() {
  thread_local BoundedStream* stream = nullptr;
  return stream;
}

bool BoundedStream::wait_for(short events, Clock::time_point until) const {
  while (!stopping_) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left.count() <= 0) return false;
    pollfd one{.fd = socket_, .events = events, .revents = 0};
    const int found = ::poll(&one, 1, static_cast<int>(std::min(left, kTick).count()));
    if (found > 0) return true;
    if (found < 0 && errno != EINTR) return false;
  }
  return false;
}

bool BoundedStream::begin_request() {
  const bool is_there = read_ < buffer_.size() || wait_for(POLLIN, Clock::now() + limits_.idle);
  arrives_until_ = Clock::now() + limits_.arrive;
  bytes_left_ = limits_.max_request_bytes;
  return is_there && !stopping_;
}

bool BoundedStream::is_peer_gone() const {
  char byte = 0;
  const ssize_t count = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count > 0) return false;
  return count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

bool BoundedStream::is_readable() const {
  return read_ < buffer_.size() || wait_for(POLLIN, arrives_until_);
}

ssize_t BoundedStream::read(char* data, size_t size) {
  if (read_ == buffer_.size()) {
    if (bytes_left_ <= 0) return -1;
    if (!wait_for(POLLIN, arrives_until_)) {
      is_late_ = !stopping_;
      return -1;
    }
    buffer_.resize(std::min(kReadBytes, static_cast<size_t>(bytes_left_)));
    const ssize_t count = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    buffer_.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
    read_ = 0;
    if (count <= 0) return count;
    bytes_left_ -= count;
  }
  const size_t count = std::min(size, buffer_.size() - read_);
  std::copy_n(buffer_.begin() + static_cast<int64_t>(read_), count, data);
  read_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t BoundedStream::write(const char* data, size_t size) {
  const auto until = Clock::now() + limits_.take;
  size_t sent = 0;
  while (sent < size) {
    const ssize_t count = ::send(socket_, data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      sent += static_cast<size_t>(count);
    } else if ((errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) ||
               !wait_for(POLLOUT, until)) {
      closes_ = true;
      return -1;
    }
  }
  return static_cast<ssize_t>(size);
}

void BoundedStream::close() {
  ::shutdown(socket_, SHUT_WR);
  std::array<char, 4096> rest{};
  const auto until = Clock::now() + kLinger;
  while (wait_for(POLLIN, until) && ::recv(socket_, rest.data(), rest.size(), 0) > 0) {
  }
  ::close(socket_);
}

void BoundedStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip.clear();  // nobody reads them
  port = 0;
}

void BoundedStream::get_local_ip_and_port(std::string& ip, int& port) const {
  get_remote_ip_and_port(ip, port);
}

BoundedServer::BoundedServer(const ConnectionLimits& limits, std::string refusal)
    : limits_(limits), refusal_(std::move(refusal)) {
  // httplib's own options let two servers share a port.
  set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  });
  set_tcp_nodelay(true);
  new_task_queue = [this] { return new ConnectionThreads(limits_.max_connections); };
}

void BoundedServer::run() {
  is_in_run_ = true;
  if (!stopping_) listen_after_bind();
  is_in_run_ = false;
}

// httplib's stop() does nothing before it listens, and must not be called twice.
void BoundedServer::stop_all() {
  stopping_ = true;
  while (is_in_run_ && !is_running()) std::this_thread::sleep_for(milliseconds(1));
  if (is_running()) stop();
}

bool BoundedServer::process_and_close_socket(socket_t socket) {
  if (is_refusing) {
    refuse_connection(socket);
    return false;
  }
  BoundedStream stream(socket, limits_, stopping_);
  BoundedStream::current() = &stream;
  bool goes_on = true;
  while (goes_on && stream.begin_request()) {
    bool is_closed = false;
    const bool is_sound = call_process(
        [this](auto&&... arguments) -> decltype(process_request(arguments...)) {
          return process_request(arguments...);
        },
        stream, is_closed);
    goes_on = is_sound && !is_closed && !stream.closes();
  }
  BoundedStream::current() = nullptr;
  stream.close();
  return goes_on;
}

// Never waits: this is the thread that accepts.
void BoundedServer::refuse_connection(socket_t socket) const {
  const std::string answer = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
      "Retry-After: 1\r\nContent-Length: {}\r\n\r\n{}",
      refusal_.size(), refusal_);
  ::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(socket, SHUT_WR);
  std::array<char, 4096> rest{};
  ::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT);
  ::close(socket);
}

}  // namespace dovetail::serve
