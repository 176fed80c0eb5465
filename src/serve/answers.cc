#include "serve/answers.h"

#include <algorithm>

#include <fmt/format.h>

#include "eval/python_text.h"

namespace dovetail::serve {
namespace {

bool is_utf8(const std::string& bytes) {
  return eval::with_replacement_characters(bytes) == bytes;
}

int64_t characters_begun(const std::string& bytes) {
  return std::count_if(bytes.begin(), bytes.end(),
                       [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
}

Json bytes_of(const std::string& bytes) {
  Json list = Json::array();
  for (const char c : bytes) list.push_back(static_cast<uint8_t>(c));
  return list;
}

Json usage_to_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

Json frame_to_json(const AnswerFrame& frame, const char* chat_object) {
  return {{"id", frame.id},
          {"object", frame.is_chat ? chat_object : "text_completion"},
          {"created", frame.created_s},
          {"model", frame.model_id}};
}

Json reason(const Choice& choice) {
  return choice.finish_reason.empty() ? Json() : Json(choice.finish_reason);
}

Json chat_choice_logprobs(const AnswerFrame& frame, const model::Tokenizer& tokenizer,
                          const Choice& choice) {
  return frame.has_logprobs ? chat_logprobs(tokenizer, choice.tokens) : Json();
}

Json legacy_choice(const AnswerFrame& frame, const model::Tokenizer& tokenizer,
                   const Choice& choice, const Prompt* echo, int64_t offset) {
  Json json = {{"index", choice.index},
               {"text", (echo == nullptr ? "" : echo->text) + choice.text},
               {"logprobs", nullptr},
               {"finish_reason", reason(choice)}};
  if (frame.has_logprobs) {
    json["logprobs"] =
        legacy_logprobs(tokenizer, echo == nullptr ? -1 : echo->ids.front(), choice.tokens, offset);
  }
  return json;
}

}  // namespace

std::string token_text(const model::Tokenizer& tokenizer, int32_t id) {
  const std::string bytes = tokenizer.decode({id});
  if (is_utf8(bytes) && !bytes.empty()) return bytes;
  // An id that the tokenizer has no bytes for (a padded vocabulary) is named by its number.
  if (bytes.empty()) return fmt::format("token:{}", id);
  std::string text = "bytes:";
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  return text;
}

Json legacy_logprobs(const model::Tokenizer& tokenizer, int32_t first,
                     const std::vector<eval::ScoredToken>& tokens, int64_t first_offset) {
  Json texts = Json::array(), nats = Json::array(), tops = Json::array(), offsets = Json::array();
  int64_t offset = first_offset;
  const auto add = [&](int32_t id, Json logprob, Json top) {
    texts.push_back(token_text(tokenizer, id));
    nats.push_back(std::move(logprob));
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += characters_begun(tokenizer.decode({id}));
  };
  if (first >= 0) add(first, nullptr, nullptr);
  for (const eval::ScoredToken& token : tokens) {
    Json top = Json::object();
    for (const eval::TokenChoice& choice : token.top) {
      // Two tokens with one text: the likelier one, which comes first.
      top.emplace(token_text(tokenizer, choice.id), choice.nats);
    }
    // The token itself stands among its alternatives, as in OpenAI's answers.
    if (!token.top.empty()) top.emplace(token_text(tokenizer, token.id), token.nats);
    add(token.id, token.nats, token.top.empty() ? Json() : std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(nats)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json chat_logprobs(const model::Tokenizer& tokenizer,
                   const std::vector<eval::ScoredToken>& tokens) {
  const auto entry = [&](int32_t id, double nats) -> Json {
    return {{"token", token_text(tokenizer, id)},
            {"logprob", nats},
            {"bytes", bytes_of(tokenizer.decode({id}))}};
  };
  Json content = Json::array();
  for (const eval::ScoredToken& token : tokens) {
    Json json = entry(token.id, token.nats);
    json["top_logprobs"] = Json::array();
    for (const eval::TokenChoice& choice : token.top) {
      json["top_logprobs"].push_back(entry(choice.id, choice.nats));
    }
    content.push_back(std::move(json));
  }
  return {{"content", std::move(content)}};
}

Json whole_answer(const AnswerFrame& frame, const model::Tokenizer& tokenizer,
                  const std::vector<Choice>& choices, const std::vector<const Prompt*>& echoes,
                  const Usage& usage) {
  Json json = frame_to_json(frame, "chat.completion");
  json["choices"] = Json::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    if (!frame.is_chat) {
      json["choices"].push_back(legacy_choice(frame, tokenizer, choice, echoes[i], 0));
      continue;
    }
    json["choices"].push_back({{"index", choice.index},
                               {"message", {{"role", "assistant"}, {"content", choice.text}}},
                               {"logprobs", chat_choice_logprobs(frame, tokenizer, choice)},
                               {"finish_reason", reason(choice)}});
  }
  json["usage"] = usage_to_json(usage);
  return json;
}

Json part_of_answer(const AnswerFrame& frame, const model::Tokenizer& tokenizer,
                    const Choice& choice, const Prompt* echo, bool is_first, int64_t offset) {
  Json json = frame_to_json(frame, "chat.completion.chunk");
  if (!frame.is_chat) {
    json["choices"] = Json::array({legacy_choice(frame, tokenizer, choice, echo, offset)});
    return json;
  }
  Json delta = Json::object();
  if (is_first) delta["role"] = "assistant";
  if (!choice.text.empty() || is_first) delta["content"] = choice.text;
  json["choices"] = Json::array(
      {{{"index", choice.index},
        {"delta", std::move(delta)},
        {"logprobs",
         choice.tokens.empty() ? Json() : chat_choice_logprobs(frame, tokenizer, choice)},
        {"finish_reason", reason(choice)}}});
  return json;
}

Json usage_of_stream(const AnswerFrame& frame, const Usage& usage) {
  Json json = frame_to_json(frame, "chat.completion.chunk");
  json["choices"] = Json::array();
  json["usage"] = usage_to_json(usage);
  return json;
}

int64_t count_characters(const model::Tokenizer& tokenizer,
                         const std::vector<eval::ScoredToken>& tokens) {
  int64_t count = 0;
  for (const eval::ScoredToken& token : tokens) {
    count += characters_begun(tokenizer.decode({token.id}));
  }
  return count;
}

}  // namespace dovetail::serve
