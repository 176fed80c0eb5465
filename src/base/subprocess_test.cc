#include "base/subprocess.h"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

TEST(RunSubprocess, GivesOutputAndExitCode) {
  const auto result = run_subprocess({"sh", "-c", "echo out; echo err >&2; exit 3"});
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\nerr\n");
}

TEST(RunSubprocess, PassesWordsWithoutAShell) {
  EXPECT_EQ(run_subprocess({"echo", "$HOME; true"})->output, "$HOME; true\n");
}

TEST(RunSubprocess, KeepsTheEndOfLongOutput) {
  const auto result = run_subprocess({"sh", "-c", "seq 1 200000"});
  ASSERT_TRUE(result.has_value());
  EXPECT_LE(result->output.size(), size_t{200} << 10);
  EXPECT_TRUE(result->output.ends_with("\n200000\n"));
}

TEST(RunSubprocessError, NamesTheProgram) {
  const auto result = run_subprocess({"no-such-program-here"});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(result.error().message.find("no-such-program-here"), std::string::npos);
}

}  // namespace
}  // namespace dovetail
