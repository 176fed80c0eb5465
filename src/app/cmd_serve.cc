// dovetail serve: the OpenAI endpoints, answered by a model or compressed checkpoint.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "app/command.h"
#include "app/model_scorer.h"
#include "eval/completer.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "model/zoo.h"
#include "serve/api.h"
#include "serve/completion_worker.h"
#include "serve/http_server.h"

namespace dovetail::app {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 30;

struct ServeOptions {
  std::string model;
  std::string model_id;  // empty: as `model`
  serve::HttpParams http;
  eval::CompleterParams completer;
  int64_t kv_mib = 1024;
  int64_t max_prompt_tokens = 0;  // 0: as many as the model sees
  int64_t max_tokens = 4096;
  int64_t max_prompts = 256;
  int64_t max_requests = 32;
  bool no_chat = false;
  std::string chat_date = model::ChatTemplateParams{}.date;
  bool json = false;
};

// The pipe that a signal writes to: all that a handler may do.
int stop_pipe[2] = {-1, -1};

void ask_to_stop(int) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = ::write(stop_pipe[1], &byte, 1);
}

// SIGINT and SIGTERM end wait_for_stop(); the second one ends the process.
Status catch_signals() {
  if (::pipe(stop_pipe) != 0) return io_error("no pipe for signals");
  struct sigaction action = {};
  action.sa_handler = ask_to_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  return {};
}

void wait_for_stop() {
  char byte = 0;
  while (::read(stop_pipe[0], &byte, 1) < 0 && errno == EINTR) {
  }
}

struct ChatParts {
  std::string source;
  std::unique_ptr<model::ChatTemplate> engine;
};

Result<ChatParts> open_chat_template(const ServeOptions& options, const std::string& path) {
  ChatParts parts;
  if (options.no_chat) return parts;
  DOVETAIL_TRY(const auto text, model::find_chat_template(path));
  if (!text.has_value()) return parts;
  auto engine = model::ChatTemplate::create(*text, {.date = options.chat_date});
  if (!engine.has_value()) {
    return with_context(engine.error(), "chat template (--no-chat serves without it)");
  }
  parts.source = text->text;
  parts.engine = std::make_unique<model::ChatTemplate>(*std::move(engine));
  return parts;
}

serve::Served served_of(const ServeOptions& options, const model::Tokenizer& tokenizer,
                        const eval::Completer& completer) {
  const int64_t length = completer.max_length();
  return {.model_id = options.model_id.empty() ? options.model : options.model_id,
          .tokenizer = &tokenizer,
          .vocab_size = completer.vocab_size(),
          .max_length = length,
          .max_prompt_tokens =
              options.max_prompt_tokens == 0 ? length : std::min(length, options.max_prompt_tokens),
          .max_new_tokens = std::min(length, options.max_tokens),
          .max_prompts = options.max_prompts};
}

void print_listening(const ServeOptions& options, const serve::Served& served, bool has_chat,
                     int64_t port) {
  const std::string url = fmt::format("{}://{}:{}", "http", options.http.host, port);
  if (options.json) {
    print_json({{"url", url},
                {"port", port},
                {"model", served.model_id},
                {"max_length_tokens", served.max_length},
                {"has_chat_template", has_chat}});
  } else {
    print_line(fmt::format("{} answers at {}{}; Ctrl-C ends it", served.model_id, url,
                           has_chat ? "" : ", without a chat template"));
    if (options.http.host != "127.0.0.1" && options.http.host != "localhost") {
      print_line("  whoever reaches this address may ask: there is no password");
    }
  }
  std::fflush(stdout);
}

Status run_serve(const ServeOptions& options) {
  DOVETAIL_TRY(const std::string path, model::resolve_model(options.model));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(path));
  DOVETAIL_TRY(ChatParts chat, open_chat_template(options, path));
  const bool has_chat = chat.engine != nullptr;
  serve::ModelFacts facts{.treatment = {},
                          .chat_template = std::move(chat.source),
                          .created_s = std::chrono::duration_cast<std::chrono::seconds>(
                                           std::chrono::system_clock::now().time_since_epoch())
                                           .count()};
  eval::CompleterParams params = options.completer;
  params.max_kv_bytes = options.kv_mib << 20;
  std::unique_ptr<eval::Completer> completer;
  {
    DOVETAIL_TRY(const RunnableModel runnable, load_runnable(path));
    facts.treatment = runnable.treatment;
    DOVETAIL_TRY(completer, eval::make_completer(runnable.model, params));
  }
  const serve::Served served = served_of(options, tokenizer, *completer);
  serve::CompletionWorker worker(std::move(completer), tokenizer, options.max_requests);
  serve::Api api(served, std::move(facts), worker, std::move(chat.engine));
  DOVETAIL_TRY(serve::HttpServer server, serve::HttpServer::bind(api, options.http));
  DOVETAIL_TRY_STATUS(catch_signals());
  std::thread serving([&] { server.run(); });
  print_listening(options, served, has_chat, server.port());
  wait_for_stop();
  worker.stop();  // first: connections wait for its answers
  server.stop();
  serving.join();
  return {};
}

void add_limits(CLI::App& command, ServeOptions& options) {
  const auto count = [&](const char* name, int64_t& value, int64_t min, int64_t max,
                         const char* help) {
    command.add_option(name, value, help)->check(CLI::Range(min, max))->capture_default_str();
  };
  count("--max-length", options.completer.max_length, 0, kMaxCount,
        "tokens of prompt and answer together; 0: the model's own context");
  count("--max-prompt-tokens", options.max_prompt_tokens, 0, kMaxCount,
        "tokens of a prompt; 0: as many as --max-length");
  count("--max-tokens", options.max_tokens, 1, kMaxCount, "tokens of an answer");
  count("--max-prompts", options.max_prompts, 1, 4096, "prompts of a request");
  count("--max-requests", options.max_requests, 1, 4096,
        "requests under way; more are told to come again (429)");
  count("--max-running", options.completer.max_running, 1, 512,
        "prompts that the model works on together; more wait");
  count("--max-connections", options.http.max_connections, 1, 512,
        "open connections; more are told to come again (503)");
  count("--max-body-bytes", options.http.max_body_bytes, 1024, int64_t{1} << 28,
        "bytes of a request's body");
  count("--kv-mib", options.kv_mib, 1, int64_t{1} << 24,
        "memory for keys and values; a single request may need more");
  const auto seconds = [&](const char* name, double& value, const char* help) {
    command.add_option(name, value, help)->check(CLI::Range(0.05, 86400.0))->capture_default_str();
  };
  seconds("--idle-s", options.http.idle_s, "seconds that a connection may rest between requests");
  seconds("--arrive-s", options.http.arrive_s, "seconds in which a request must arrive whole");
  seconds("--take-s", options.http.take_s,
          "seconds in which a client must take each part of an answer");
}

}  // namespace

void add_serve_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command =
      app.add_subcommand("serve", "answer the OpenAI endpoints from a model or checkpoint");
  command->add_option("model", options->model, "zoo name, GGUF file, model or checkpoint folder")
      ->required();
  command
      ->add_option("--host", options->http.host,
                   "address to listen on; the default is this "
                   "machine alone")
      ->capture_default_str();
  command->add_option("--port", options->http.port, "0: any that is free; it is printed")
      ->check(CLI::Range(int64_t{0}, int64_t{65535}))
      ->capture_default_str();
  command->add_option("--model-id", options->model_id, "name that requests give; default: MODEL");
  command->add_flag("--no-chat", options->no_chat, "leave the model's chat template out");
  command
      ->add_option("--chat-date", options->chat_date,
                   "YYYY-MM-DD that templates see which print the date")
      ->capture_default_str();
  add_limits(*command, *options);
  command->add_flag("--json", options->json, "print address and limits as a record");
  command->callback([options, &action] { action = [options] { return run_serve(*options); }; });
}

}  // namespace dovetail::app
