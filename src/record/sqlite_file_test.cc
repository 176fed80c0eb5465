#include "record/sqlite_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::record {
namespace {

class SqliteFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "sqlite_file_test";
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "some.db").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(SqliteFileTest, BindsReadsAndRunsAStatementAgain) {
  const auto file = SqliteFile::open(path_);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  ASSERT_TRUE(file->execute("CREATE TABLE t (text TEXT, number INTEGER)"));
  auto insert = file->prepare("INSERT INTO t VALUES (?, ?)");
  ASSERT_TRUE(insert.has_value());
  const std::string with_zero("a\0b", 3);
  constexpr int64_t kLarge = (int64_t{1} << 62) + 1;
  EXPECT_TRUE(insert->bind(1, with_zero).bind(2, kLarge).run().has_value());
  insert->reset();
  EXPECT_TRUE(insert->bind(1, "").bind(2, int64_t{-1}).run().has_value());
  EXPECT_EQ(file->num_changed(), 1);
  auto rows = file->prepare("SELECT text, number FROM t ORDER BY number DESC");
  EXPECT_TRUE(rows->step().value());
  EXPECT_EQ(rows->text(0), with_zero);
  EXPECT_EQ(rows->integer(1), kLarge);
  EXPECT_TRUE(rows->step().value());
  EXPECT_EQ(rows->text(0), "");
  EXPECT_FALSE(rows->step().value());
}

TEST_F(SqliteFileTest, ATransactionThatIsNotCommittedDidNotHappen) {
  const auto file = SqliteFile::open(path_);
  ASSERT_TRUE(file->execute("CREATE TABLE t (number INTEGER)"));
  {
    const auto transaction = Transaction::begin(*file);
    ASSERT_TRUE(transaction.has_value());
    ASSERT_TRUE(file->execute("INSERT INTO t VALUES (1)"));
  }
  {
    auto transaction = Transaction::begin(*file);
    ASSERT_TRUE(file->execute("INSERT INTO t VALUES (2)"));
    ASSERT_TRUE(transaction->commit());
  }
  auto rows = file->prepare("SELECT number FROM t");
  EXPECT_TRUE(rows->step().value());
  EXPECT_EQ(rows->integer(0), 2);
  EXPECT_FALSE(rows->step().value());
}

TEST_F(SqliteFileTest, ReadingSeesTheLogAndWritesNothing) {
  auto writer = SqliteFile::open(path_);
  ASSERT_TRUE(writer->use_log(Durability::kCheckpoint).has_value());
  ASSERT_TRUE(writer->execute("CREATE TABLE t (number INTEGER); INSERT INTO t VALUES (7)"));
  const auto reader = SqliteFile::open_for_reading(path_);
  ASSERT_TRUE(reader.has_value()) << reader.error().message;
  auto rows = reader->prepare("SELECT number FROM t");
  EXPECT_TRUE(rows->step().value());
  EXPECT_EQ(rows->integer(0), 7);
  EXPECT_FALSE(reader->execute("INSERT INTO t VALUES (8)").has_value());
}

TEST_F(SqliteFileTest, TheLogIsSyncedAtEveryRowOrAtCheckpointsAsAsked) {
  // PRAGMA synchronous: 1 is NORMAL, 2 is FULL.
  for (const auto& [durability, level] :
       {std::pair(Durability::kEveryRow, 2), std::pair(Durability::kCheckpoint, 1)}) {
    auto file = SqliteFile::open(path_);
    ASSERT_TRUE(file->use_log(durability).has_value());
    auto synchronous = file->prepare("PRAGMA synchronous");
    EXPECT_TRUE(synchronous->step().value());
    EXPECT_EQ(synchronous->integer(0), level);
    auto journal = file->prepare("PRAGMA journal_mode");
    EXPECT_TRUE(journal->step().value());
    EXPECT_EQ(journal->text(0), "wal");
  }
}

TEST_F(SqliteFileTest, ErrorsNameTheFile) {
  const std::string nowhere = (folder_ / "none" / "some.db").string();
  const auto missing = SqliteFile::open(nowhere);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kIo);
  EXPECT_NE(missing.error().message.find(nowhere), std::string::npos) << missing.error().message;
  EXPECT_FALSE(SqliteFile::open_for_reading(path_).has_value());

  std::ofstream(path_) << std::string(4096, 'x');
  const auto text = SqliteFile::open(path_);
  const Status read = text->execute("SELECT * FROM sqlite_master");
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(read.error().message.find(path_ + ": file is not a database"), std::string::npos)
      << read.error().message;
  EXPECT_FALSE(is_damage(read.error()));
}

TEST_F(SqliteFileTest, DamageIsToldFromOtherErrors) {
  {
    const auto file = SqliteFile::open(path_);
    ASSERT_TRUE(file->execute("CREATE TABLE t (number INTEGER); INSERT INTO t VALUES (7)"));
  }
  std::fstream bytes(path_, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(4096);  // the second page: the rows of t
  bytes << std::string(4096, '\x5a');
  bytes.close();
  const auto file = SqliteFile::open(path_);
  auto rows = file->prepare("SELECT number FROM t");
  const auto row = rows->step();
  ASSERT_FALSE(row.has_value());
  EXPECT_TRUE(is_damage(row.error())) << row.error().message;
  EXPECT_NE(row.error().message.find(path_), std::string::npos);
}

}  // namespace
}  // namespace dovetail::record
