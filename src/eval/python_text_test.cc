#include "eval/python_text.h"

#include <set>

#include "base/hash.h"
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

TEST(PythonText, LowersAndTellsCasesAsPythonDoes) {
  const Json expected = fixture("ifeval.json");
  std::string lowered;
  std::string cases;
  for (const Json& run : expected["characters"]["assigned"]) {
    for (auto c = run[0].get<char32_t>(); c <= run[1].get<char32_t>(); ++c) {
      const std::string text = from_code_points(std::u32string(1, c));
      EXPECT_EQ(code_points(text), std::u32string(1, c));
      EXPECT_EQ(is_upper(text), is_upper_character(c));
      lowered += lower(text);
      cases += std::to_string((is_upper(text) ? 1 : 0) + (is_lower(text) ? 2 : 0));
    }
  }
  EXPECT_EQ(sha256_hex(lowered), expected["characters"]["lower_sha"].get<std::string>());
  EXPECT_EQ(sha256_hex(cases), expected["characters"]["case_sha"].get<std::string>());
  for (const Json& response : expected["responses"]) {
    const auto text = response["text"].get<std::string>();
    EXPECT_EQ(sha256_hex(lower(text)).substr(0, 16), response["lower_sha"].get<std::string>());
    EXPECT_EQ((is_upper(text) ? 1 : 0) + (is_lower(text) ? 2 : 0), response["case"].get<int>())
        << response["text"];
  }
}

TEST(PythonText, SplitsAndStrips) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(words(" a\x1c b\u2003c "), (Parts{"a", "b", "c"}));
  EXPECT_EQ(words(""), Parts{});
  EXPECT_EQ(split_at("a--b--", "--"), (Parts{"a", "b", ""}));
  EXPECT_EQ(split_at("", "--"), (Parts{""}));
  EXPECT_EQ(strip_left_of("**a*", '*'), "a*");
  EXPECT_EQ(strip_right_of("**a*", '*'), "**a");
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
