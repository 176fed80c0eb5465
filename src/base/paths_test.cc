#include "base/paths.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/test_folder.h"

namespace dovetail {
namespace {

TEST(Paths, NamesAreLookedUpInDataAndPathsAreLeftAlone) {
  EXPECT_EQ(data_file("chips", "reference_edge").value(),
            data_folder() + "/chips/reference_edge.toml");
  EXPECT_EQ(data_file("chips", "mine/chip").value(), "mine/chip");
  EXPECT_EQ(data_file("chips", "chip.toml").value(), "chip.toml");
  const auto misspelt = data_file("chips", "referense_edge");
  ASSERT_FALSE(misspelt.has_value());
  EXPECT_EQ(misspelt.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(misspelt.error().message.starts_with(
      "chip \"referense_edge\" is not in data/chips, want a TOML file or one of "));
  EXPECT_TRUE(misspelt.error().message.ends_with("(did you mean reference_edge?)"));
}

TEST(Paths, CacheFollowsTheEnvironment) {
  ::setenv("DOVETAIL_CACHE", "somewhere", 1);
  EXPECT_EQ(cache_folder(), "somewhere");
  ::unsetenv("DOVETAIL_CACHE");
}

TEST(TextFile, IsReadAsWrittenAndNeverHalfWritten) {
  const std::string path = (test_folder() / "paths_test.txt").string();
  ASSERT_TRUE(write_text_file(path, "first").has_value());
  ASSERT_TRUE(write_text_file(path, "second").has_value());
  EXPECT_EQ(read_text_file(path, 100).value(), "second");
  const auto too_big = read_text_file(path, 3);
  ASSERT_FALSE(too_big.has_value());
  EXPECT_NE(too_big.error().message.find("6 bytes, want at most 3"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(TextFileError, NamesTheFile) {
  EXPECT_EQ(read_text_file("no/such", 10).error().message, "no/such: not found, want a file");
  const auto status = write_text_file("no/such/folder/file", "x");
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_NE(status.error().message.find("no/such/folder/file"), std::string::npos);
}

}  // namespace
}  // namespace dovetail
