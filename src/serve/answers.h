// Bodies of answers in OpenAI's form, from what the model said.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/completer.h"
#include "serve/requests.h"

namespace dovetail::serve {

// One prompt's answer, or a part of it.
struct Choice {
  int64_t index = 0;
  std::string text = {};
  std::vector<eval::ScoredToken> tokens = {};  // of the text; all that were made, stops as well
  std::string finish_reason = {};              // "stop", "length"; empty: it goes on
};

// What all parts of one answer share.
struct AnswerFrame {
  std::string id = {};  // "cmpl-7"
  int64_t created_s = 0;
  std::string model_id = {};
  bool is_chat = false;
  bool has_logprobs = false;
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
};

// A token as text that no other token has: bytes that are no UTF-8 as "bytes:\xe2\x80".
[[nodiscard]] std::string token_text(const model::Tokenizer& tokenizer, int32_t id);

// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}; offsets count characters from
// `first_offset`. `first`: a prompt's first token, which nothing predicts (null), or -1 for none.
[[nodiscard]] Json legacy_logprobs(const model::Tokenizer& tokenizer, int32_t first,
                                   const std::vector<eval::ScoredToken>& tokens,
                                   int64_t first_offset);
// {"content": [{"token", "logprob", "bytes", "top_logprobs"}]}
[[nodiscard]] Json chat_logprobs(const model::Tokenizer& tokenizer,
                                 const std::vector<eval::ScoredToken>& tokens);

// A whole answer. `echoes`: of each choice the prompt that stands before it, null if none does;
// their tokens' scores are in front of the choice's.
[[nodiscard]] Json whole_answer(const AnswerFrame& frame, const model::Tokenizer& tokenizer,
                                const std::vector<Choice>& choices,
                                const std::vector<const Prompt*>& echoes, const Usage& usage);
// One event of a stream; `offset`: characters of this choice's tokens before it.
[[nodiscard]] Json part_of_answer(const AnswerFrame& frame, const model::Tokenizer& tokenizer,
                                  const Choice& choice, const Prompt* echo, bool is_first,
                                  int64_t offset);
// The last event of a stream where it was asked for.
[[nodiscard]] Json usage_of_stream(const AnswerFrame& frame, const Usage& usage);

// Characters that the tokens begin: what text_offset counts.
[[nodiscard]] int64_t count_characters(const model::Tokenizer& tokenizer,
                                       const std::vector<eval::ScoredToken>& tokens);

}  // namespace dovetail::serve
