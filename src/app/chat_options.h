// The options of verbs that ask a model through its chat template.
#pragma once

#include <memory>
#include <string>

#include "app/command.h"
#include "eval/prompt.h"
#include "model/chat_template.h"

namespace dovetail::app {

struct ChatOptions {
  bool apply_template = false;
  bool shots_as_turns = true;
  std::string system;
  std::string date = model::ChatTemplateParams{}.date;
};

void add_chat_options(CLI::App& command, ChatOptions& options);

// How prompts are to be written; what a record says of it.
struct Chat {
  eval::ChatParams params = {};
  std::string origin = {};
  std::shared_ptr<model::ChatTemplate> chat_template = {};  // null: plain text
};

// Errors: those of the template; kInvalidArgument if the model has none and one is asked for.
[[nodiscard]] Result<Chat> open_chat(const ChatOptions& options, const std::string& model_name);

[[nodiscard]] Json chat_to_json(const ChatOptions& options, const Chat& chat);

}  // namespace dovetail::app
