// The endpoints, without sockets: a path and a body in, an answer or a stream of events out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "serve/answers.h"
#include "serve/completion_worker.h"
#include "serve/requests.h"

namespace dovetail::serve {

struct Route {
  std::string_view method;  // "GET", "POST"
  std::string_view path;
};

struct Reply {
  int status = 200;
  Json body = {};
};
// Sends server-sent events until the answer is over or `send` says that nobody takes them.
using EventStream = std::function<void(const std::function<bool(const std::string& event)>& send)>;
using Answer = std::variant<Reply, EventStream>;

// What is told of the model beside its answers.
struct ModelFacts {
  std::string treatment = {};      // the recipe of a compressed checkpoint, else empty
  std::string chat_template = {};  // Jinja source, empty: none
  int64_t created_s = 0;           // since 1970, when it began to be served
};

class Api {
 public:
  // `worker` must outlive it, `chat` may be null.
  Api(Served served, ModelFacts facts, CompletionWorker& worker,
      std::unique_ptr<model::ChatTemplate> chat);

  [[nodiscard]] static const std::vector<Route>& routes();

  // For any number of threads. `is_gone`: nobody waits for the answer any more; asked while the
  // model works. Bodies are empty for GET.
  [[nodiscard]] Answer answer(std::string_view path, const std::string& body,
                              const std::function<bool()>& is_gone);

 private:
  [[nodiscard]] ApiResult<Answer> try_answer(std::string_view path, const std::string& body,
                                             const std::function<bool()>& is_gone);
  [[nodiscard]] Json models() const;
  [[nodiscard]] Json tokenizer_facts() const;
  [[nodiscard]] ApiResult<Ask> render_chat(ChatAsk chat);
  [[nodiscard]] ApiResult<Answer> complete(const Ask& ask, bool is_chat,
                                           const std::function<bool()>& is_gone);

  const Served served_;
  const ModelFacts facts_;
  CompletionWorker& worker_;
  std::mutex chat_mutex_;
  const std::unique_ptr<model::ChatTemplate> chat_;
  std::atomic<int64_t> num_answers_ = 0;
};

}  // namespace dovetail::serve
