#include "serve/text_stream.h"

#include <gtest/gtest.h>

#include "eval/token_requests.h"
#include "serve/tiny_served.h"

namespace dovetail::serve {
namespace {

// What is given out after each id, "|" between, and whether it was over after the last one.
std::pair<std::string, bool> streamed(const std::vector<int32_t>& ids,
                                      const std::vector<std::string>& stops) {
  const model::Tokenizer tokenizer = tiny_tokenizer();
  TextStream stream(tokenizer, stops);
  std::string parts;
  bool is_over = false;
  for (size_t i = 0; i < ids.size() && !is_over; ++i) {
    is_over = stream.push(ids[i]);
    parts += stream.take(is_over || i + 1 == ids.size()) + "|";
  }
  return {parts, is_over};
}

std::vector<int32_t> bytes(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

using Parts = std::pair<std::string, bool>;

TEST(TextStream, GivesTextAsItComes) {
  EXPECT_EQ(streamed(bytes("cat"), {}), Parts("c|a|t|", false));
  EXPECT_EQ(streamed({'x', kTinyAb, 259, 'y'}, {}), Parts("x|ab||y|", false));
}

TEST(TextStream, HoldsBackWhatMayBeginAStop) {
  EXPECT_EQ(streamed(bytes("a\n\nb"), {"\n\n"}), Parts("a|||", true));
  EXPECT_EQ(streamed(bytes("a\nb"), {"\n\n"}), Parts("a||\nb|", false));
  EXPECT_EQ(streamed(bytes("xEENDy"), {"END"}), Parts("x||E|||", true));
  // At the end of the tokens it was no stop.
  EXPECT_EQ(streamed(bytes("aEN"), {"END"}), Parts("a||EN|", false));
  // One token brings the end of a stop and more.
  EXPECT_EQ(streamed({'q', kTinyAb, 'c'}, {"qa"}), Parts("||", true));
}

TEST(TextStream, TheEndOfTheTextIsNoText) {
  EXPECT_EQ(streamed({'a', kTinyEnd, 'b'}, {}), Parts("a||", true));
  EXPECT_EQ(streamed({kTinyEnd}, {"<|endoftext|>"}), Parts("|", true));
}

TEST(TextStream, CharactersComeWhole) {
  EXPECT_EQ(streamed(bytes("\xE2\x82\xAC"), {}), Parts("||\xE2\x82\xAC|", false));
  // Never made whole: one U+FFFD, as in the scored text.
  EXPECT_EQ(streamed(bytes("\xE2\x82z"), {}), Parts("||\xEF\xBF\xBDz|", false));
  EXPECT_EQ(streamed(bytes("a\xF0\x9F"), {}), Parts("a||\xEF\xBF\xBD|", false));
  EXPECT_EQ(unfinished_bytes("a\xF0\x9F\x98"), 3U);
  EXPECT_EQ(unfinished_bytes("a\xC3\xA9"), 0U);
  EXPECT_EQ(unfinished_bytes("\x80\x80\x80\x80"), 0U);
}

TEST(TextStream, PartsAreTheScoredText) {
  const model::Tokenizer tokenizer = tiny_tokenizer();
  Random random(5);
  const std::vector<std::vector<std::string>> stop_lists = {{},
                                                            {"ab"},
                                                            {"aba", "bb"},
                                                            {"\xC3\xA9"
                                                             "a",
                                                             "b\xC3"},
                                                            {"cd", "bc", "a"}};
  for (int round = 0; round < 4000; ++round) {
    const auto& stops = stop_lists[static_cast<size_t>(round) % stop_lists.size()];
    TextStream stream(tokenizer, stops);
    std::vector<int32_t> ids;
    std::string text;
    bool is_over = false;
    for (int64_t left = 1 + random.below(12); left > 0 && !is_over; --left) {
      const std::vector<int32_t> alphabet = {'a', 'b', 'c', 'd', kTinyAb, 0xC3, 0xA9, 0xE2, 258};
      ids.push_back(alphabet[static_cast<size_t>(random.below(std::ssize(alphabet)))]);
      is_over = stream.push(ids.back());
      text += stream.take(is_over || left == 1);
    }
    ASSERT_EQ(text, eval::generated_text(tokenizer, ids, stops)) << round;
  }
}

}  // namespace
}  // namespace dovetail::serve
