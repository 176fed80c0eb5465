#include "eval/python_text.h"

#include <set>

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(PythonText, SpacesAreThoseOfPython) {
  const auto listed = fixture("answers.json")["spaces"].get<std::vector<int32_t>>();
  const std::set<int32_t> spaces(listed.begin(), listed.end());
  ASSERT_EQ(spaces.size(), 29U);
  for (int32_t c = 0; c < 0x110000; ++c) EXPECT_EQ(is_python_space(c), spaces.contains(c)) << c;
}

TEST(PythonText, StripsAsPythonDoes) {
  const Json answers = fixture("answers.json");
  for (const Json& row : answers["stripped"]) {
    const auto text = row[0].get<std::string>();
    EXPECT_EQ(strip(text), row[1].get<std::string>()) << row;
    EXPECT_EQ(strip_right(text), row[2].get<std::string>()) << row;
    EXPECT_EQ(ends_with_space(text), text != row[2].get<std::string>()) << row;
  }
}

TEST(PythonText, BrokenBytesBecomeReplacementCharacters) {
  const Json answers = fixture("answers.json");
  ASSERT_EQ(answers["replaced"].size(), 10U);
  for (const Json& row : answers["replaced"]) {
    std::string bytes;
    for (const Json& byte : row[0]) bytes += static_cast<char>(byte.get<int>());
    EXPECT_EQ(with_replacement_characters(bytes), row[1].get<std::string>()) << row;
  }
}

TEST(PythonText, ReplacesFromTheLeftWithoutLookingBack) {
  EXPECT_EQ(replace_all("aaa", "aa", "a"), "aa");
  EXPECT_EQ(replace_all("", "a", "b"), "");
  EXPECT_EQ(text_before("a--b--c", "--"), "a");
  EXPECT_EQ(text_before("abc", "--"), "abc");
  EXPECT_FALSE(begins_with_space(""));
  EXPECT_TRUE(begins_with_space("\u3000a"));
}

}  // namespace
}  // namespace dovetail::eval
