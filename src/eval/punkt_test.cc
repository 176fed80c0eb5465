#include "eval/punkt.h"

#include "eval/ifeval_fixture.h"

namespace dovetail::eval {
namespace {

TEST(Punkt, SplitsAsNltkDoes) {
  std::string missing;
  const auto tools = ifeval_tools(missing);
  if (tools == nullptr) GTEST_SKIP() << missing;
  int64_t most = 0;
  const Json lm_eval = fixture("ifeval.json");
  ASSERT_GT(lm_eval["responses"].size(), 200U);
  for (const Json& response : lm_eval["responses"]) {
    const auto sentences = tools->punkt().sentences(response["text"].get<std::string>());
    ASSERT_TRUE(sentences.has_value()) << sentences.error().message;
    EXPECT_EQ(std::ssize(*sentences), response["sentences"].get<int64_t>()) << response["text"];
    EXPECT_EQ(sha_of_parts(*sentences), response["sentences_sha"].get<std::string>())
        << response["text"];
    most = std::max(most, static_cast<int64_t>(std::ssize(*sentences)));
  }
  EXPECT_GT(most, 10);
}

// A model of a few words shows what each of its parts does.
TEST(Punkt, EachPartOfTheModelDecides) {
  const PunktFiles files{.abbrev_types = "dr\n",
                         .collocations = "st\tjohn\n",
                         .ortho_context = "the\t48\nbell\t4",
                         .sent_starters = "he\n"};
  const auto punkt = Punkt::create(files);
  ASSERT_TRUE(punkt.has_value()) << punkt.error().message;
  const auto count = [&](const char* text) { return std::ssize(punkt->sentences(text).value()); };
  EXPECT_EQ(count("A word. Bell rang."), 2);
  EXPECT_EQ(count("See Dr. Bell today."), 1);         // an abbreviation
  EXPECT_EQ(count("He is a dr. The bell rang."), 2);  // seen in lower case: begins a sentence
  EXPECT_EQ(count("He is a dr. He left."), 2);        // a frequent starter
  EXPECT_EQ(count("In st. John it rains."), 1);       // a collocation
  EXPECT_EQ(count("Here is J. Bell again."), 1);      // an initial
  EXPECT_EQ(count(""), 0);
}

TEST(Punkt, ABrokenModelIsNamed) {
  EXPECT_EQ(Punkt::create({.collocations = "a\tb\nonly one\n", .ortho_context = "a\t1\n"})
                .error()
                .message,
            "collocations.tab:2: not in its form");
  EXPECT_EQ(Punkt::create({.collocations = "a\tb", .ortho_context = "a\tmany\n"}).error().message,
            "ortho_context.tab:1: not in its form");
}

}  // namespace
}  // namespace dovetail::eval
