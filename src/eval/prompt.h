// How a question becomes a prompt: description, examples, question, joined as lm-eval 0.4.13 joins
// them, as plain text or as a conversation that a chat template renders.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/chat_template.h"

namespace dovetail::eval {

using Message = model::ChatMessage;

// What a model's chat template makes of a conversation. add_generation_prompt: the answer is to
// begin; false: the last message is the beginning of the answer and is left open.
using ChatRenderer = std::function<Result<std::string>(const std::vector<Message>& conversation,
                                                       bool add_generation_prompt)>;

struct ChatParams {
  ChatRenderer render = {};    // empty: plain text
  bool shots_as_turns = true;  // false: examples and question are one message of the user
  std::string system = {};     // before the description; also in plain text
};

struct Shot {
  std::string question;
  std::string answer;
};

struct PromptParts {
  std::string description = {};
  std::vector<Shot> shots = {};
  std::string question = {};
  std::string answer_prefix = {};  // the beginning of the answer, "" for none
};

// Errors: those of the renderer.
[[nodiscard]] Result<std::string> build_prompt(const PromptParts& parts, const ChatParams& chat);

// What stands between a prompt and the choices of a question: a space in plain text, nothing where
// a chat template wrote the prompt.
[[nodiscard]] std::string_view choice_delimiter(const ChatParams& chat);

}  // namespace dovetail::eval
