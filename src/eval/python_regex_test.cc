#include "eval/python_regex.h"

#include "eval/fixtures.h"

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

TEST(PythonRegex, RefusesWhatItCannotMean) {
  EXPECT_EQ(PythonRegex::compile("(").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PythonRegex::compile(R"([\S])").error().message, R"(pattern [\S]: \S inside a class)");
  const auto regex = PythonRegex::compile("a");
  EXPECT_EQ(regex->find_all("\xff").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::eval
