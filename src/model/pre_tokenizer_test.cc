#include "model/pre_tokenizer.h"

#include <gtest/gtest.h>

namespace dovetail::model {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const std::string& name, const std::string& text) {
  const auto splitter = make_pre_tokenizer(name);
  EXPECT_TRUE(splitter.has_value()) << splitter.error().message;
  Pieces pieces;
  splitter->split(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

TEST(PreTokenizer, SplittersDifferWhereTheirModelsDo) {
  EXPECT_EQ(split("gpt-2", "I'm 1234  x"), (Pieces{"I", "'m", " 1234", " ", " x"}));
  EXPECT_EQ(split("llama-3", "I'M 1234  x"), (Pieces{"I", "'M", " ", "123", "4", " ", " x"}));
  EXPECT_EQ(split("qwen2", "I'M 12  x"), (Pieces{"I", "'M", " ", "1", "2", " ", " x"}));
  EXPECT_EQ(split("smollm", "I'm 12  x"), (Pieces{"I", "'m", " ", "1", "2", " ", " x"}));
  // White space before a digit is a piece of its own for the splitter that takes digits out first.
  EXPECT_EQ(split("smollm", "a  1"), (Pieces{"a", "  ", "1"}));
  EXPECT_EQ(split("gpt-2", "a  1"), (Pieces{"a", " ", " 1"}));
}

TEST(PreTokenizer, EmptyTextHasNoPieces) {
  EXPECT_TRUE(split("smollm", "").empty());
  EXPECT_TRUE(split("llama-3", "").empty());
}

TEST(PreTokenizerError, ListsTheKnownOnes) {
  EXPECT_EQ(make_pre_tokenizer("other").error().message,
            "pre-tokenizer other, want one of gpt-2, llama-3, qwen2, smollm");
}

// Oracle: the code point by arithmetic, then the definition of UTF-8.
bool is_valid_sequence(const std::string& s) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(s[i])); };
  uint32_t code = byte(0);
  uint32_t least = 0;
  if (s.size() == 1) return code < 0x80;
  if (s.size() == 2 && (code >> 5) == 6)
    code &= 31, least = 0x80;
  else if (s.size() == 3 && (code >> 4) == 14)
    code &= 15, least = 0x800;
  else if (s.size() == 4 && (code >> 3) == 30)
    code &= 7, least = 0x10000;
  else
    return false;
  for (size_t i = 1; i < s.size(); ++i) {
    if ((byte(i) >> 6) != 2) return false;
    code = (code << 6) | (byte(i) & 63);
  }
  return code >= least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

TEST(ValidUtf8Prefix, AgreesWithTheDefinitionOnSequencesOfUpToFourBytes) {
  // Bytes at and beside every boundary of the encoding.
  const std::string edges =
      "\x41\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5"
      "\xff";
  std::vector<std::string> sequences = {""};
  for (size_t begin = 0, length = 1; length <= 4; ++length) {
    const size_t end = sequences.size();
    for (; begin < end; ++begin) {
      for (const char c : edges) sequences.push_back(sequences[begin] + c);
    }
  }
  for (const std::string& sequence : sequences) {
    if (sequence.empty() || valid_utf8_prefix(sequence.substr(0, 1)) == 1) continue;
    // Shorter valid sequences inside are counted by their own cases.
    bool prefix_is_valid = false;
    for (size_t n = 1; n < sequence.size(); ++n)
      prefix_is_valid |= is_valid_sequence(sequence.substr(0, n));
    if (prefix_is_valid) continue;
    ASSERT_EQ(valid_utf8_prefix(sequence), is_valid_sequence(sequence) ? sequence.size() : 0U);
  }
  EXPECT_EQ(valid_utf8_prefix("ab\u00e9\xff"
                              "c"),
            4U);
  EXPECT_EQ(valid_utf8_prefix("ab\xc3"), 2U);
}

}  // namespace
}  // namespace dovetail::model
