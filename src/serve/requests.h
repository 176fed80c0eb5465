// The bodies of requests, checked: what is asked of the model, in token ids.
//
// Form: OpenAI's API reference, "Completions (legacy)" and "Chat"; /tokenize and /detokenize: vLLM
// 0.6's, which lm-eval 0.4.13 asks for. What Dovetail does not do is refused, never left out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "serve/api_error.h"

namespace dovetail::serve {

// What requests are held against.
struct Served {
  std::string model_id = {};
  const model::Tokenizer* tokenizer = nullptr;  // outlives this
  int64_t vocab_size = 0;                       // of the model
  int64_t max_length = 0;                       // tokens of prompt and answer together
  int64_t max_prompt_tokens = 0;                // of a prompt, at most max_length
  int64_t max_new_tokens = 0;                   // of an answer
  int64_t max_prompts = 0;                      // of a request
};

struct Prompt {
  std::vector<int32_t> ids = {};
  std::string text = {};  // as it came, or decoded
};

// What both endpoints ask for.
struct Ask {
  std::vector<Prompt> prompts = {};  // one or more
  int64_t max_new_tokens = 16;       // OpenAI's default for completions
  bool has_logprobs = false;
  int64_t num_top = 0;
  bool echo = false;
  double temperature = 0;
  int64_t seed = 0;
  std::vector<std::string> stops = {};  // none empty
  bool stream = false;
  bool include_usage = false;  // a last event with the number of tokens
};

struct ChatAsk {
  Ask ask = {};  // no prompts yet
  std::vector<model::ChatMessage> messages = {};
  bool has_max_new_tokens = false;  // else as many as fit and are allowed
};

// Errors: 400 naming the key; 404 for another model.
[[nodiscard]] ApiResult<Ask> parse_completion(const Json& body, const Served& served);
[[nodiscard]] ApiResult<ChatAsk> parse_chat(const Json& body, const Served& served);
// Puts the conversation as the template wrote it in front of the answer. Errors: 400, too long.
[[nodiscard]] ApiResult<Ask> with_chat_prompt(ChatAsk chat, const std::string& text,
                                              const Served& served);

// {"prompt", "add_special_tokens"} -> the text; {"tokens"} -> the ids. Errors: 400.
[[nodiscard]] ApiResult<std::string> parse_tokenize(const Json& body, const Served& served);
[[nodiscard]] ApiResult<std::vector<int32_t>> parse_detokenize(const Json& body,
                                                               const Served& served);

}  // namespace dovetail::serve
