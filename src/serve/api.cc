#include "serve/api.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/json_text.h"

namespace dovetail::serve {
namespace {

// How often who waits for the model looks whether the client is still there.
constexpr std::chrono::milliseconds kTick{100};
// The same where several prompts are streamed in turn.
constexpr std::chrono::milliseconds kShortTick{5};
// A status of nginx's for answers that nobody waits for; no client sees it.
constexpr int kClientGone = 499;

int64_t now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int64_t prompt_tokens(const Ask& ask) {
  int64_t count = 0;
  for (const Prompt& prompt : ask.prompts) count += std::ssize(prompt.ids);
  return count;
}

const Prompt* echo_of(const Ask& ask, size_t index) {
  return ask.echo ? &ask.prompts[index] : nullptr;
}

// A prompt's scores and what was made of it, in the order of the text.
std::vector<eval::ScoredToken> all_tokens(Completion::News& news) {
  std::vector<eval::ScoredToken> tokens = std::move(news.prompt);
  tokens.insert(tokens.end(), std::make_move_iterator(news.tokens.begin()),
                std::make_move_iterator(news.tokens.end()));
  return tokens;
}

struct Finished {
  std::vector<Choice> choices;
  Usage usage;
};

// Waits for all prompts of a batch.
ApiResult<Finished> collect(const Ask& ask, CompletionWorker::Batch& batch,
                            const std::function<bool()>& is_gone) {
  Finished finished{.choices = {}, .usage = {.prompt_tokens = prompt_tokens(ask)}};
  for (size_t i = 0; i < batch.completions.size(); ++i) {
    Choice choice{.index = static_cast<int64_t>(i)};
    while (choice.finish_reason.empty()) {
      Completion::News news = batch.completions[i]->wait(kTick);
      if (news.error.has_value()) return std::unexpected(api_error(*news.error));
      if (is_gone()) return std::unexpected(ApiError{.status = kClientGone, .message = "gone"});
      finished.usage.completion_tokens += std::ssize(news.tokens);
      for (eval::ScoredToken& token : all_tokens(news)) choice.tokens.push_back(std::move(token));
      choice.text += news.text;
      choice.finish_reason = news.finish_reason;
    }
    finished.choices.push_back(std::move(choice));
  }
  return finished;
}

// One prompt's stream of events.
struct OpenStream {
  size_t index = 0;
  bool is_first = true;
  int64_t offset = 0;  // characters of its tokens so far
  bool is_over = false;
};

std::string event_of(const Json& json) {
  return "data: " + dump_json(json) + "\n\n";
}

class Streaming {
 public:
  Streaming(AnswerFrame frame, Ask ask, const model::Tokenizer& tokenizer,
            std::unique_ptr<CompletionWorker::Batch> batch, std::function<bool()> is_gone)
      : frame_(std::move(frame)),
        ask_(std::move(ask)),
        tokenizer_(tokenizer),
        batch_(std::move(batch)),
        is_gone_(std::move(is_gone)) {
    for (size_t i = 0; i < batch_->completions.size(); ++i) open_.push_back({.index = i});
    usage_.prompt_tokens = prompt_tokens(ask_);
  }

  void run(const std::function<bool(const std::string&)>& send) {
    while (!open_.empty()) {
      for (OpenStream& one : open_) {
        if (is_gone_() || !send_news(one, send)) return;
      }
      std::erase_if(open_, [](const OpenStream& one) { return one.is_over; });
    }
    if (ask_.include_usage && !send(event_of(usage_of_stream(frame_, usage_)))) return;
    send("data: [DONE]\n\n");
  }

 private:
  // False: the stream is over, by an error or because nobody takes it.
  bool send_news(OpenStream& one, const std::function<bool(const std::string&)>& send) {
    Completion::News news =
        batch_->completions[one.index]->wait(open_.size() == 1 ? kTick : kShortTick);
    if (news.error.has_value()) {
      send(event_of(to_json(api_error(*news.error))));
      return false;
    }
    usage_.completion_tokens += std::ssize(news.tokens);
    Choice choice{.index = static_cast<int64_t>(one.index),
                  .text = std::move(news.text),
                  .tokens = all_tokens(news),
                  .finish_reason = news.finish_reason};
    one.is_over = news.is_end();
    const bool says_something =
        !choice.text.empty() || one.is_over || (frame_.has_logprobs && !choice.tokens.empty());
    if (!says_something) return true;
    const Prompt* echo = one.is_first ? echo_of(ask_, one.index) : nullptr;
    const std::string event =
        event_of(part_of_answer(frame_, tokenizer_, choice, echo, one.is_first, one.offset));
    if (echo != nullptr) one.offset += count_characters(tokenizer_, {{.id = echo->ids[0]}});
    one.offset += count_characters(tokenizer_, choice.tokens);
    one.is_first = false;
    return send(event);
  }

  const AnswerFrame frame_;
  const Ask ask_;
  const model::Tokenizer& tokenizer_;
  const std::unique_ptr<CompletionWorker::Batch> batch_;
  const std::function<bool()> is_gone_;
  std::vector<OpenStream> open_;
  Usage usage_;
};

}  // namespace

Api::Api(Served served, ModelFacts facts, CompletionWorker& worker,
         std::unique_ptr<model::ChatTemplate> chat)
    : served_(std::move(served)),
      facts_(std::move(facts)),
      worker_(worker),
      chat_(std::move(chat)) {}

const std::vector<Route>& Api::routes() {
  static const std::vector<Route> routes = {{"GET", "/health"},
                                            {"GET", "/v1/models"},
                                            {"GET", "/tokenizer_info"},
                                            {"POST", "/tokenize"},
                                            {"POST", "/detokenize"},
                                            {"POST", "/v1/completions"},
                                            {"POST", "/v1/chat/completions"}};
  return routes;
}

Answer Api::answer(std::string_view path, const std::string& body,
                   const std::function<bool()>& is_gone) {
  ApiResult<Answer> answer = try_answer(path, body, is_gone);
  if (answer.has_value()) return *std::move(answer);
  return Reply{.status = answer.error().status, .body = to_json(answer.error())};
}

ApiResult<Answer> Api::try_answer(std::string_view path, const std::string& body,
                                  const std::function<bool()>& is_gone) {
  if (path == "/health") {
    return Reply{.body = {{"status", "ok"},
                          {"model", served_.model_id},
                          {"requests_under_way", worker_.under_way()}}};
  }
  if (path == "/v1/models") return Reply{.body = models()};
  if (path == "/tokenizer_info") return Reply{.body = tokenizer_facts()};
  const Result<Json> parsed = parse_json(body, "the body");
  if (!parsed.has_value()) return std::unexpected(api_error(parsed.error()));
  if (path == "/tokenize") {
    DOVETAIL_TRY(const std::string text, parse_tokenize(*parsed, served_));
    const std::vector<int32_t> ids = served_.tokenizer->encode(text);
    return Reply{
        .body = {{"count", ids.size()}, {"max_model_len", served_.max_length}, {"tokens", ids}}};
  }
  if (path == "/detokenize") {
    DOVETAIL_TRY(const std::vector<int32_t> ids, parse_detokenize(*parsed, served_));
    return Reply{.body = {{"prompt", served_.tokenizer->decode(ids)}}};
  }
  if (path == "/v1/completions") {
    DOVETAIL_TRY(const Ask ask, parse_completion(*parsed, served_));
    return complete(ask, false, is_gone);
  }
  DOVETAIL_TRY(ChatAsk chat, parse_chat(*parsed, served_));
  DOVETAIL_TRY(const Ask ask, render_chat(std::move(chat)));
  return complete(ask, true, is_gone);
}

Json Api::models() const {
  Json model = {{"id", served_.model_id},
                {"object", "model"},
                {"created", facts_.created_s},
                {"owned_by", "dovetail"},
                {"max_model_len", served_.max_length},
                {"dovetail", {{"version", DOVETAIL_VERSION}, {"tier", "executed"}}}};
  if (!facts_.treatment.empty()) model["dovetail"]["recipe_toml"] = facts_.treatment;
  return {{"object", "list"}, {"data", Json::array({std::move(model)})}};
}

Json Api::tokenizer_facts() const {
  const model::Tokenizer& tokenizer = *served_.tokenizer;
  const auto text_or_null = [&](int32_t id) {
    return id < 0 ? Json() : Json(tokenizer.decode({id}));
  };
  return {{"eos_token", text_or_null(tokenizer.eos_id())},
          {"bos_token", text_or_null(tokenizer.bos_id())},
          {"pad_token", nullptr},
          {"chat_template", facts_.chat_template.empty() ? Json() : Json(facts_.chat_template)}};
}

ApiResult<Ask> Api::render_chat(ChatAsk chat) {
  if (chat_ == nullptr) {
    return std::unexpected(ApiError{
        .status = 400,
        .message = fmt::format("{} has no chat template, want one for /v1/chat/completions",
                               served_.model_id),
        .param = "messages",
        .code = "no_chat_template"});
  }
  std::string text;
  {
    const std::scoped_lock lock(chat_mutex_);
    const Result<std::string> rendered = chat_->render(chat.messages, true);
    if (!rendered.has_value()) return std::unexpected(api_error(rendered.error()));
    text = *rendered;
  }
  return with_chat_prompt(std::move(chat), text, served_);
}

ApiResult<Answer> Api::complete(const Ask& ask, bool is_chat,
                                const std::function<bool()>& is_gone) {
  const AnswerFrame frame{.id = fmt::format("{}-{}", is_chat ? "chatcmpl" : "cmpl", ++num_answers_),
                          .created_s = now_s(),
                          .model_id = served_.model_id,
                          .is_chat = is_chat,
                          .has_logprobs = ask.has_logprobs};
  DOVETAIL_TRY(auto batch, worker_.submit(ask));
  if (ask.stream) {
    const auto streaming =
        std::make_shared<Streaming>(frame, ask, *served_.tokenizer, std::move(batch), is_gone);
    return EventStream(
        [streaming](const std::function<bool(const std::string&)>& send) { streaming->run(send); });
  }
  DOVETAIL_TRY(const Finished finished, collect(ask, *batch, is_gone));
  std::vector<const Prompt*> echoes;
  for (size_t i = 0; i < ask.prompts.size(); ++i) echoes.push_back(echo_of(ask, i));
  return Reply{
      .body = whole_answer(frame, *served_.tokenizer, finished.choices, echoes, finished.usage)};
}

}  // namespace dovetail::serve
