#include "eval/language_detector.h"

#include <set>

#include "eval/ifeval_fixture.h"

namespace dovetail::eval {
namespace {

TEST(LanguageDetector, AnswersAsLangdetectDoes) {
  std::string missing;
  const auto tools = ifeval_tools(missing);
  if (tools == nullptr) GTEST_SKIP() << missing;
  std::set<std::string> seen;
  int64_t undetected = 0;
  int64_t unstable = 0;
  const Json lm_eval = fixture("ifeval.json");
  ASSERT_GT(lm_eval["responses"].size(), 200U);
  for (const Json& response : lm_eval["responses"]) {
    const auto found = tools->languages().detect(response["text"].get<std::string>(), {0, 1, 2, 3});
    ASSERT_TRUE(found.has_value()) << found.error().message;
    for (size_t seed = 0; seed < 4; ++seed) {
      const Json& expected = response["languages"][seed];
      undetected += expected.is_null() ? 1 : 0;
      if (!expected.is_null()) seen.insert(expected.get<std::string>());
      EXPECT_EQ((*found)[seed].value_or("null"),
                expected.is_null() ? "null" : expected.get<std::string>())
          << "seed " << seed << " " << response["text"];
    }
    unstable += (*found)[0] != (*found)[1] || (*found)[0] != (*found)[2] ? 1 : 0;
  }
  EXPECT_GT(seen.size(), 25U);
  EXPECT_GT(undetected, 0);
  EXPECT_GT(unstable, 0);
}

TEST(LanguageDetector, NamesTheFileThatIsNotInItsForm) {
  const std::string messages = "NGram.LATIN1_EXCLUDE=\\u00A0\n";
  LanguageFiles files{.profiles = {{"aa", "{}"}, {"bb", "{}"}}, .messages = messages};
  EXPECT_EQ(LanguageDetector::create(files).error().message,
            "messages.properties: TO_NORMALIZE_VI_CHARS is missing");
  files.messages = "x=\\n";
  EXPECT_EQ(LanguageDetector::create(files).error().message,
            "messages.properties: x: want \\uXXXX");
  files.profiles.clear();
  EXPECT_EQ(LanguageDetector::create(files).error().message, "language profiles: want two or more");
}

}  // namespace
}  // namespace dovetail::eval
