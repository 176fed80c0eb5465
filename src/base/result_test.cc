#include "base/result.h"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return invalid_argument("value is odd");
  return value / 2;
}

Result<int> quarter(int value) {
  DOVETAIL_TRY(const int once, half(value));
  DOVETAIL_TRY(const int twice, half(once));
  return twice;
}

TEST(Result, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(quarter(12).value(), 3);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.error().message, "value is odd");
}

TEST(Result, ContextNamesTheFileFirst) {
  const Result<int> failed = with_context(half(3).error(), "chip.toml");
  EXPECT_EQ(failed.error().message, "chip.toml: value is odd");
}

TEST(Result, MessagesAreOneLineThatATerminalCanShow) {
  const Result<int> failed = invalid_argument(
      "key \x1b[31m\n\r\tvalue\x7f\xc2\x9b"
      "end");
  EXPECT_EQ(failed.error().message, "key [31m value end");
  // Characters of two to four bytes stay.
  EXPECT_EQ(one_line("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
}

TEST(Result, BytesThatAreNoUtf8AreReplaced) {
  EXPECT_EQ(one_line("a\xff"
                     "b"),
            "a?b");
  EXPECT_EQ(one_line("\xc0\xaf"), "??");            // overlong slash
  EXPECT_EQ(one_line("\xed\xa0\x80"), "???");       // surrogate
  EXPECT_EQ(one_line("\xf4\x90\x80\x80"), "????");  // beyond U+10FFFF
  EXPECT_EQ(one_line("cut \xe2\x82"), "cut ??");
}

TEST(Result, LongMessagesKeepBothEnds) {
  std::string text = "file: ";
  for (int i = 0; i < 5000; ++i) text += "\xc3\xa9";
  text += ", want 1";
  const std::string line = one_line(text);
  EXPECT_LT(line.size(), 2100U);
  EXPECT_TRUE(line.starts_with("file: \xc3\xa9"));
  EXPECT_TRUE(line.ends_with("\xc3\xa9, want 1"));
  EXPECT_EQ(one_line(line), line);  // cut between characters
}

}  // namespace
}  // namespace dovetail
