#include "serve/answers.h"

#include <gtest/gtest.h>

#include "serve/tiny_served.h"

namespace dovetail::serve {
namespace {

TEST(Answers, TokensHaveTextsOfTheirOwn) {
  const model::Tokenizer tokenizer = tiny_tokenizer();
  EXPECT_EQ(token_text(tokenizer, kTinyAb), "ab");
  EXPECT_EQ(token_text(tokenizer, 0xE2), "bytes:\\xe2");
  EXPECT_EQ(token_text(tokenizer, kTinyEnd), "<|endoftext|>");
  EXPECT_EQ(token_text(tokenizer, 259), "token:259");  // the model's alone
}

TEST(Answers, LegacyLogprobsBeginWithWhatNothingPredicts) {
  const model::Tokenizer tokenizer = tiny_tokenizer();
  const std::vector<eval::ScoredToken> tokens = {
      {.id = kTinyAb, .nats = -0.5, .top = {{'x', -0.25}}},
      {.id = 0xC3, .nats = -1, .top = {{0xC3, -1}}},
      {.id = 0xA9, .nats = -2},
      {.id = 'z', .nats = -3, .top = {{'z', -3}}}};
  EXPECT_EQ(dump_json(legacy_logprobs(tokenizer, 'c', tokens, 0)),
            R"({"tokens":["c","ab","bytes:\\xc3","bytes:\\xa9","z"],)"
            R"("token_logprobs":[null,-0.5,-1.0,-2.0,-3.0],)"
            R"("top_logprobs":[null,{"x":-0.25,"ab":-0.5},{"bytes:\\xc3":-1.0},null,{"z":-3.0}],)"
            R"("text_offset":[0,1,3,4,4]})");
  EXPECT_EQ(count_characters(tokenizer, tokens), 4);
}

TEST(Answers, ChatLogprobsNameBytes) {
  const model::Tokenizer tokenizer = tiny_tokenizer();
  EXPECT_EQ(
      dump_json(chat_logprobs(tokenizer, {{.id = kTinyAb, .nats = -0.5, .top = {{'x', -0.25}}}})),
      R"({"content":[{"token":"ab","logprob":-0.5,"bytes":[97,98],)"
      R"("top_logprobs":[{"token":"x","logprob":-0.25,"bytes":[120]}]}]})");
}

TEST(Answers, WholeOnesHaveTheFormOfOpenAis) {
  const model::Tokenizer tokenizer = tiny_tokenizer();
  AnswerFrame frame{.id = "cmpl-1", .created_s = 5, .model_id = "tiny"};
  const Choice choice{.index = 0, .text = "hi", .tokens = {}, .finish_reason = "stop"};
  const Prompt prompt{.ids = {'q'}, .text = "q"};
  EXPECT_EQ(dump_json(whole_answer(frame, tokenizer, {choice}, {&prompt}, {1, 2})),
            R"({"id":"cmpl-1","object":"text_completion","created":5,"model":"tiny","choices":[)"
            R"({"index":0,"text":"qhi","logprobs":null,"finish_reason":"stop"}],)"
            R"("usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})");
  frame.is_chat = true;
  EXPECT_EQ(dump_json(whole_answer(frame, tokenizer, {choice}, {nullptr}, {1, 2})["choices"]),
            R"([{"index":0,"message":{"role":"assistant","content":"hi"},"logprobs":null,)"
            R"("finish_reason":"stop"}])");
  const Json first = part_of_answer(frame, tokenizer, choice, nullptr, true, 0);
  EXPECT_EQ(first["object"], "chat.completion.chunk");
  EXPECT_EQ(dump_json(first["choices"]),
            R"([{"index":0,"delta":{"role":"assistant","content":"hi"},"logprobs":null,)"
            R"("finish_reason":"stop"}])");
}

}  // namespace
}  // namespace dovetail::serve
