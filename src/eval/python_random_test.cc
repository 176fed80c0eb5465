#include "eval/python_random.h"

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(PythonRandom, DrawsWhatCPythonDraws) {
  const Json answers = fixture("answers.json");
  ASSERT_EQ(answers["random"].size(), 7U);
  for (const Json& row : answers["random"]) {
    const auto seed = row["seed"].get<uint64_t>();
    PythonRandom random(seed);
    std::vector<uint32_t> words;  // 700, so that the state is refilled once
    for (int i = 0; i < 700; ++i) words.push_back(random.bits(32));
    for (size_t i = 0; i < 5; ++i)
      EXPECT_EQ(words[695 + i], row["bits"][i].get<uint32_t>()) << seed;
    size_t at = 0;
    for (const int64_t limit : {int64_t{1}, int64_t{2}, int64_t{3}, int64_t{1000}, int64_t{7473},
                                int64_t{1} << 31, (int64_t{1} << 32) - 1}) {
      EXPECT_EQ(random.below(limit), row["below"][at++].get<int64_t>()) << seed << " " << limit;
    }
    for (const Json& sample : row["samples"]) {
      EXPECT_EQ(random.sample(sample[0], sample[1]), sample[2].get<std::vector<int64_t>>())
          << sample;
    }
  }
}

// The five examples of GSM8K's first question.
TEST(PythonRandom, DrawsTheExamplesOfGsm8k) {
  EXPECT_EQ(PythonRandom(1234).sample(7473, 5), (std::vector<int64_t>{6374, 3610, 957, 61, 742}));
}

TEST(PythonRandom, GaussAndFractionAreThoseOfCPython) {
  const Json expected = fixture("ifeval.json")["random"];
  ASSERT_EQ(expected.size(), 4U);
  for (const Json& row : expected) {
    PythonRandom random(row["seed"].get<uint64_t>());
    for (const Json& value : row["gauss"]) {
      EXPECT_EQ(random.gauss(), std::stod(value.get<std::string>())) << row["seed"];
    }
    for (const Json& value : row["fraction"]) {
      EXPECT_EQ(random.fraction(), std::stod(value.get<std::string>())) << row["seed"];
    }
  }
}

}  // namespace
}  // namespace dovetail::eval
