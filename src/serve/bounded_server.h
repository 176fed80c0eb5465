// httplib::Server whose connections cannot be held for ever: a request must arrive whole in a
// bounded time and size, an answer must be taken in one, and more connections than allowed are told
// so at once. (httplib's own time limits hold for single reads: who sends a byte now and then keeps
// a thread as long as it likes.)
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include <httplib.h>

namespace dovetail::serve {

struct ConnectionLimits {
  int64_t max_connections = 64;             // 1..512
  int64_t max_request_bytes = 8 << 20;      // request line, headers and body as they are sent
  std::chrono::milliseconds idle{5000};     // between requests
  std::chrono::milliseconds arrive{30000};  // from the first byte of a request to its last one
  std::chrono::milliseconds take{30000};    // of each part of an answer
};

// One connection. For one thread.
class BoundedStream : public httplib::Stream {
 public:
  BoundedStream(socket_t socket, const ConnectionLimits& limits, const std::atomic<bool>& stopping)
      : socket_(socket), limits_(limits), stopping_(stopping) {}

  // The one that this thread serves. Null outside of a request.
  static BoundedStream*& current();

  // Waits for the first byte of the next request; its time and size count from there. False: none
  // came, or the server stops.
  bool begin_request();
  // The client closed its side, or is not there any more.
  [[nodiscard]] bool is_peer_gone() const;
  // The request took longer than it may.
  [[nodiscard]] bool is_late() const { return is_late_; }
  // The rest of what was sent is not read; the connection ends with this answer.
  void close_after_answer() { closes_ = true; }
  [[nodiscard]] bool closes() const { return closes_; }
  // Ends the connection so that the client can read the answer first.
  void close();

  bool is_readable() const override;
  bool is_writable() const override { return !is_peer_gone(); }
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }
  // Later versions of httplib ask for these.
  bool wait_readable() const { return is_readable(); }
  bool wait_writable() const { return is_writable(); }
  time_t duration() const { return 0; }

 private:
  using Clock = std::chrono::steady_clock;
  [[nodiscard]] bool wait_for(short events, Clock::time_point until) const;

  socket_t socket_;
  const ConnectionLimits& limits_;
  const std::atomic<bool>& stopping_;
  Clock::time_point arrives_until_;
  int64_t bytes_left_ = 0;
  std::string buffer_;  // received and not read
  size_t read_ = 0;     // of the buffer
  bool is_late_ = false;
  bool closes_ = false;
};

class BoundedServer : public httplib::Server {
 public:
  // `refusal`: the body for connections that are too many.
  BoundedServer(const ConnectionLimits& limits, std::string refusal);

  // Until stop_all(), which may come before; needs a bound port.
  void run();
  // Ends idle connections too. From any thread, once.
  void stop_all();

 private:
  bool process_and_close_socket(socket_t socket) override;
  void refuse_connection(socket_t socket) const;

  const ConnectionLimits limits_;
  const std::string refusal_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> is_in_run_ = false;
};

}  // namespace dovetail::serve
