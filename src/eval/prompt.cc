#include "eval/prompt.h"

#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr std::string_view kAnswerDelimiter = " ";
constexpr std::string_view kShotDelimiter = "\n\n";

// A message and what follows it in plain text.
struct Turn {
  Message message;
  std::string_view delimiter = "";
};

bool needs_delimiter(std::string_view before, std::string_view behind) {
  return !before.empty() && !behind.empty() && !ends_with_space(before) &&
         !begins_with_space(behind);
}

std::string joined(const std::string& before, const std::string& behind,
                   std::string_view delimiter) {
  return before + std::string(needs_delimiter(before, behind) ? delimiter : "") + behind;
}

std::vector<Turn> turns_of(const PromptParts& parts, const std::string& system) {
  std::vector<Turn> turns;
  const std::string opening = joined(system, parts.description, kShotDelimiter);
  if (!opening.empty()) turns.push_back({{"system", opening}});
  for (const Shot& shot : parts.shots) {
    turns.push_back({{"user", shot.question}, kAnswerDelimiter});
    turns.push_back({{"assistant", shot.answer}, kShotDelimiter});
  }
  const bool apart = needs_delimiter(parts.question, parts.answer_prefix);
  turns.push_back({{"user", parts.question}, apart ? kAnswerDelimiter : ""});
  if (!parts.answer_prefix.empty()) turns.push_back({{"assistant", parts.answer_prefix}});
  return turns;
}

std::string plain_text(const std::vector<Turn>& turns) {
  std::string text;
  for (const Turn& turn : turns) text += turn.message.content + std::string(turn.delimiter);
  return text;
}

std::vector<Message> as_turns(const std::vector<Turn>& turns) {
  std::vector<Message> messages;
  for (const Turn& turn : turns) messages.push_back(turn.message);
  return messages;
}

// System message and beginning of the answer stay; all between becomes one message of the user.
std::vector<Message> as_one_message(std::vector<Turn> turns) {
  std::vector<Message> messages;
  if (turns.front().message.role == "system") {
    messages.push_back(turns.front().message);
    turns.erase(turns.begin());
  }
  std::vector<Message> ending;
  if (turns.back().message.role == "assistant") {
    ending.push_back(turns.back().message);
    turns.pop_back();
  }
  turns.back().delimiter = "";
  messages.push_back({"user", plain_text(turns)});
  messages.insert(messages.end(), ending.begin(), ending.end());
  return messages;
}

}  // namespace

Result<std::string> build_prompt(const PromptParts& parts, const ChatParams& chat) {
  const std::vector<Turn> turns = turns_of(parts, chat.system);
  if (!chat.render) return plain_text(turns);
  return chat.render(chat.shots_as_turns ? as_turns(turns) : as_one_message(turns),
                     parts.answer_prefix.empty());
}

std::string_view choice_delimiter(const ChatParams& chat) {
  return chat.render ? "" : kAnswerDelimiter;
}

}  // namespace dovetail::eval
