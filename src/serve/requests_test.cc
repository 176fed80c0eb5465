#include "serve/requests.h"

#include <gtest/gtest.h>

#include "base/json_text.h"
#include "serve/tiny_served.h"

namespace dovetail::serve {
namespace {

class Requests : public ::testing::Test {
 protected:
  ApiResult<Ask> completion(const std::string& text) const {
    return parse_completion(parse_json(text, "test").value(), served);
  }
  ApiResult<ChatAsk> chat(const std::string& text) const {
    return parse_chat(parse_json(text, "test").value(), served);
  }
  ApiError refusal(const std::string& text) const { return completion(text).error(); }

  const model::Tokenizer tokenizer = tiny_tokenizer();
  const Served served{.model_id = "tiny",
                      .tokenizer = &tokenizer,
                      .vocab_size = kTinyVocab,
                      .max_length = 64,
                      .max_prompt_tokens = 40,
                      .max_new_tokens = 32,
                      .max_prompts = 3};
};

TEST_F(Requests, PromptsComeInFourForms) {
  const auto text = completion(R"({"prompt": "cab"})");
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->prompts[0].ids, (std::vector<int32_t>{'c', kTinyAb}));
  EXPECT_EQ(text->max_new_tokens, 16);
  EXPECT_FALSE(text->has_logprobs);
  const auto texts = completion(R"({"prompt": ["a", "b"]})");
  ASSERT_EQ(texts->prompts.size(), 2U);
  EXPECT_EQ(texts->prompts[1].text, "b");
  const auto ids = completion(R"({"prompt": [99, 256]})");
  ASSERT_EQ(ids->prompts.size(), 1U);
  EXPECT_EQ(ids->prompts[0].text, "cab");
  const auto lists = completion(R"({"prompt": [[99], [256, 97]]})");
  ASSERT_EQ(lists->prompts.size(), 2U);
  EXPECT_EQ(lists->prompts[1].text, "aba");
}

TEST_F(Requests, WhatLmEvalSendsIsTaken) {
  const auto scored = completion(
      R"({"model": "tiny", "prompt": [[97, 98], [99, 100]], "temperature": 0, "max_tokens": 1,
          "logprobs": 1, "seed": 1234, "echo": true})");
  ASSERT_TRUE(scored.has_value()) << scored.error().message;
  EXPECT_TRUE(scored->echo && scored->has_logprobs);
  EXPECT_EQ(scored->num_top, 1);
  const auto generated = completion(
      R"({"prompt": [[97]], "model": "tiny", "max_tokens": 9, "temperature": 0,
          "stop": ["\n\n", "<|endoftext|>"], "seed": 1234})");
  ASSERT_TRUE(generated.has_value()) << generated.error().message;
  EXPECT_EQ(generated->stops, (std::vector<std::string>{"\n\n", "<|endoftext|>"}));
}

TEST_F(Requests, NonsenseIsRefusedByName) {
  const auto message = [&](const std::string& text) { return refusal(text).message; };
  EXPECT_EQ(message("{}"), "prompt is missing, want a text, token ids, or a list of either");
  EXPECT_EQ(message(R"({"prompt": 3})"), "prompt = 3, want a text or a list of token ids");
  EXPECT_EQ(message(R"({"prompt": ""})"), "prompt holds a prompt without tokens");
  EXPECT_EQ(message(R"({"prompt": []})"), "prompt holds a prompt without tokens");
  EXPECT_EQ(message(R"({"prompt": [[]]})"), "prompt holds a prompt without tokens");
  EXPECT_EQ(message(R"({"prompt": [260]})"), "prompt holds 260, want token ids in 0..259");
  EXPECT_EQ(message(R"({"prompt": [[1], [-1]]})"), "prompt[1] holds -1, want token ids in 0..259");
  EXPECT_EQ(message(R"({"prompt": [1, 1.5]})"), "prompt holds 1.5, want token ids in 0..259");
  EXPECT_EQ(message(R"({"prompt": [1, "a"]})"), "prompt holds \"a\", want token ids in 0..259");
  EXPECT_EQ(message(R"({"prompt": [18446744073709551615]})"),
            "prompt holds 18446744073709551615, want token ids in 0..259");
  EXPECT_EQ(message(R"({"prompt": ["a", 1]})"),
            "prompt[1] = 1, want a text or a list of token ids");
  EXPECT_EQ(message(R"({"prompt": ["a", "b", "c", "d"]})"), "prompt = 4 prompts, want at most 3");
  EXPECT_EQ(message(R"({"prompt": "a", "max_tokens": 33})"),
            "max_tokens = 33, want a whole number in 0..32");
  EXPECT_EQ(message(R"({"prompt": "a", "logprobs": 6})"),
            "logprobs = 6, want a whole number in 0..5");
  EXPECT_EQ(message(R"({"prompt": "a", "logprobs": true})"),
            "logprobs = true, want a whole number in 0..5");
  EXPECT_EQ(message(R"({"prompt": "a", "temperature": -1})"),
            "temperature = -1, want a number in 0..2");
  EXPECT_EQ(message(R"({"prompt": "a", "n": 2})"), "n = 2 is not offered, want 1");
  EXPECT_EQ(message(R"({"prompt": "a", "stop": [""]})"),
            "stop = \"\", want a text of 1..256 bytes or a list of such");
  EXPECT_EQ(message(R"({"prompt": "a", "stop": 3})"),
            "stop = 3, want a text of 1..256 bytes or a list of such");
  EXPECT_EQ(message(R"({"prompt": "a", "top_k": 5})"),
            "top_k = 5 is not known, did you mean top_p?");
  EXPECT_EQ(message(R"({"prompt": "a", "stream_options": {"x": 1}})"),
            "stream_options: stream_options.x = 1 is not known");
}

TEST_F(Requests, LengthsAreHeldAgainstTheModel) {
  const std::string letters(40, 'x');
  EXPECT_TRUE(completion(R"({"prompt": ")" + letters + R"(", "max_tokens": 24})").has_value());
  const ApiError together = refusal(R"({"prompt": ")" + letters + R"(", "max_tokens": 25})");
  EXPECT_EQ(together.message,
            "prompt of 40 tokens and max_tokens = 25 are 65 together, want at most 64");
  EXPECT_EQ(together.code, "context_length_exceeded");
  EXPECT_EQ(refusal(R"({"prompt": ")" + letters + R"(x", "max_tokens": 1})").message,
            "prompt has 41 tokens, want at most 40");
}

TEST_F(Requests, AnotherModelIsNotAnsweredFor) {
  const ApiError error = refusal(R"({"prompt": "a", "model": "gpt"})");
  EXPECT_EQ(error.status, 404);
  EXPECT_EQ(error.code, "model_not_found");
  EXPECT_EQ(error.message, "model = \"gpt\" is not served here, want \"tiny\"");
}

TEST_F(Requests, ChatsAreRead) {
  const auto ask = chat(
      R"({"messages": [{"role": "system", "content": "s"},
                       {"role": "user", "content": [{"type": "text", "text": "a"},
                                                    {"type": "text", "text": "b"}]}],
          "logprobs": true, "top_logprobs": 20, "max_completion_tokens": 5, "stop": "x",
          "response_format": {"type": "text"}})");
  ASSERT_TRUE(ask.has_value()) << ask.error().message;
  EXPECT_EQ(ask->messages[1].content, "ab");
  EXPECT_EQ(ask->ask.num_top, 20);
  const auto whole = with_chat_prompt(*ask, "ab", served);
  EXPECT_EQ(whole->max_new_tokens, 5);
  EXPECT_EQ(whole->prompts[0].ids, std::vector<int32_t>{kTinyAb});
  // Without a number: as many as are allowed and fit.
  const auto open = chat(R"({"messages": [{"role": "user", "content": "a"}]})");
  EXPECT_EQ(with_chat_prompt(*open, std::string(38, 'x'), served)->max_new_tokens, 26);
  EXPECT_EQ(with_chat_prompt(*open, "x", served)->max_new_tokens, 32);
  EXPECT_EQ(with_chat_prompt(*open, std::string(41, 'x'), served).error().message,
            "messages has 41 tokens, want at most 40");
}

TEST_F(Requests, ChatNonsenseIsRefusedByName) {
  const auto message = [&](const std::string& text) { return chat(text).error().message; };
  EXPECT_EQ(message("{}"), "messages = nothing, want a list of 1..1024 messages");
  EXPECT_EQ(message(R"({"messages": []})"),
            "messages = an array of 0, want a list of 1..1024 messages");
  EXPECT_EQ(message(R"({"messages": ["hi"]})"), "messages[0] = \"hi\", want a JSON object");
  EXPECT_EQ(message(R"({"messages": [{"role": "tool", "content": "a"}]})"),
            "messages[0].role = \"tool\", want system, user or assistant");
  EXPECT_EQ(message(R"({"messages": [{"role": "user"}]})"),
            "messages[0].content is missing, want a text");
  EXPECT_EQ(message(R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})"),
            "messages[0].content[0].type = \"image_url\" is not offered, want \"text\"");
  EXPECT_EQ(message(R"({"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2})"),
            "top_logprobs needs logprobs = true");
  EXPECT_EQ(message(R"({"messages": [{"role": "user", "content": "a"}], "tools": []})"),
            "tools = an array of 0 is not known");
}

TEST_F(Requests, TokensAreReadAndWritten) {
  const auto parse = [](const std::string& text) { return parse_json(text, "test").value(); };
  EXPECT_EQ(parse_tokenize(parse(R"({"prompt": "ab", "add_special_tokens": false})"), served),
            "ab");
  EXPECT_EQ(
      parse_tokenize(parse(R"({"prompt": "a", "add_special_tokens": true})"), served)
          .error()
          .message,
      "add_special_tokens = true is not offered, want false: prompts are taken as they stand");
  EXPECT_EQ(parse_detokenize(parse(R"({"tokens": [97, 256]})"), served),
            (std::vector<int32_t>{97, 256}));
  EXPECT_EQ(parse_detokenize(parse(R"({"tokens": "a"})"), served).error().message,
            "tokens = \"a\", want a list of token ids");
}

}  // namespace
}  // namespace dovetail::serve
