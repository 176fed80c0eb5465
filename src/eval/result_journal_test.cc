#include "eval/result_journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/paths.h"
#include "base/test_folder.h"

namespace dovetail::eval {
namespace {

std::string own_folder() {
  return test_folder() / testing::UnitTest::GetInstance()->current_test_info()->name();
}

std::string text_of(const std::string& path) {
  return read_text_file(path, int64_t{1} << 20).value();
}

void append_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::app) << text;
}

TEST(ResultJournal, KeepsWhatWasAppended) {
  const std::string folder = own_folder();
  {
    ResultJournal journal = ResultJournal::open(folder, "model a").value();
    ASSERT_TRUE(journal.append({{"k1", "v 1"}, {"k2", "v2"}}).has_value());
    EXPECT_EQ(*journal.find("k1"), "v 1");
  }
  const ResultJournal journal = ResultJournal::open(folder, "model a").value();
  EXPECT_EQ(journal.size(), 2);
  EXPECT_EQ(*journal.find("k1"), "v 1");
  EXPECT_EQ(*journal.find("k2"), "v2");
  EXPECT_EQ(journal.find("k3"), nullptr);
  EXPECT_EQ(journal.damaged_lines(), 0);
  // Another model knows nothing of it.
  EXPECT_EQ(ResultJournal::open(folder, "model b").value().find("k1"), nullptr);
}

TEST(ResultJournal, PassesOverTornAndAlteredLines) {
  const std::string folder = own_folder();
  std::string path;
  {
    ResultJournal journal = ResultJournal::open(folder, "m").value();
    path = journal.path();
    ASSERT_TRUE(journal.append({{"k1", "v1"}, {"k2", "v2"}}).has_value());
  }
  std::string text = text_of(path);
  text.replace(text.find("v1"), 2, "v9");
  std::ofstream(path, std::ios::trunc) << text << "k3 v3 0123";
  {
    ResultJournal journal = ResultJournal::open(folder, "m").value();
    EXPECT_EQ(journal.damaged_lines(), 2);
    EXPECT_EQ(journal.find("k1"), nullptr);
    EXPECT_EQ(journal.find("k3"), nullptr);
    EXPECT_EQ(*journal.find("k2"), "v2");
    // What follows the torn line is whole.
    ASSERT_TRUE(journal.append({{"k4", "v4"}}).has_value());
  }
  EXPECT_EQ(*ResultJournal::open(folder, "m").value().find("k4"), "v4");
}

TEST(ResultJournal, TwoMayAppend) {
  const std::string folder = own_folder();
  ResultJournal one = ResultJournal::open(folder, "m").value();
  ResultJournal two = ResultJournal::open(folder, "m").value();
  ASSERT_TRUE(one.append({{"k1", "v1"}}).has_value());
  append_text(one.path(), "torn");
  ASSERT_TRUE(two.append({{"k2", "v2"}}).has_value());
  const ResultJournal both = ResultJournal::open(folder, "m").value();
  EXPECT_EQ(both.size(), 2);
  EXPECT_EQ(both.damaged_lines(), 1);
}

TEST(ResultJournal, ErrorNamesTheFile) {
  const std::string folder = own_folder();
  const std::string path = ResultJournal::open(folder, "m").value().path();
  const auto failed = ResultJournal::open(path, "m");  // a file, not a folder
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  EXPECT_NE(failed.error().message.find(path), std::string::npos);
  // A file that was copied from another model's.
  const std::string other = ResultJournal::open(folder, "n").value().path();
  std::filesystem::copy_file(path, other, std::filesystem::copy_options::overwrite_existing);
  const auto foreign = ResultJournal::open(folder, "n");
  ASSERT_FALSE(foreign.has_value());
  EXPECT_EQ(foreign.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace dovetail::eval
