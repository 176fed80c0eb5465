#include "base/line_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>

namespace dovetail {
namespace {

LineProcess started(const std::string& script) {
  auto process = LineProcess::start({"sh", "-c", script});
  EXPECT_TRUE(process.has_value());
  return std::move(process).value();
}

TEST(LineProcess, AnswersLineByLine) {
  LineProcess process = started("while read -r line; do echo \"<$line>\"; done");
  for (int i = 0; i < 100; ++i) {
    const auto answer = process.ask(std::to_string(i));
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(*answer, "<" + std::to_string(i) + ">");
  }
}

TEST(LineProcess, LongLinesGoBothWays) {
  LineProcess process = started("exec cat");
  const std::string line(5 << 20, 'x');
  EXPECT_EQ(process.ask(line).value(), line);
  EXPECT_EQ(process.ask("").value(), "");
}

TEST(LineProcess, KeepsTheProgramWhenMoved) {
  LineProcess first = started("exec cat");
  LineProcess second = std::move(first);
  EXPECT_EQ(second.ask("a").value(), "a");
  second = started("while read -r line; do echo b; done");
  EXPECT_EQ(second.ask("a").value(), "b");
}

TEST(LineProcess, EndsTheProgramWithItself) {
  pid_t child = 0;
  {
    LineProcess process = started("echo $$; exec sleep 1000");
    child = std::atoi(process.ask("").value().c_str());
    ASSERT_EQ(::kill(child, 0), 0);
  }
  EXPECT_NE(::kill(child, 0), 0);
}

TEST(LineProcessError, QuotesTheLastWordsOfAProgramThatEnds) {
  LineProcess process = started("read -r line; printf 'no module' >&2");
  const auto answer = process.ask("a");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(answer.error().message, "sh: ended before it answered; its last words: no module");
  EXPECT_EQ(process.ask("a").error().message, "sh: has ended");
}

TEST(LineProcessError, DoesNotWaitForever) {
  LineProcess process = started("exec sleep 1000");
  const auto begin = std::chrono::steady_clock::now();
  const auto answer = process.ask("a", {.max_seconds = 0.2});
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message, "sh: no answer within 0.2 s");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(LineProcessError, RefusesEndlessAnswers) {
  LineProcess process = started("exec cat /dev/zero");
  const auto answer = process.ask("a", {.max_bytes = 1 << 20});
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message, "sh: an answer of more than 1048576 bytes");
}

TEST(LineProcessError, SurvivesAProgramThatIsGone) {
  LineProcess process = started("exit 0");
  EXPECT_FALSE(process.ask(std::string(1 << 20, 'x')).has_value());
}

TEST(LineProcessError, NamesAProgramThatDoesNotExist) {
  const auto process = LineProcess::start({"no-such-program-here"});
  ASSERT_FALSE(process.has_value());
  EXPECT_EQ(process.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(process.error().message.find("no-such-program-here"), std::string::npos);
}

}  // namespace
}  // namespace dovetail
