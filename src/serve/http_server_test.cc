#include "serve/http_server.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "serve/tiny_served.h"

namespace dovetail::serve {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

// A client that can be as slow and wrong as it likes.
class RawClient {
 public:
  explicit RawClient(int64_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    is_open_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { close(); }

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  bool send(const std::string& text) {
    return is_open_ && ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) ==
                           static_cast<ssize_t>(text.size());
  }
  // Until `mark` was received or the connection ends.
  std::string receive(const std::string& mark = {}) {
    std::string text;
    char buffer[4096];
    while (mark.empty() || text.find(mark) == std::string::npos) {
      const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
      if (count <= 0) break;
      text.append(buffer, static_cast<size_t>(count));
    }
    return text;
  }

 private:
  int socket_ = -1;
  bool is_open_ = false;
};

std::string post(const std::string& path, const std::string& body,
                 const std::string& headers = "Content-Type: application/json\r\n") {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{}", path,
      headers, body.size(), body);
}

class RunningServer {
 public:
  explicit RunningServer(const HttpParams& params = {}, int64_t max_requests = 8)
      : tiny_(max_requests),
        server_(bound(*tiny_.api, params)),
        thread_([this] { server_.run(); }) {}
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;
  ~RunningServer() {
    tiny_.worker->stop();
    server_.stop();
    thread_.join();
  }
  [[nodiscard]] int64_t port() const { return server_.port(); }
  [[nodiscard]] const TinyServed& tiny() const { return tiny_; }
  std::string ask(const std::string& request) const {
    RawClient client(port());
    client.send(request);
    return client.receive();
  }
  // Whether all that was under way ends within so much time.
  [[nodiscard]] bool is_idle_within(milliseconds limit) const {
    const auto until = Clock::now() + limit;
    while (tiny_.worker->under_way() > 0 && Clock::now() < until) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    return tiny_.worker->under_way() == 0;
  }

 private:
  static HttpServer bound(Api& api, HttpParams params) {
    params.port = 0;
    return HttpServer::bind(api, params).value();
  }
  TinyServed tiny_;
  HttpServer server_;
  std::thread thread_;
};

void expect_status(const std::string& answer, int status) {
  EXPECT_EQ(answer.substr(0, 12), fmt::format("HTTP/1.1 {}", status)) << answer;
}

// The same, with a body in the form of OpenAI's errors.
void expect_error(const std::string& answer, int status, const std::string& words) {
  expect_status(answer, status);
  const size_t body = answer.find("\r\n\r\n");
  ASSERT_NE(body, std::string::npos);
  const Json json = Json::parse(answer.substr(body + 4), nullptr, false);
  ASSERT_TRUE(json.contains("error")) << answer;
  EXPECT_NE(json["error"]["message"].get<std::string>().find(words), std::string::npos) << answer;
}

const std::string kEndless =
    post("/v1/completions", R"({"prompt": "x", "max_tokens": 300, "stream": true, "logprobs": 5})");

TEST(HttpServer, Answers) {
  const RunningServer server;
  expect_status(server.ask("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"), 200);
  const std::string answer = server.ask(post("/v1/completions", R"({"prompt": "once"})"));
  expect_status(answer, 200);
  EXPECT_NE(answer.find("\"text_completion\""), std::string::npos);
  const std::string stream =
      server.ask(post("/v1/completions", R"({"prompt": "once", "stream": true})"));
  EXPECT_NE(stream.find("text/event-stream"), std::string::npos);
  EXPECT_NE(stream.find("data: [DONE]"), std::string::npos);
}

TEST(HttpServer, AConnectionServesSeveralRequests) {
  const RunningServer server;
  RawClient client(server.port());
  for (int i = 0; i < 20; ++i) {
    const std::string body = R"({"prompt": "ab"})";
    client.send(
        fmt::format("POST /tokenize HTTP/1.1\r\nContent-Type: application/json\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    body.size(), body));
    EXPECT_NE(client.receive("[256]}").find("[256]}"), std::string::npos) << i;
  }
}

TEST(HttpServer, NonsenseIsAnsweredAsSuch) {
  const RunningServer server({.max_body_bytes = 1000});
  expect_error(server.ask("GET /nowhere HTTP/1.1\r\n\r\n"), 404, "/nowhere is not served");
  expect_error(server.ask("GET /tokenize HTTP/1.1\r\n\r\n"), 405, "want POST");
  expect_error(server.ask("DELETE /health HTTP/1.1\r\n\r\n"), 405, "want GET");
  expect_error(server.ask("no request\r\n\r\n"), 400, "cannot be read");
  expect_error(server.ask(post("/tokenize", "{", "Content-Type: text/plain\r\n")), 415,
               "want application/json");
  expect_error(server.ask(post("/tokenize", "{",
                               "Content-Type: application/json\r\nContent-Encoding: gzip\r\n")),
               415, "Content-Encoding");
  expect_error(server.ask("POST /tokenize HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"), 411,
               "Content-Length");
  expect_error(server.ask(post("/tokenize", "{")), 400, "the body: ");
  expect_error(server.ask(post("/v1/completions", R"({"prompt": [260]})")), 400, "0..259");
  expect_status(server.ask("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), 414);
  expect_status(server.ask("GET /health HTTP/1.1\r\nRange: bytes=" + std::string(4000, '0') +
                           "\r\nConnection: close\r\n\r\n"),
                416);
  expect_status(server.ask("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"), 200);
}

TEST(HttpServer, BodiesAreBounded) {
  const RunningServer server({.max_body_bytes = 1000});
  const std::string large = R"({"prompt": ")" + std::string(2000, 'x') + R"("})";
  expect_error(server.ask(post("/tokenize", large)), 413, "at most 1000 bytes");
  // A length that is a lie, and pieces whose sum is too large.
  expect_error(server.ask("POST /tokenize HTTP/1.1\r\nContent-Type: application/json\r\n"
                          "Content-Length: 99999999999999\r\n\r\n{"),
               413, "at most 1000 bytes");
  std::string pieces =
      "POST /tokenize HTTP/1.1\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 30; ++i) pieces += "32\r\n" + std::string(50, ' ') + "\r\n";
  expect_error(server.ask(pieces), 413, "at most 1000 bytes");
  // Headers without end.
  RawClient client(server.port());
  client.send("GET /health HTTP/1.1\r\n");
  for (int i = 0; i < 300 && client.send("X-More: " + std::string(1000, 'x') + "\r\n"); ++i) {
  }
  client.receive();
  expect_status(server.ask("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"), 200);
}

TEST(HttpServer, SlowClientsAreLetGoAndHarmNoOne) {
  const RunningServer server({.max_connections = 8, .idle_s = 0.5, .arrive_s = 5});
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 6; ++i) {
    slow.push_back(std::make_unique<RawClient>(server.port()));
    // Silent ones, ones in their headers, ones in their bodies.
    if (i % 3 == 1) slow.back()->send("POST /v1/comple");
    if (i % 3 == 2) {
      slow.back()->send(
          "POST /tokenize HTTP/1.1\r\nContent-Type: application/json\r\n"
          "Content-Length: 100\r\n\r\n{");
    }
  }
  const auto begin = Clock::now();
  expect_status(server.ask(post("/v1/completions", R"({"prompt": "once"})")), 200);
  EXPECT_LT(Clock::now() - begin, seconds(4));  // not after the slow ones
  EXPECT_EQ(slow[0]->receive(), "");
  // A byte now and then does not keep a connection.
  bool is_taken = true;
  while (is_taken && Clock::now() - begin < seconds(15)) {
    is_taken = slow[1]->send("x");
    std::this_thread::sleep_for(milliseconds(100));
  }
  EXPECT_FALSE(is_taken);
  expect_error(slow[2]->receive(), 408, "did not arrive in 5 s");
}

TEST(HttpServer, MoreConnectionsThanAllowedAreToldSo) {
  const RunningServer server({.max_connections = 2, .idle_s = 3});
  RawClient first(server.port()), second(server.port());
  for (RawClient* client : {&first, &second}) {
    client->send("GET /health HTTP/1.1\r\n\r\n");
    EXPECT_NE(client->receive("under_way").find("200 OK"), std::string::npos);
  }
  expect_error(server.ask(""), 503, "2 connections are open");
  first.close();
  const auto until = Clock::now() + seconds(5);
  std::string answer;
  while (!answer.starts_with("HTTP/1.1 200") && Clock::now() < until) {
    answer = server.ask("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
  }
  expect_status(answer, 200);
}

TEST(HttpServer, VanishedClientsEndTheirGeneration) {
  const RunningServer server;
  {
    RawClient client(server.port());
    client.send(kEndless);
    EXPECT_NE(client.receive("data: ").find("data: "), std::string::npos);
    EXPECT_EQ(server.tiny().worker->under_way(), 1);
  }
  EXPECT_TRUE(server.is_idle_within(seconds(5)));
  {
    RawClient client(server.port());
    client.send(post("/v1/completions", R"({"prompt": "x", "max_tokens": 300})"));
  }
  EXPECT_TRUE(server.is_idle_within(seconds(5)));
  expect_status(server.ask("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"), 200);
}

TEST(HttpServer, ManyClientsAtOnce) {
  const RunningServer server({}, 64);
  std::vector<std::string> answers(24);
  std::vector<std::thread> clients;
  for (size_t i = 0; i < answers.size(); ++i) {
    clients.emplace_back([&, i] {
      const std::string body =
          fmt::format(R"({{"prompt": "client {}", "max_tokens": 20, "stream": {}}})", i / 2,
                      i % 2 == 0 ? "false" : "true");
      answers[i] = server.ask(post("/v1/completions", body));
    });
  }
  for (std::thread& client : clients) client.join();
  for (const std::string& answer : answers) expect_status(answer, 200);
}

TEST(HttpServer, StopsWhileClientsWait) {
  auto server = std::make_unique<RunningServer>();
  RawClient client(server->port());
  client.send(kEndless);
  client.receive("data: ");
  RawClient idle(server->port());
  const auto begin = Clock::now();
  server.reset();
  EXPECT_LT(Clock::now() - begin, seconds(3));
}

TEST(HttpServer, APortThatIsTakenIsNamed) {
  const RunningServer server;
  const TinyServed tiny;
  const auto error = HttpServer::bind(*tiny.api, {.port = server.port()}).error();
  EXPECT_NE(error.message.find(fmt::format("127.0.0.1:{}", server.port())), std::string::npos);
  EXPECT_FALSE(HttpServer::bind(*tiny.api, {.host = "no host", .port = 0}).has_value());
}

}  // namespace
}  // namespace dovetail::serve
