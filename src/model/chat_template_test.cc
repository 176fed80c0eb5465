#include "model/chat_template.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "base/hash.h"
#include "base/paths.h"
#include "model/bounded_json.h"
#include "model/test_data.h"
#include "model/test_files.h"

namespace dovetail::model {
namespace {

using nlohmann::json;

std::vector<ChatMessage> messages_of(const json& list) {
  std::vector<ChatMessage> messages;
  for (const json& entry : list) messages.push_back({entry["role"], entry["content"]});
  return messages;
}

const json& golden() {
  static const json file = read_bounded_json("tests/golden/chat_templates.json").value();
  return file;
}

// Every conversation as transformers and lm-eval render it; null where they refuse it.
void check_golden(const std::string& name, const ChatTemplateText& text) {
  const json& wanted = golden()["templates"][name];
  ASSERT_EQ(sha256_hex(text.text), wanted["sha256"]);
  ASSERT_EQ(json(text.special_tokens), wanted["special_tokens"]);
  auto chat = ChatTemplate::create(text, {.date = golden()["date"]});
  ASSERT_TRUE(chat.has_value()) << chat.error().message;
  const json& conversations = golden()["conversations"];
  for (size_t i = 0; i < conversations.size(); ++i) {
    const auto made = chat->render(messages_of(conversations[i]["messages"]),
                                   conversations[i]["add_generation_prompt"]);
    if (wanted["texts"][i].is_null()) {
      EXPECT_FALSE(made.has_value()) << name << " " << i;
    } else {
      ASSERT_TRUE(made.has_value()) << name << " " << i << ": " << made.error().message;
      EXPECT_EQ(*made, wanted["texts"][i].get<std::string>()) << name << " " << i;
    }
  }
}

void check_found(const std::string& name, const std::string& path) {
  const auto text = find_chat_template(path);
  ASSERT_TRUE(text.has_value() && text->has_value());
  check_golden(name, **text);
}

TEST(ChatTemplateGolden, OwnTemplates) {
  int64_t own = 0;
  for (const auto& [name, wanted] : golden()["templates"].items()) {
    if (!wanted.contains("source")) continue;
    ++own;
    check_golden(
        name,
        {.text = wanted["source"], .special_tokens = wanted["special_tokens"], .origin = name});
  }
  EXPECT_EQ(own, 4);
}

TEST(ChatTemplateGolden, TokenizerConfigs) {
  for (const std::string name : {"qwen2.5", "qwen3", "llama3"}) {
    DOVETAIL_SKIP_WITHOUT(test_data("tokenizers/" + name));
    check_found(name, test_data("tokenizers/" + name));
  }
}

TEST(ChatTemplateGolden, GgufFiles) {
  for (const std::string name : {"smollm2-135m", "qwen2.5-coder-0.5b"}) {
    DOVETAIL_SKIP_WITHOUT(zoo_file(name));
    check_found(name, zoo_file(name));
  }
}

const std::vector<ChatMessage> kQuestion = {{"user", "hi"}};

Result<ChatTemplate> chat_of(const std::string& text, const ChatTemplateParams& params = {}) {
  return ChatTemplate::create({.text = text, .origin = "t"}, params);
}

std::string error_of(const std::string& text, const ChatTemplateParams& params = {}) {
  auto chat = chat_of(text, params);
  if (!chat.has_value()) return chat.error().message;
  const auto made = chat->render(kQuestion, true);
  return made.has_value() ? "rendered " + *made : made.error().message;
}

TEST(ChatTemplate, OneProcessServesManyRenderings) {
  auto chat = chat_of("{{ messages[0].content }}").value();
  for (int i = 0; i < 3000; ++i) {
    ASSERT_EQ(chat.render({{"user", std::to_string(i)}}, true).value(), std::to_string(i));
  }
  EXPECT_EQ(chat.stats().renderings, 3000);
  EXPECT_TRUE(chat.stats().engine.starts_with("jinja2 3."));
}

TEST(ChatTemplate, CountsDroppedSystemMessages) {
  auto chat = chat_of(
                  "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}"
                  "{{ messages[0].content }}")
                  .value();
  EXPECT_EQ(chat.render({{"system", "s"}, {"user", "u"}}, true).value(), "u");
  EXPECT_EQ(chat.stats().system_dropped, 1);
}

TEST(ChatTemplate, TheClockStandsWhereItIsPut) {
  auto chat = chat_of("{{ strftime_now('%d %b %Y %H:%M') }}", {.date = "2031-02-03"}).value();
  EXPECT_EQ(chat.render(kQuestion, true).value(), "03 Feb 2031 00:00");
}

TEST(ChatTemplateHostile, EndsInAnError) {
  const ChatTemplateParams tight{.max_seconds = 1, .max_characters = 1 << 16};
  const std::string loops =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(error_of(loops, tight).find("no answer within 1 s"), std::string::npos);
  EXPECT_NE(error_of("{{ 9 ** (9 ** (9 ** 9)) }}", tight).find("no answer within"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
  EXPECT_NE(error_of("{{ 'x' * 10 ** 10 }}").find("MemoryError"), std::string::npos);
  EXPECT_NE(error_of("{% for a in range(9999) %}{{ 'x' * 99 }}{% endfor %}", tight)
                .find("writes more than 65536 characters"),
            std::string::npos);
  EXPECT_NE(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").find("RecursionError"),
            std::string::npos);
  for (const std::string escape :
       {"{{ ''.__class__.__mro__ }}", "{{ ''['__class__'].x }}",
        "{{ messages.append.__self__.__class__ .__base__ }}", "{{ dict.__class__.__base__ }}",
        "{{ raise_exception.__globals__['sys'] }}", "{{ messages.append(1) }}",
        "{{ namespace(__class__=1) }}", "{{ (''|attr('format')).__self__.__class__ }}",
        "{{ cycler.__init__.__globals__.os }}", "{% include '/etc/passwd' %}"}) {
    // Jinja gives what may not be reached as undefined: an error where it is used, or no text.
    const std::string error = error_of(escape);
    EXPECT_TRUE(error.starts_with("t: ") || error == "rendered ") << escape << ": " << error;
  }
}

TEST(ChatTemplateHostile, TheNextRenderingIsServed) {
  auto chat = chat_of(
                  "{% if messages[0].content == 'loop' %}{% for a in range(99999) %}"
                  "{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}ok",
                  {.max_seconds = 1})
                  .value();
  EXPECT_FALSE(chat.render({{"user", "loop"}}, true).has_value());
  EXPECT_EQ(chat.render(kQuestion, true).value(), "ok");
}

TEST(ChatTemplateError, SaysWhatWasWanted) {
  EXPECT_NE(error_of("{% if %}").find("t: TemplateSyntaxError"), std::string::npos);
  EXPECT_EQ(error_of("x", {.date = "2024-02-30"}), "date = 2024-02-30, want YYYY-MM-DD");
  EXPECT_EQ(error_of("a\xff"), "t: not UTF-8");
  auto chat = chat_of("x").value();
  EXPECT_FALSE(chat.render({}, true).has_value());
  EXPECT_EQ(chat.render({{"user", "\xff"}}, true).error().message,
            "t: a message of user is not UTF-8");
  EXPECT_FALSE(chat.render({{"assistant", "a"}}, false).has_value());
}

TEST(FindChatTemplate, ReadsEveryPlace) {
  const std::string folder = test_folder().string() + "/model";
  std::filesystem::create_directories(folder);
  const auto config = [&](const std::string& text) {
    std::ofstream(folder + "/tokenizer_config.json") << text;
    return find_chat_template(folder);
  };
  EXPECT_FALSE(config("{}")->has_value());
  EXPECT_EQ(config(R"({"chat_template": "a", "bos_token": {"content": "<s>"}})")
                .value()
                ->special_tokens.at("bos_token"),
            "<s>");
  EXPECT_EQ(config(R"({"chat_template": [{"name": "rag", "template": "r"},
                       {"name": "default", "template": "d"}]})")
                .value()
                ->text,
            "d");
  EXPECT_NE(config(R"({"chat_template": [{"name": "rag", "template": "r"}]})")
                .error()
                .message.find("only the names rag"),
            std::string::npos);
  EXPECT_FALSE(config(R"({"chat_template": 7})").has_value());
  std::ofstream(folder + "/chat_template.jinja") << "j";
  EXPECT_EQ(config("{}").value()->text, "j");
  GgufParts parts;
  parts.text("general.architecture", "llama");
  EXPECT_FALSE(find_chat_template(write_temporary("none.gguf", parts.bytes())).value().has_value());
  parts.text("tokenizer.chat_template", "g");
  EXPECT_EQ(find_chat_template(write_temporary("some.gguf", parts.bytes())).value()->text, "g");
}

}  // namespace
}  // namespace dovetail::model
