#include "app/chat_options.h"

#include <utility>

#include <fmt/format.h>

#include "model/zoo.h"

namespace dovetail::app {

void add_chat_options(CLI::App& command, ChatOptions& options) {
  command.add_flag("--apply-chat-template", options.apply_template,
                   "write prompts as the model's own chat template does");
  command.add_flag("--fewshot-as-multiturn,!--fewshot-as-one-turn", options.shots_as_turns,
                   "with a chat template: each example is a turn of its own (the default), or all "
                   "stand in one message");
  command.add_option("--system-instruction", options.system, "text before the description");
  command
      .add_option("--chat-date", options.date, "YYYY-MM-DD that templates see which print the date")
      ->capture_default_str();
}

Result<Chat> open_chat(const ChatOptions& options, const std::string& model_name) {
  Chat chat{.params = {.shots_as_turns = options.shots_as_turns, .system = options.system}};
  if (!options.apply_template) return chat;
  DOVETAIL_TRY(const std::string path, model::resolve_model(model_name));
  DOVETAIL_TRY(const auto text, model::find_chat_template(path));
  if (!text.has_value()) {
    return invalid_argument(
        fmt::format("{}: no chat template (tokenizer_config.json, chat_template.jinja or GGUF "
                    "tokenizer.chat_template), want one for --apply-chat-template",
                    model_name));
  }
  DOVETAIL_TRY(model::ChatTemplate made,
               model::ChatTemplate::create(*text, {.date = options.date}));
  chat.origin = text->origin;
  chat.chat_template = std::make_shared<model::ChatTemplate>(std::move(made));
  chat.params.render = [chat_template = chat.chat_template](
                           const std::vector<eval::Message>& conversation, bool begins) {
    return chat_template->render(conversation, begins);
  };
  return chat;
}

Json chat_to_json(const ChatOptions& options, const Chat& chat) {
  Json json = {{"apply_chat_template", chat.chat_template != nullptr},
               {"system_instruction", options.system}};
  if (chat.chat_template == nullptr) return json;
  const model::ChatTemplateStats& stats = chat.chat_template->stats();
  json["template"] = chat.origin;
  json["engine"] = stats.engine;
  json["date"] = options.date;
  json["fewshot_as_multiturn"] = options.shots_as_turns;
  json["num_renderings"] = stats.renderings;
  json["num_system_dropped"] = stats.system_dropped;
  return json;
}

}  // namespace dovetail::app
