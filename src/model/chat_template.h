// Chat templates: what a model's own Jinja template makes of a conversation.
//
// The engine is Jinja itself (Python's jinja2, in a process of its own), with the environment that
// transformers gives to chat templates, so that prompts are equal byte by byte. A template comes
// with a model and may be hostile: it runs in Jinja's sandbox, without files, with a bound on
// memory, text and time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

struct ChatTemplateText {
  std::string text = {};  // Jinja source
  std::map<std::string, std::string> special_tokens =
      {};                   // "bos_token" -> "<s>"; what templates name
  std::string origin = {};  // file and key, for messages and records
};

// The template of a GGUF file (tokenizer.chat_template), of a model folder or of the folder that a
// tokenizer.json lies in: chat_template.jinja, else chat_template in tokenizer_config.json (one
// text, or a list of named ones, of which "default" counts). Nothing if the model has none.
// Errors: kInvalidArgument naming file and key (no text, not UTF-8, too long, no "default").
[[nodiscard]] Result<std::optional<ChatTemplateText>> find_chat_template(const std::string& path);

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatTemplateParams {
  // Templates that print the date get this one, midnight: a prompt must not change overnight. The
  // default is the date that Llama 3.1's template itself falls back to.
  std::string date = "2024-07-26";  // YYYY-MM-DD
  double max_seconds = 10;          // a rendering
  int64_t max_memory_bytes = int64_t{512} << 20;
  int64_t max_characters = int64_t{4} << 20;  // of a rendered text
};

struct ChatTemplateStats {
  std::string engine = {};  // "jinja2 3.1.2"
  int64_t renderings = 0;
  int64_t system_dropped = 0;  // renderings in which the template took no system message
};

// For one thread at a time.
class ChatTemplate {
 public:
  // Starts the engine and compiles the template. Errors: kUnavailable (no Python, no jinja2, one
  // with a known leak in its sandbox), kInvalidArgument (a template that does not compile, a date
  // that is none).
  [[nodiscard]] static Result<ChatTemplate> create(const ChatTemplateText& text,
                                                   const ChatTemplateParams& params = {});

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // add_generation_prompt: the answer is to begin; false: the last message is the beginning of the
  // answer and is left open. As in lm-eval, a template that refuses the conversation gets it again
  // without its system messages.
  // Errors: kInvalidArgument with the template's own words, or the limit that it broke. After a
  // broken limit the engine is started afresh for the next rendering.
  [[nodiscard]] Result<std::string> render(const std::vector<ChatMessage>& conversation,
                                           bool add_generation_prompt);

  [[nodiscard]] const ChatTemplateStats& stats() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::model
