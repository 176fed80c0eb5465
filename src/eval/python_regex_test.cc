#include "eval/python_regex.h"

#include "eval/ifeval_fixture.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

TEST(PythonRegex, FindsAndReplacesAsPythonDoes) {
  const Json answers = fixture("answers.json");
  ASSERT_GT(answers["regex"].size(), 1000U);
  for (const Json& row : answers["regex"]) {
    const auto regex = PythonRegex::compile(row[0].get<std::string>(), {.multi_line = row[1]});
    ASSERT_TRUE(regex.has_value()) << regex.error().message;
    const auto text = row[2].get<std::string>();
    const auto found = regex->find_all(text);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ(*found, row[3].get<std::vector<std::vector<std::string>>>()) << row;
    EXPECT_EQ(regex->substitute(text, "_").value_or("error"), row[4].get<std::string>()) << row;
    EXPECT_EQ(regex->is_in(text).value_or(false), !row[3].empty()) << row;
  }
}

TEST(PythonRegex, SplitsAndNamesGroups) {
  const auto spaces = PythonRegex::compile(R"(\s+)");
  EXPECT_EQ(spaces->split(" a\x1c b ").value(), (std::vector<std::string>{"", "a", "b", ""}));
  EXPECT_EQ(spaces->split("").value(), (std::vector<std::string>{""}));
  const auto pair = PythonRegex::compile(R"((\w)(\w))");
  EXPECT_EQ(pair->substitute("abc", R"([\2\1])").value(), "[ba]c");
  const auto folded = PythonRegex::compile("yes", {.ignore_case = true});
  EXPECT_TRUE(folded->is_in("YES").value());
}

TEST(PythonRegex, TheSecondDialectIsThatOfThePackageRegex) {
  const Json expected = fixture("ifeval.json")["regex"];
  for (const Json& group : expected["cases"]) {
    const auto regex = PythonRegex::compile(
        group[0].get<std::string>(),
        {.ignore_case = group[1].get<bool>(), .dialect = RegexDialect::kRegex});
    ASSERT_TRUE(regex.has_value()) << regex.error().message;
    std::vector<std::string> all;
    for (size_t i = 0; i < expected["texts"].size(); ++i) {
      const auto found = regex->find_all(expected["texts"][i].get<std::string>());
      ASSERT_TRUE(found.has_value()) << found.error().message;
      EXPECT_EQ(std::ssize(*found), group[2][i].get<int64_t>()) << group[0] << expected["texts"][i];
      for (const auto& match : *found) all.push_back(match[0]);
    }
    EXPECT_EQ(sha_of_parts(all), group[3].get<std::string>()) << group[0];
  }
}

TEST(PythonRegex, IgnoresCaseAsPythonDoes) {
  const Json lm_eval = fixture("ifeval.json");
  ASSERT_EQ(lm_eval["regex"]["folded"].size(), 4U);
  for (const Json& row : lm_eval["regex"]["folded"]) {
    const auto regex = PythonRegex::compile(row[0].get<std::string>(), {.ignore_case = true});
    ASSERT_TRUE(regex.has_value()) << regex.error().message;
    std::vector<std::string> found;
    for (char32_t c = 0; c < 0x3000; ++c) {
      const std::string text = from_code_points(std::u32string(1, c));
      if (regex->is_in(text).value_or(false)) found.push_back(text);
    }
    EXPECT_EQ(found, row[1].get<std::vector<std::string>>()) << row[0];
  }
}

TEST(PythonRegex, RefusesWhatItCannotMean) {
  EXPECT_EQ(PythonRegex::compile("(").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PythonRegex::compile(R"([\S])").error().message, R"(pattern [\S]: \S inside a class)");
  const auto regex = PythonRegex::compile("a");
  EXPECT_EQ(regex->find_all("\xff").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::eval
