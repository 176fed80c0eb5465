#include "serve/requests.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "eval/completer.h"
#include "eval/python_text.h"
#include "serve/json_fields.h"

namespace dovetail::serve {
namespace {

constexpr size_t kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;
constexpr int64_t kMaxLegacyAlternatives = 5;  // as OpenAI's
constexpr double kMaxTemperature = 2;          // as OpenAI's
constexpr size_t kMaxMessages = 1024;

ApiResult<void> check_model(const std::string& model, const Served& served) {
  if (model.empty() || model == served.model_id) return {};
  return std::unexpected(
      ApiError{.status = 404,
               .message = fmt::format("model = \"{}\" is not served here, want \"{}\"",
                                      one_line(model), served.model_id),
               .param = "model",
               .code = "model_not_found"});
}

void read_stops(JsonFields& fields, std::vector<std::string>& stops) {
  const Json* found = fields.any("stop");
  if (found == nullptr) return;
  const Json list = found->is_array() ? *found : Json::array({*found});
  if (list.size() > kMaxStops) {
    return fields.fail("stop", fmt::format(" = {} texts, want at most {}", list.size(), kMaxStops));
  }
  for (const Json& one : list) {
    if (!one.is_string() || one.get_ref<const std::string&>().empty() ||
        one.get_ref<const std::string&>().size() > kMaxStopBytes) {
      return fields.fail("stop", fmt::format(" = {}, want a text of 1..{} bytes or a list of such",
                                             shown(one), kMaxStopBytes));
    }
    stops.push_back(one.get<std::string>());
  }
}

// Keys that both endpoints know.
void read_shared(JsonFields& fields, Ask& ask, std::string& model) {
  fields.text("model", model);
  fields.number("temperature", 0, kMaxTemperature, ask.temperature);
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  fields.integer("seed", -kAny, kAny, ask.seed);
  read_stops(fields, ask.stops);
  fields.flag("stream", ask.stream);
  if (const Json* options = fields.any("stream_options")) {
    JsonFields inner(*options, "stream_options.");
    inner.flag("include_usage", ask.include_usage);
    const auto status = inner.finish();
    if (!status.has_value()) fields.fail("stream_options", ": " + status.error().message);
  }
  fields.ignore("user");
  fields.only("n", 1, "1");
  fields.only("top_p", 1, "1: sampling draws from all tokens");
  fields.only("presence_penalty", 0, "0");
  fields.only("frequency_penalty", 0, "0");
  fields.only("logit_bias", Json::object(), "{}");
}

ApiResult<Prompt> text_prompt(const std::string& text, const Served& served) {
  return Prompt{.ids = served.tokenizer->encode(text), .text = text};
}

ApiResult<int32_t> token_id(const Json& one, const std::string& key, const Served& served) {
  const bool fits = one.is_number_integer() && one.get<int64_t>() >= 0 &&
                    one.get<int64_t>() < served.vocab_size && one.get<double>() >= 0;
  if (!fits) {
    return refuse(key, fmt::format("{} holds {}, want token ids in 0..{}", key, shown(one),
                                   served.vocab_size - 1));
  }
  return static_cast<int32_t>(one.get<int64_t>());
}

std::string text_of(const std::vector<int32_t>& ids, const Served& served) {
  return eval::with_replacement_characters(served.tokenizer->decode(ids));
}

ApiResult<std::vector<int32_t>> id_list(const Json& list, const std::string& key,
                                        const Served& served) {
  std::vector<int32_t> ids;
  for (const Json& one : list) {
    DOVETAIL_TRY(const int32_t id, token_id(one, key, served));
    ids.push_back(id);
  }
  return ids;
}

ApiResult<Prompt> one_prompt(const Json& json, const std::string& key, const Served& served) {
  if (json.is_string()) return text_prompt(json.get<std::string>(), served);
  if (!json.is_array()) {
    return refuse("prompt",
                  fmt::format("{} = {}, want a text or a list of token ids", key, shown(json)));
  }
  DOVETAIL_TRY(std::vector<int32_t> ids, id_list(json, key, served));
  std::string text = text_of(ids, served);
  return Prompt{.ids = std::move(ids), .text = std::move(text)};
}

ApiResult<std::vector<Prompt>> read_prompts(const Json* json, const Served& served) {
  if (json == nullptr) {
    return refuse("prompt", "prompt is missing, want a text, token ids, or a list of either");
  }
  std::vector<Prompt> prompts;
  // [1, 2] is one prompt, ["a", "b"] and [[1], [2]] are two.
  const bool is_list = json->is_array() && !json->empty() && !json->front().is_number();
  if (!is_list) {
    DOVETAIL_TRY(Prompt prompt, one_prompt(*json, "prompt", served));
    prompts.push_back(std::move(prompt));
    return prompts;
  }
  if (std::ssize(*json) > served.max_prompts) {
    return refuse("prompt", fmt::format("prompt = {} prompts, want at most {}", json->size(),
                                        served.max_prompts));
  }
  for (size_t i = 0; i < json->size(); ++i) {
    DOVETAIL_TRY(Prompt prompt, one_prompt((*json)[i], fmt::format("prompt[{}]", i), served));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

ApiResult<void> check_length(const Ask& ask, const std::string& key, const Served& served) {
  for (const Prompt& prompt : ask.prompts) {
    const auto length = std::ssize(prompt.ids);
    if (length == 0) return refuse(key, fmt::format("{} holds a prompt without tokens", key));
    if (length > served.max_prompt_tokens) {
      return std::unexpected(ApiError{.status = 400,
                                      .message = fmt::format("{} has {} tokens, want at most {}",
                                                             key, length, served.max_prompt_tokens),
                                      .param = key,
                                      .code = "context_length_exceeded"});
    }
    if (length + ask.max_new_tokens > served.max_length) {
      return std::unexpected(ApiError{
          .status = 400,
          .message = fmt::format("{} of {} tokens and max_tokens = {} are {} together, want at "
                                 "most {}",
                                 key, length, ask.max_new_tokens, length + ask.max_new_tokens,
                                 served.max_length),
          .param = "max_tokens",
          .code = "context_length_exceeded"});
    }
  }
  return {};
}

// The content of a message: a text or a list of parts {"type": "text", "text"}.
ApiResult<std::string> message_content(const Json& json, const std::string& key) {
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_array()) {
    return refuse(key,
                  fmt::format("{} = {}, want a text or a list of text parts", key, shown(json)));
  }
  std::string content;
  for (size_t i = 0; i < json.size(); ++i) {
    JsonFields part(json[i], fmt::format("{}[{}].", key, i));
    part.only("type", "text", "\"text\"");
    std::string text;
    part.text("text", text);
    DOVETAIL_TRY_STATUS(part.finish());
    content += text;
  }
  return content;
}

ApiResult<std::vector<model::ChatMessage>> read_messages(const Json* json) {
  if (json == nullptr || !json->is_array() || json->empty() || json->size() > kMaxMessages) {
    return refuse("messages",
                  fmt::format("messages = {}, want a list of 1..{} messages",
                              json == nullptr ? "nothing" : shown(*json), kMaxMessages));
  }
  std::vector<model::ChatMessage> messages;
  for (size_t i = 0; i < json->size(); ++i) {
    const std::string where = fmt::format("messages[{}].", i);
    JsonFields fields((*json)[i], where);
    model::ChatMessage message;
    fields.text("role", message.role);
    const Json* content = fields.any("content");
    fields.ignore("name");
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      fields.fail("role",
                  fmt::format(" = \"{}\", want system, user or assistant", one_line(message.role)));
    }
    if (content == nullptr) fields.fail("content", " is missing, want a text");
    DOVETAIL_TRY_STATUS(fields.finish());
    DOVETAIL_TRY(message.content, message_content(*content, where + "content"));
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace

ApiResult<Ask> parse_completion(const Json& body, const Served& served) {
  JsonFields fields(body);
  Ask ask;
  std::string model;
  read_shared(fields, ask, model);
  const Json* prompt = fields.any("prompt");
  fields.integer("max_tokens", 0, served.max_new_tokens, ask.max_new_tokens);
  int64_t num_top = -1;
  fields.integer("logprobs", 0, kMaxLegacyAlternatives, num_top);
  fields.flag("echo", ask.echo);
  fields.only("best_of", 1, "1");
  fields.only("suffix", "", "none");
  DOVETAIL_TRY_STATUS(fields.finish());
  DOVETAIL_TRY_STATUS(check_model(model, served));
  ask.has_logprobs = num_top >= 0;
  ask.num_top = std::max<int64_t>(num_top, 0);
  DOVETAIL_TRY(ask.prompts, read_prompts(prompt, served));
  DOVETAIL_TRY_STATUS(check_length(ask, "prompt", served));
  return ask;
}

ApiResult<ChatAsk> parse_chat(const Json& body, const Served& served) {
  JsonFields fields(body);
  ChatAsk chat;
  std::string model;
  read_shared(fields, chat.ask, model);
  const Json* messages = fields.any("messages");
  // The older name and the newer one; the newer one counts.
  int64_t max_new_tokens = -1;
  fields.integer("max_tokens", 1, served.max_new_tokens, max_new_tokens);
  fields.integer("max_completion_tokens", 1, served.max_new_tokens, max_new_tokens);
  fields.flag("logprobs", chat.ask.has_logprobs);
  int64_t num_top = -1;
  fields.integer("top_logprobs", 0, eval::kMaxAlternatives, num_top);
  if (num_top >= 0 && !chat.ask.has_logprobs) {
    fields.fail("top_logprobs", " needs logprobs = true");
  }
  fields.only("response_format", Json{{"type", "text"}}, "{\"type\": \"text\"}");
  DOVETAIL_TRY_STATUS(fields.finish());
  DOVETAIL_TRY_STATUS(check_model(model, served));
  chat.ask.num_top = std::max<int64_t>(num_top, 0);
  chat.has_max_new_tokens = max_new_tokens >= 0;
  chat.ask.max_new_tokens = max_new_tokens;
  DOVETAIL_TRY(chat.messages, read_messages(messages));
  return chat;
}

ApiResult<Ask> with_chat_prompt(ChatAsk chat, const std::string& text, const Served& served) {
  Ask ask = std::move(chat.ask);
  DOVETAIL_TRY(Prompt prompt, text_prompt(text, served));
  if (!chat.has_max_new_tokens) {
    const int64_t room = served.max_length - std::ssize(prompt.ids);
    ask.max_new_tokens = std::clamp<int64_t>(room, 1, served.max_new_tokens);
  }
  ask.prompts.push_back(std::move(prompt));
  DOVETAIL_TRY_STATUS(check_length(ask, "messages", served));
  return ask;
}

ApiResult<std::string> parse_tokenize(const Json& body, const Served& served) {
  JsonFields fields(body);
  std::string model, prompt;
  fields.text("model", model);
  const Json* found = fields.any("prompt");
  if (found == nullptr) fields.fail("prompt", " is missing, want a text");
  fields.text("prompt", prompt);
  fields.only("add_special_tokens", false, "false: prompts are taken as they stand");
  DOVETAIL_TRY_STATUS(fields.finish());
  DOVETAIL_TRY_STATUS(check_model(model, served));
  return prompt;
}

ApiResult<std::vector<int32_t>> parse_detokenize(const Json& body, const Served& served) {
  JsonFields fields(body);
  std::string model;
  fields.text("model", model);
  const Json* tokens = fields.any("tokens");
  if (tokens == nullptr || !tokens->is_array()) {
    fields.fail("tokens", fmt::format(" = {}, want a list of token ids",
                                      tokens == nullptr ? "nothing" : shown(*tokens)));
  }
  DOVETAIL_TRY_STATUS(fields.finish());
  DOVETAIL_TRY_STATUS(check_model(model, served));
  return id_list(*tokens, "tokens", served);
}

}  // namespace dovetail::serve
