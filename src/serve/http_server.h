// The endpoints behind HTTP. What a client may send and take, how much and how long, is bounded.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "serve/api.h"

namespace dovetail::serve {

struct HttpParams {
  std::string host = "127.0.0.1";
  int64_t port = 8000;  // 0: any that is free
  int64_t max_body_bytes = 4 << 20;
  int64_t max_connections = 128;  // 1..512
  double idle_s = 20;             // between requests; aiohttp's clients keep a connection for 15 s
  double arrive_s = 30;           // from the first byte of a request to its last one
  double take_s = 30;             // of each part of an answer
};

class HttpServer {
 public:
  // `api` must outlive it. Errors: kInvalidArgument (a host that is none), kIo (a port that is
  // taken or not allowed).
  [[nodiscard]] static Result<HttpServer> bind(Api& api, const HttpParams& params);
  HttpServer(HttpServer&&) noexcept;
  ~HttpServer();

  [[nodiscard]] int64_t port() const;
  // Until stop(), which any thread may call; no request is under way afterwards.
  void run();
  void stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::serve
