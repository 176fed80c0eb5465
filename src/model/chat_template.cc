#include "model/chat_template.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/line_process.h"
#include "base/paths.h"
#include "model/bounded_json.h"
#include "model/gguf.h"
#include "model/pre_tokenizer.h"
#include "model/python_programs.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kMaxTemplateBytes = int64_t{1} << 20;
constexpr double kMaxStartSeconds = 60;  // Python and jinja2 from a cold disk on a busy machine
// The process ends itself this long after the time that it is given.
constexpr int64_t kAlarmSlackSeconds = 5;
constexpr int64_t kMaxBytesOfACharacter = 12;  // as JSON in ASCII: two escapes of six

constexpr std::array<const char*, 7> kSpecialTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

bool is_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

Result<ChatTemplateText> checked(ChatTemplateText found) {
  if (std::ssize(found.text) > kMaxTemplateBytes) {
    return invalid_argument(fmt::format("{}: {} bytes, want at most {}", found.origin,
                                        found.text.size(), kMaxTemplateBytes));
  }
  if (!is_utf8(found.text)) return invalid_argument(found.origin + ": not UTF-8");
  return found;
}

Result<std::optional<ChatTemplateText>> find_in_gguf(const std::string& path) {
  DOVETAIL_TRY(const GgufFile file, open_gguf(path));
  DOVETAIL_TRY(const auto text, file.find_text("tokenizer.chat_template"));
  if (!text.has_value()) return std::nullopt;
  ChatTemplateText found{.text = std::string(*text), .origin = path + ": tokenizer.chat_template"};
  const auto* tokens = file.find_texts("tokenizer.ggml.tokens");
  for (const std::string role : {"bos", "eos", "unknown", "seperator", "padding"}) {
    DOVETAIL_TRY(const auto id, file.find_integer("tokenizer.ggml." + role + "_token_id"));
    if (!id.has_value() || tokens == nullptr || *id < 0 || *id >= std::ssize(*tokens)) continue;
    const std::string_view token = (*tokens)[static_cast<size_t>(*id)];
    if (is_utf8(token)) found.special_tokens[role.substr(0, 3) + "_token"] = token;
  }
  DOVETAIL_TRY(ChatTemplateText good, checked(std::move(found)));
  return good;
}

// A token is a text, or an object that holds one; null is none.
std::map<std::string, std::string> special_tokens_of(const json& config) {
  std::map<std::string, std::string> tokens;
  for (const char* name : kSpecialTokens) {
    json token = config.value(name, json());
    if (token.is_object()) token = token.value("content", json());
    if (token.is_string()) tokens[name] = token.get<std::string>();
  }
  return tokens;
}

// One text, or a list of {"name", "template"}. Absent and null: nothing.
Result<std::optional<std::string>> template_in_config(const json& config, const std::string& path) {
  const json value = config.value("chat_template", json());
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  std::string names;
  for (const json& entry : value.is_array() ? value : json::array()) {
    if (!entry.is_object()) continue;
    DOVETAIL_TRY(const auto name, json_text(entry, "name", path + ": chat_template"));
    DOVETAIL_TRY(const auto text, json_text(entry, "template", path + ": chat_template"));
    if (!name.has_value() || !text.has_value()) continue;
    if (*name == "default") return *text;
    names += (names.empty() ? "" : ", ") + *name;
  }
  return invalid_argument(
      fmt::format("{}: chat_template holds {}, want a text or a list with the name default", path,
                  names.empty() ? "neither text nor list of names" : "only the names " + names));
}

Result<std::optional<ChatTemplateText>> find_in_folder(const fs::path& folder) {
  const std::string jinja_path = (folder / "chat_template.jinja").string();
  const std::string config_path = (folder / "tokenizer_config.json").string();
  std::error_code ignored;
  json config = json::object();
  if (fs::exists(config_path, ignored)) {
    DOVETAIL_TRY(config, read_bounded_json(config_path));
    if (!config.is_object()) return invalid_argument(config_path + ": want one JSON object");
  }
  ChatTemplateText found{.special_tokens = special_tokens_of(config)};
  if (fs::exists(jinja_path, ignored)) {
    DOVETAIL_TRY(found.text, read_text_file(jinja_path, kMaxTemplateBytes));
    found.origin = jinja_path;
  } else {
    DOVETAIL_TRY(auto text, template_in_config(config, config_path));
    if (!text.has_value()) return std::nullopt;
    found.text = std::move(*text);
    found.origin = config_path + ": chat_template";
  }
  DOVETAIL_TRY(ChatTemplateText good, checked(std::move(found)));
  return good;
}

// Debian's own Python is the one for which its python3-jinja2 is installed; another Python that
// comes first in PATH may lack it.
std::string python() {
  const std::string debian = "/usr/bin/python3";
  std::error_code ignored;
  return fs::exists(debian, ignored) ? debian : "python3";
}

bool is_date(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int read = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%n", &year, &month, &day, &read) != 3) return false;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  return read == 10 && text.size() == 10 && year >= 1000 && date.ok();
}

struct Answer {
  std::string text = {};
  std::string error = {};    // "" if the text counts
  bool of_template = false;  // the template (or Jinja) refused, as against a broken limit
};

Result<Answer> read_answer(const std::string& line) {
  const json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!value.is_object()) return unavailable(fmt::format("it answered {}", one_line(line)));
  DOVETAIL_TRY(const auto text, json_text(value, "text", "its answer"));
  if (text.has_value()) return Answer{.text = *text};
  DOVETAIL_TRY(const auto error, json_text(value, "error", "its answer"));
  DOVETAIL_TRY(const auto of_template, json_bool(value, "of_template", "its answer"));
  return Answer{.error = one_line(error.value_or("no reason given")),
                .of_template = of_template.value_or(false)};
}

}  // namespace

Result<std::optional<ChatTemplateText>> find_chat_template(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return find_in_folder(path);
  if (looks_like_gguf(path)) return find_in_gguf(path);
  return find_in_folder(fs::path(path).parent_path());
}

struct ChatTemplate::Impl {
  ChatTemplateText text;
  ChatTemplateParams params;
  ChatTemplateStats stats = {};
  std::optional<LineProcess> process = {};  // nothing behind a broken limit

  [[nodiscard]] Status start();
  [[nodiscard]] Result<Answer> ask(const json& question);
  [[nodiscard]] Result<Answer> render(const std::vector<ChatMessage>& conversation,
                                      bool add_generation_prompt);
};

Status ChatTemplate::Impl::start() {
  const std::string interpreter = python();
  // -I: neither the environment nor the working folder can put other modules in place.
  DOVETAIL_TRY(LineProcess made,
               LineProcess::start({interpreter, "-I", "-W", "ignore", "-c", kChatTemplateProcess}));
  const json setup = {
      {"date", params.date},
      {"memory_bytes", params.max_memory_bytes},
      {"max_characters", params.max_characters},
      {"alarm_s", static_cast<int64_t>(std::ceil(params.max_seconds)) + kAlarmSlackSeconds}};
  DOVETAIL_TRY(const std::string line,
               made.ask(setup.dump(), {.max_seconds = kMaxStartSeconds, .max_bytes = 1 << 16}));
  DOVETAIL_TRY(const Answer ready, read_answer(line));
  if (!ready.error.empty()) {
    return unavailable(
        fmt::format("chat templates need {} with jinja2 (Debian package python3-jinja2): {}",
                    interpreter, ready.error));
  }
  stats.engine = ready.text;
  process = std::move(made);
  DOVETAIL_TRY(const Answer compiled,
               ask({{"source", text.text}, {"special_tokens", text.special_tokens}}));
  if (compiled.error.empty()) return {};
  process.reset();
  return invalid_argument(fmt::format("{}: {}", text.origin, compiled.error));
}

Result<Answer> ChatTemplate::Impl::ask(const json& question) {
  const LineLimits limits{.max_seconds = params.max_seconds,
                          .max_bytes = kMaxBytesOfACharacter * params.max_characters + (1 << 16)};
  auto line = process->ask(question.dump(), limits);
  if (line.has_value()) return read_answer(*line);
  process.reset();
  return invalid_argument(
      fmt::format("{}: the template was stopped: {}", text.origin, line.error().message));
}

Result<Answer> ChatTemplate::Impl::render(const std::vector<ChatMessage>& conversation,
                                          bool add_generation_prompt) {
  json messages = json::array();
  for (const ChatMessage& message : conversation) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return ask({{"messages", messages}, {"add_generation_prompt", add_generation_prompt}});
}

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

const ChatTemplateStats& ChatTemplate::stats() const {
  return impl_->stats;
}

Result<ChatTemplate> ChatTemplate::create(const ChatTemplateText& text,
                                          const ChatTemplateParams& params) {
  if (!is_date(params.date)) {
    return invalid_argument(fmt::format("date = {}, want YYYY-MM-DD", params.date));
  }
  DOVETAIL_TRY(ChatTemplateText good, checked(text));
  auto impl = std::make_unique<Impl>(Impl{.text = std::move(good), .params = params});
  DOVETAIL_TRY_STATUS(impl->start());
  return ChatTemplate(std::move(impl));
}

Result<std::string> ChatTemplate::render(const std::vector<ChatMessage>& conversation,
                                         bool add_generation_prompt) {
  Impl& impl = *impl_;
  if (conversation.empty()) {
    return invalid_argument(impl.text.origin + ": an empty conversation, want a message");
  }
  for (const ChatMessage& message : conversation) {
    if (!is_utf8(message.role) || !is_utf8(message.content)) {
      return invalid_argument(fmt::format("{}: a message of {} is not UTF-8", impl.text.origin,
                                          one_line(message.role)));
    }
  }
  if (!impl.process.has_value()) DOVETAIL_TRY_STATUS(impl.start());
  ++impl.stats.renderings;
  DOVETAIL_TRY(Answer answer, impl.render(conversation, add_generation_prompt));
  if (answer.of_template) {
    std::vector<ChatMessage> rest = conversation;
    std::erase_if(rest, [](const ChatMessage& message) { return message.role == "system"; });
    if (!rest.empty() && rest.size() < conversation.size()) {
      DOVETAIL_TRY(answer, impl.render(rest, add_generation_prompt));
      if (answer.error.empty()) ++impl.stats.system_dropped;
    }
  }
  if (answer.error.empty()) return std::move(answer.text);
  return invalid_argument(fmt::format("{}: {}", impl.text.origin, answer.error));
}

}  // namespace dovetail::model
