#include "serve/http_server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "serve/bounded_server.h"

namespace dovetail::serve {
namespace {

constexpr const char* kJson = "application/json";
// Beside the body: request line and headers; and what a body in small chunks needs more.
constexpr int64_t kHeaderBytes = 64 << 10;

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

ConnectionLimits limits_of(const HttpParams& params) {
  return {.max_connections = params.max_connections,
          .max_request_bytes = 2 * params.max_body_bytes + kHeaderBytes,
          .idle = milliseconds_of(params.idle_s),
          .arrive = milliseconds_of(params.arrive_s),
          .take = milliseconds_of(params.take_s)};
}

void set_error(const ApiError& error, httplib::Response& response) {
  response.status = error.status;
  response.set_content(dump_json(to_json(error)), kJson);
  if (error.status == 429 || error.status == 503) response.set_header("Retry-After", "1");
}

// An answer before the body was read, which then is not read.
void set_early_error(const ApiError& error, httplib::Response& response) {
  set_error(error, response);
  response.set_header("Connection", "close");
  BoundedStream::current()->close_after_answer();
}

bool is_json(const httplib::Request& request) {
  std::string type = request.get_header_value("Content-Type");
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return type.substr(0, type.find(';')).starts_with(kJson);
}

ApiError too_large(int64_t max_body_bytes) {
  return {.status = 413,
          .message = fmt::format("the body is too large, want at most {} bytes", max_body_bytes),
          .code = "body_too_large"};
}

// What speaks against a request before its body is read.
std::optional<ApiError> check_request(const httplib::Request& request, int64_t max_body_bytes) {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  const std::vector<Route>& routes = Api::routes();
  const auto route = std::find_if(routes.begin(), routes.end(),
                                  [&](const Route& one) { return one.path == request.path; });
  if (route == routes.end()) {
    std::string known;
    for (const Route& one : routes) known += (known.empty() ? "" : ", ") + std::string(one.path);
    return ApiError{
        .status = 404,
        .message = fmt::format("{} is not served, want one of {}", one_line(request.path), known),
        .code = "unknown_path"};
  }
  if (route->method != method) {
    return ApiError{.status = 405,
                    .message = fmt::format("{} {}, want {}", one_line(request.method), route->path,
                                           route->method)};
  }
  if (method == "GET") return std::nullopt;
  if (!is_json(request)) {
    return ApiError{
        .status = 415,
        .message = fmt::format("Content-Type = \"{}\", want {}",
                               one_line(request.get_header_value("Content-Type")), kJson)};
  }
  if (request.has_header("Content-Encoding")) {
    return ApiError{.status = 415, .message = "Content-Encoding is not offered, want none"};
  }
  if (request.has_header("Transfer-Encoding")) return std::nullopt;  // counted while it is read
  const std::string length = request.get_header_value("Content-Length");
  const bool is_number = !length.empty() && length.size() < 18 &&
                         length.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number) {
    return ApiError{
        .status = 411,
        .message = fmt::format("Content-Length = \"{}\", want the body's bytes", one_line(length))};
  }
  if (std::stoll(length) > max_body_bytes) return too_large(max_body_bytes);
  return std::nullopt;
}

// For what httplib refuses itself: where the next request would begin is not known then.
void describe_error(const httplib::Request&, httplib::Response& response) {
  if (!response.body.empty()) return;
  const bool is_client = response.status >= 400 && response.status < 500;
  set_early_error({.status = response.status,
                   .message = fmt::format("HTTP {}{}", response.status,
                                          is_client ? ": a request that cannot be read" : "")},
                  response);
}

void send_answer(Answer answer, httplib::Response& response) {
  if (Reply* reply = std::get_if<Reply>(&answer)) {
    response.status = reply->status;
    response.set_content(dump_json(reply->body), kJson);
    if (reply->status == 429 || reply->status == 503) response.set_header("Retry-After", "1");
    return;
  }
  response.status = 200;
  response.set_header("Cache-Control", "no-store");
  response.set_chunked_content_provider(
      "text/event-stream",
      [stream = std::get<EventStream>(std::move(answer))](size_t, httplib::DataSink& sink) {
        bool is_taken = true;
        stream([&](const std::string& event) {
          is_taken = BoundedStream::current() != nullptr && !BoundedStream::current()->closes() &&
                     sink.write(event.data(), event.size());
          return is_taken && !BoundedStream::current()->closes();
        });
        if (is_taken) sink.done();
        return is_taken;
      });
}

bool is_client_gone() {
  return BoundedStream::current() == nullptr || BoundedStream::current()->is_peer_gone();
}

}  // namespace

struct HttpServer::Impl {
  Impl(Api& served, const HttpParams& http)
      : api(served),
        params(http),
        server(limits_of(http),
               dump_json(to_json(ApiError{
                   .status = 503,
                   .message = fmt::format("{} connections are open, want to be asked again later",
                                          http.max_connections),
                   .code = "too_many_connections"}))) {}

  void add_routes() {
    server.set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          const auto error = check_request(request, params.max_body_bytes);
          if (!error.has_value()) return httplib::Server::HandlerResponse::Unhandled;
          set_early_error(*error, response);
          return httplib::Server::HandlerResponse::Handled;
        });
    server.set_error_handler(describe_error);
    server.set_exception_handler([](const httplib::Request&, httplib::Response& response, auto&&) {
      set_error({.status = 500, .message = "an unexpected failure"}, response);
    });
    for (const Route& route : Api::routes()) {
      const std::string path(route.path);
      if (route.method == "GET") {
        server.Get(path, [this, path](const httplib::Request&, httplib::Response& response) {
          send_answer(api.answer(path, {}, is_client_gone), response);
        });
        continue;
      }
      server.Post(path, [this, path](const httplib::Request&, httplib::Response& response,
                                     const httplib::ContentReader& reader) {
        std::string body;
        if (read_body(reader, body, response)) {
          send_answer(api.answer(path, body, is_client_gone), response);
        }
      });
    }
  }

  bool read_body(const httplib::ContentReader& reader, std::string& body,
                 httplib::Response& response) const {
    bool fits = true;
    const bool is_whole = reader([&](const char* text, size_t size) {
      fits = static_cast<int64_t>(body.size() + size) <= params.max_body_bytes;
      if (fits) body.append(text, size);
      return fits;
    });
    if (is_whole && fits) return true;
    if (!fits) {
      set_early_error(too_large(params.max_body_bytes), response);
    } else if (BoundedStream::current()->is_late()) {
      set_early_error(
          {.status = 408,
           .message = fmt::format("the request did not arrive in {} s", params.arrive_s)},
          response);
    } else {
      set_early_error({.status = 400, .message = "the body ends early"}, response);
    }
    return false;
  }

  Api& api;
  const HttpParams params;
  BoundedServer server;
  int64_t port = 0;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;

Result<HttpServer> HttpServer::bind(Api& api, const HttpParams& params) {
  auto impl = std::make_unique<Impl>(api, params);
  impl->add_routes();
  const int port = static_cast<int>(params.port);
  if (port == 0) {
    impl->port = impl->server.bind_to_any_port(params.host);
  } else if (impl->server.bind_to_port(params.host, port)) {
    impl->port = port;
  }
  if (impl->port <= 0) {
    return io_error(
        fmt::format("{}:{} cannot be listened on, want an address of this machine and "
                    "a port that is free and allowed",
                    params.host, params.port));
  }
  return HttpServer(std::move(impl));
}

int64_t HttpServer::port() const {
  return impl_->port;
}

void HttpServer::run() {
  impl_->server.run();
}

void HttpServer::stop() {
  impl_->server.stop_all();
}

}  // namespace dovetail::serve
