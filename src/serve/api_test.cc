#include "serve/api.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

#include "base/json_text.h"
#include "eval/host_scorer.h"
#include "eval/token_requests.h"
#include "serve/tiny_served.h"

namespace dovetail::serve {
namespace {

Json parsed(const std::string& text) {
  return parse_json(text, "event").value();
}

TEST(Api, EchoedLogprobsAreTheScorersToTheLastBit) {
  const TinyServed tiny;
  const Reply reply = tiny.ask(
      "/v1/completions",
      R"({"prompt": ["the cab", [116, 104, 101]], "max_tokens": 1, "logprobs": 1, "echo": true})");
  ASSERT_EQ(reply.status, 200) << dump_json(reply.body);
  const auto scorer = eval::make_host_scorer(tiny_host_model()).value();
  for (const Json& choice : reply.body["choices"]) {
    const Json& logprobs = choice["logprobs"];
    std::vector<int32_t> ids = tiny.tokenizer.encode(choice["index"] == 0 ? "the cab" : "the");
    ASSERT_EQ(logprobs["tokens"].size(), ids.size() + 1);
    EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
    // As lm-eval reads them: the slice behind a context of two tokens, without the last one.
    double sum = 0;
    bool is_greedy = true;
    for (size_t i = 2; i + 1 < logprobs["tokens"].size(); ++i) {
      const double nats = logprobs["token_logprobs"][i];
      sum += nats;
      for (const auto& [_, other] : logprobs["top_logprobs"][i].items()) {
        is_greedy = is_greedy && nats >= other.get<double>();
      }
    }
    const auto cut = ids.begin() + 2;
    const auto expected =
        scorer->loglikelihoods({{{ids.begin(), cut}, {cut, ids.end()}}}, {}).value()[0];
    EXPECT_EQ(sum, expected.nats);
    EXPECT_EQ(is_greedy, expected.is_greedy);
  }
  EXPECT_EQ(reply.body["usage"]["prompt_tokens"], 9);
  EXPECT_EQ(reply.body["usage"]["completion_tokens"], 2);
}

TEST(Api, TextsAreTheScoredOnes) {
  const TinyServed tiny;
  const auto scorer = eval::make_host_scorer(tiny_host_model()).value();
  const std::vector<int32_t> prompt = tiny.tokenizer.encode("once");
  const auto made = scorer->generate({{prompt, 60, {}}}, {}).value()[0];
  const std::string text = eval::generated_text(tiny.tokenizer, made, {});
  const Reply whole =
      tiny.ask("/v1/completions", R"({"prompt": "once", "max_tokens": 60, "logprobs": 0})");
  ASSERT_EQ(whole.status, 200) << dump_json(whole.body);
  EXPECT_EQ(whole.body["choices"][0]["text"], text);
  EXPECT_EQ(whole.body["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(whole.body["choices"][0]["logprobs"]["tokens"].size(), 60U);
  // A stop string from the middle of it.
  const std::string stop = tiny.tokenizer.decode({made[30]});
  if (eval::generated_text(tiny.tokenizer, {made[30]}, {}) == stop && !stop.empty()) {
    const Json body = {{"prompt", "once"}, {"max_tokens", 60}, {"stop", stop}};
    const Reply stopped = tiny.ask("/v1/completions", dump_json(body));
    EXPECT_EQ(stopped.body["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(stopped.body["choices"][0]["text"], text.substr(0, text.find(stop)));
  }
}

TEST(Api, StreamsAreTheWholeAnswerInParts) {
  const TinyServed tiny;
  const std::string ask = R"("prompt": ["once", "xyz"], "max_tokens": 200, "logprobs": 2,
                             "echo": true, "temperature": 1, "seed": 7)";
  const Reply whole = tiny.ask("/v1/completions", "{" + ask + "}");
  // Who is slow to read gets several tokens at once, on a busy machine all of them: asked again
  // then.
  std::vector<std::string> events;
  for (int attempt = 0; attempt < 100 && events.size() <= 10; ++attempt) {
    events = tiny.stream("/v1/completions", "{" + ask + R"(, "stream": true,
        "stream_options": {"include_usage": true}})");
  }
  ASSERT_GT(events.size(), 10U);
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_EQ(parsed(events[events.size() - 2])["usage"], whole.body["usage"]);
  std::array<std::string, 2> texts, reasons;
  std::array<Json, 2> nats = {Json::array(), Json::array()};
  std::array<Json, 2> offsets = {Json::array(), Json::array()};
  for (size_t i = 0; i + 2 < events.size(); ++i) {
    const Json choice = parsed(events[i])["choices"][0];
    const size_t index = choice["index"];
    texts[index] += choice["text"];
    EXPECT_TRUE(reasons[index].empty());
    if (choice["finish_reason"].is_string()) reasons[index] = choice["finish_reason"];
    for (const Json& one : choice["logprobs"]["token_logprobs"]) nats[index].push_back(one);
    for (const Json& one : choice["logprobs"]["text_offset"]) offsets[index].push_back(one);
  }
  for (size_t i = 0; i < 2; ++i) {
    const Json& choice = whole.body["choices"][i];
    EXPECT_EQ(choice["text"], texts[i]);
    EXPECT_EQ(choice["finish_reason"], reasons[i]);
    EXPECT_EQ(choice["logprobs"]["token_logprobs"], nats[i]);
    EXPECT_EQ(choice["logprobs"]["text_offset"], offsets[i]);
  }
}

TEST(Api, SeedsRepeatAnAnswer) {
  const TinyServed tiny;
  const auto text = [&](int seed) {
    const Json body = {{"prompt", "a"}, {"max_tokens", 40}, {"temperature", 1.5}, {"seed", seed}};
    return tiny.ask("/v1/completions", dump_json(body)).body["choices"][0]["text"];
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(Api, ClientsThatAskTogetherGetWhatTheyWouldGetAlone) {
  const TinyServed tiny(64);
  std::vector<std::string> bodies, alone(12), together(12);
  for (int i = 0; i < 12; ++i) {
    bodies.push_back(dump_json({{"prompt", "the same beginning of all, then " + std::to_string(i)},
                                {"max_tokens", 5 + i},
                                {"logprobs", 3},
                                {"echo", i % 2 == 0}}));
  }
  const auto ask = [&](size_t i) {
    return dump_json(tiny.ask("/v1/completions", bodies[i]).body["choices"]);
  };
  std::vector<std::thread> clients;
  for (size_t i = 0; i < 12; ++i) clients.emplace_back([&, i] { together[i] = ask(i); });
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < 12; ++i) {
    const TinyServed other;
    EXPECT_EQ(together[i], dump_json(other.ask("/v1/completions", bodies[i]).body["choices"]));
  }
}

TEST(Api, ChatsGoThroughTheTemplate) {
  auto engine = model::ChatTemplate::create(
      {.text = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}"
               "{% endif %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
               "{% if add_generation_prompt %}[assistant]{% endif %}"});
  if (!engine.has_value()) GTEST_SKIP() << engine.error().message;
  const TinyServed tiny(8, tiny_byte_weights(),
                        std::make_unique<model::ChatTemplate>(*std::move(engine)));
  const std::string ask = R"("messages": [{"role": "user", "content": "hi"}], "max_tokens": 30,
                             "logprobs": true, "top_logprobs": 2)";
  const Reply chat = tiny.ask("/v1/chat/completions", "{" + ask + "}");
  ASSERT_EQ(chat.status, 200) << dump_json(chat.body);
  EXPECT_EQ(chat.body["object"], "chat.completion");
  const Json& choice = chat.body["choices"][0];
  // The same text as a plain prompt.
  const Reply plain =
      tiny.ask("/v1/completions",
               R"({"prompt": "[user] hi\n[assistant]", "max_tokens": 30, "logprobs": 2})");
  EXPECT_EQ(choice["message"]["content"], plain.body["choices"][0]["text"]);
  const Json& content = choice["logprobs"]["content"];
  ASSERT_EQ(content.size(), 30U);
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(content[i]["logprob"], plain.body["choices"][0]["logprobs"]["token_logprobs"][i]);
    EXPECT_EQ(content[i]["top_logprobs"].size(), 2U);
  }
  const auto events = tiny.stream("/v1/chat/completions", "{" + ask + R"(, "stream": true})");
  std::string streamed;
  for (size_t i = 0; i + 1 < events.size(); ++i) {
    const Json delta = parsed(events[i])["choices"][0]["delta"];
    EXPECT_EQ(delta.contains("role"), i == 0);
    if (delta.contains("content")) streamed += delta["content"];
  }
  EXPECT_EQ(choice["message"]["content"], streamed);
  EXPECT_EQ(
      tiny.ask("/v1/chat/completions", R"({"messages": [{"role": "system", "content": "only"}]})")
          .status,
      400);
}

TEST(Api, TellsOfModelAndTokenizer) {
  const TinyServed tiny;
  EXPECT_EQ(tiny.ask("/v1/models", "").body["data"][0]["id"], "tiny");
  EXPECT_EQ(tiny.ask("/health", "").body["status"], "ok");
  EXPECT_EQ(tiny.ask("/tokenizer_info", "").body["eos_token"], "<|endoftext|>");
  EXPECT_EQ(tiny.ask("/tokenize", R"({"prompt": "cab"})").body["tokens"],
            Json::array({99, kTinyAb}));
  EXPECT_EQ(tiny.ask("/detokenize", R"({"tokens": [99, 256]})").body["prompt"], "cab");
}

TEST(Api, RefusesInOpenAisForm) {
  const TinyServed tiny;
  const Reply bad = tiny.ask("/v1/completions", "{\"prompt\": ");
  EXPECT_EQ(bad.status, 400);
  EXPECT_TRUE(bad.body["error"]["message"].get<std::string>().starts_with("the body: "));
  EXPECT_EQ(tiny.ask("/v1/completions", std::string(100'000, '[')).status, 400);
  const Reply chat =
      tiny.ask("/v1/chat/completions", R"({"messages": [{"role": "user", "content": "a"}]})");
  EXPECT_EQ(chat.status, 400);
  EXPECT_EQ(chat.body["error"]["code"], "no_chat_template");
}

TEST(Api, LogitsThatAreNoNumbersAreAFailure) {
  model::Weights weights = tiny_byte_weights();
  weights.embedding.values[static_cast<size_t>('x' * weights.shape.hidden_size)] =
      std::numeric_limits<float>::quiet_NaN();
  const TinyServed tiny(8, std::move(weights));
  const Reply reply = tiny.ask("/v1/completions", R"({"prompt": "x", "max_tokens": 2})");
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(reply.body["error"]["message"], "the model's logits are not numbers");
  const auto events = tiny.stream("/v1/completions", R"({"prompt": "x", "stream": true})");
  ASSERT_EQ(events.size(), 1U);  // no [DONE]
  EXPECT_EQ(parsed(events[0])["error"]["type"], "server_error");
}

TEST(Api, OnlySoManyAskAtATime) {
  const TinyServed tiny(1);
  const auto batch =
      tiny.worker->submit({.prompts = {{.ids = {1}, .text = "x"}}, .max_new_tokens = 300});
  ASSERT_TRUE(batch.has_value());
  const Reply refused = tiny.ask("/v1/completions", R"({"prompt": "x"})");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.body["error"]["code"], "too_many_requests");
  EXPECT_EQ(tiny.ask("/health", "").body["requests_under_way"], 1);
}

TEST(Api, WhoHasGoneIsNotWorkedFor) {
  const TinyServed tiny(1);
  const Answer gone = tiny.api->answer("/v1/completions", R"({"prompt": "x", "max_tokens": 300})",
                                       [] { return true; });
  EXPECT_EQ(std::get<Reply>(gone).status, 499);
  EXPECT_EQ(tiny.worker->under_way(), 0);
  // A stream that nobody takes ends after its first event.
  int events = 0;
  {
    const Answer stream =
        tiny.api->answer("/v1/completions", R"({"prompt": "x", "max_tokens": 300, "stream": true})",
                         [] { return false; });
    std::get<EventStream>(stream)([&](const std::string&) { return ++events < 1; });
  }
  EXPECT_EQ(events, 1);
  EXPECT_EQ(tiny.worker->under_way(), 0);
}

TEST(Api, AServerThatStopsSaysSo) {
  const TinyServed tiny;
  const auto batch =
      tiny.worker->submit({.prompts = {{.ids = {1}, .text = "x"}}, .max_new_tokens = 300});
  tiny.worker->stop();
  Completion::News news;
  while (!news.is_end()) news = (*batch)->completions[0]->wait(std::chrono::milliseconds(50));
  ASSERT_TRUE(news.error.has_value());
  EXPECT_EQ(news.error->message, "the server is shutting down");
  EXPECT_EQ(tiny.ask("/v1/completions", R"({"prompt": "x"})").status, 503);
}

}  // namespace
}  // namespace dovetail::serve
