#include "eval/exact_match.h"

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(RegexFilter, ReadsAsLmEvalDoes) {
  const Json answers = fixture("answers.json");
  ASSERT_EQ(answers["filters"].size(), 3U);
  for (const Json& row : answers["filters"]) {
    const auto filter =
        RegexFilter::create(row["name"], row["pattern"].get<std::string>(), row["last"]);
    ASSERT_TRUE(filter.has_value()) << filter.error().message;
    for (size_t i = 0; i < answers["texts"].size(); ++i) {
      EXPECT_EQ(filter->apply(answers["texts"][i].get<std::string>()).value_or("error"),
                row["outputs"][i].get<std::string>())
          << row["name"] << " " << answers["texts"][i];
    }
  }
}

TEST(ExactMatch, ComparesAsLmEvalDoes) {
  const Json answers = fixture("answers.json");
  const auto exact_match = ExactMatch::create();
  ASSERT_TRUE(exact_match.has_value()) << exact_match.error().message;
  int64_t matches = 0;
  for (const Json& row : answers["exact_match"]) {
    for (size_t i = 0; i < answers["references"].size(); ++i) {
      const bool expected = row[1][i];
      const auto found =
          (*exact_match)(row[0].get<std::string>(), answers["references"][i].get<std::string>());
      ASSERT_TRUE(found.has_value());
      EXPECT_EQ(*found, expected) << row[0] << " " << answers["references"][i];
      matches += expected ? 1 : 0;
    }
  }
  EXPECT_GT(matches, 10);
}

TEST(SameNumber, IsDecided) {
  for (const auto& [left, right] : {std::pair("$1,000.00", "1000"),
                                    {"-0", "0"},
                                    {"007", "7"},
                                    {"7.50", "7.5"},
                                    {".5", "0.5"},
                                    {"-$5", "-5"},
                                    {"18.", "18"}}) {
    EXPECT_TRUE(same_number(left, right)) << left;
  }
  for (const auto& [left, right] : {std::pair("1000", "100"),
                                    {"5", "-5"},
                                    {"[invalid]", "[invalid]"},
                                    {"", ""},
                                    {".", "0"},
                                    {"1.2.3", "1.23"},
                                    {"$", "$"}}) {
    EXPECT_FALSE(same_number(left, right)) << left;
  }
}

}  // namespace
}  // namespace dovetail::eval
