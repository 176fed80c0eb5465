#include "base/durable_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail {
namespace {

namespace fs = std::filesystem;

class DurableFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "durable_file_test";
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  fs::path folder_;
};

TEST_F(DurableFileTest, TheFinishedFileReplacesTheOldOne) {
  write(at("a"), "old");
  write(at("a.part1"), "complete");
  ASSERT_TRUE(publish_file(at("a.part1"), at("a")).has_value());
  std::string text;
  std::ifstream(at("a")) >> text;
  EXPECT_EQ(text, "complete");
  EXPECT_FALSE(fs::exists(at("a.part1")));
}

TEST_F(DurableFileTest, AFileThatCannotBePublishedIsNamedAndTheOldOneStays) {
  write(at("a"), "old");
  const Status missing = publish_file(at("a.part1"), at("a"));
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_NE(missing.error().message.find(at("a") + ": writing failed"), std::string::npos);
  EXPECT_TRUE(fs::exists(at("a")));
  fs::create_directory(at("folder"));
  write(at("part"), "text");
  EXPECT_FALSE(publish_file(at("part"), at("folder")).has_value());
}

TEST_F(DurableFileTest, PartsOfTheDeadGoAndThoseOfTheLivingStay) {
  write(at("a"), "old");
  write(at("a.part1"), "of a killed process");
  write(at("a.part2"), "half of a text that is being written");
  write(at("b.part1"), "of another file");
  const int writer = ::open(at("a.part2").c_str(), O_WRONLY);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);
  remove_abandoned_parts(at("a"));
  EXPECT_TRUE(fs::exists(at("a")));
  EXPECT_FALSE(fs::exists(at("a.part1")));
  EXPECT_TRUE(fs::exists(at("a.part2")));
  EXPECT_TRUE(fs::exists(at("b.part1")));
  ::close(writer);
  remove_abandoned_parts(at("a"));
  EXPECT_FALSE(fs::exists(at("a.part2")));
  remove_abandoned_parts(at("no/such/folder/a"));
}

}  // namespace
}  // namespace dovetail
