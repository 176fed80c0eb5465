#include "record/study_db.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::record {
namespace {

class StudyDbTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "study_db_test";
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "study.db").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(StudyDbTest, RemembersAcrossOpenings) {
  int computed = 0;
  for (int round = 0; round < 2; ++round) {
    auto db = StudyDb::open(path_);
    ASSERT_TRUE(db.has_value()) << db.error().message;
    const auto value = db->remember("kl", Json{{"recipe", "a"}}, [&]() -> Result<Json> {
      ++computed;
      return Json{{"kl_nats", 0.125}};
    });
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ((*value)["kl_nats"], 0.125);
  }
  EXPECT_EQ(computed, 1);
}

TEST_F(StudyDbTest, AFailedComputationStoresNothing) {
  auto db = StudyDb::open(path_);
  ASSERT_TRUE(db.has_value());
  const auto failed =
      db->remember("kl", Json{{"x", 1}}, []() -> Result<Json> { return io_error("disk full"); });
  EXPECT_EQ(failed.error().message, "disk full");
  EXPECT_FALSE(db->get("kl", Json{{"x", 1}})->has_value());
}

TEST_F(StudyDbTest, RowsWrittenBeforeAKillSurvive) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto db = StudyDb::open(path_);
    for (int i = 0; db.has_value() && i < 5; ++i) (void)db->put("n", Json(i), Json(i * i));
    ::kill(::getpid(), SIGKILL);
  }
  int state = 0;
  ::waitpid(child, &state, 0);
  ASSERT_TRUE(WIFSIGNALED(state));
  auto db = StudyDb::open(path_);
  ASSERT_TRUE(db.has_value()) << db.error().message;
  EXPECT_EQ(db->all("n")->size(), 5U);
  EXPECT_EQ(**db->get("n", Json(3)), Json(9));
}

TEST_F(StudyDbTest, ErrorsNameTheFileAndWhatWasWanted) {
  std::ofstream(path_) << "this is not a database, but long enough to be taken for one by size";
  const auto not_a_db = StudyDb::open(path_);
  ASSERT_FALSE(not_a_db.has_value());
  EXPECT_EQ(not_a_db.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(not_a_db.error().message.find("want a study database"), std::string::npos);

  const auto no_folder = StudyDb::open((folder_ / "none" / "study.db").string());
  ASSERT_FALSE(no_folder.has_value());
  EXPECT_EQ(no_folder.error().code, ErrorCode::kIo);
}

// Statements on the file without the code under test.
void run_sql(const std::string& path, const std::string& sql) {
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &raw), SQLITE_OK);
  char* words = nullptr;
  EXPECT_EQ(sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, &words), SQLITE_OK) << words;
  sqlite3_close(raw);
}

int64_t count(const std::string& path, const std::string& table) {
  sqlite3* raw = nullptr;
  sqlite3_stmt* statement = nullptr;
  int64_t rows = -1;
  if (sqlite3_open(path.c_str(), &raw) == SQLITE_OK &&
      sqlite3_prepare_v2(raw, ("SELECT count(*) FROM " + table).c_str(), -1, &statement, nullptr) ==
          SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW) {
    rows = sqlite3_column_int64(statement, 0);
  }
  sqlite3_finalize(statement);
  sqlite3_close(raw);
  return rows;
}

TEST_F(StudyDbTest, ANewerLayoutIsRefusedAndStaysAsItIs) {
  {
    ASSERT_TRUE(StudyDb::open(path_).has_value());
  }
  run_sql(path_, "UPDATE meta SET value = '99' WHERE key = 'schema_version'");
  const auto db = StudyDb::open(path_);
  ASSERT_FALSE(db.has_value());
  EXPECT_EQ(db.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(db.error().message.find("schema_version = 99, want 1..3"), std::string::npos);
  EXPECT_NE(db.error().message.find("use the release that wrote it"), std::string::npos);
}

TEST_F(StudyDbTest, AnotherProgramsDatabaseIsLeftAlone) {
  run_sql(path_, "CREATE TABLE bookmarks (url TEXT)");
  const auto db = StudyDb::open(path_);
  ASSERT_FALSE(db.has_value());
  EXPECT_NE(db.error().message.find("of something else"), std::string::npos) << db.error().message;
  EXPECT_EQ(count(path_, "sqlite_master"), 1);
}

// What version 0.1.0 before layout 2 executed, word for word.
constexpr const char* kLayout1 =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS results (kind TEXT NOT NULL, key TEXT NOT NULL,"
    " input TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key));"
    "INSERT OR IGNORE INTO meta VALUES ('schema_version', '1');"
    "COMMIT;";

TEST_F(StudyDbTest, AnOlderLayoutBecomesTodaysWithEveryRow) {
  std::string sql = kLayout1;
  for (int i = 0; i < 300; ++i) {
    sql += "INSERT OR REPLACE INTO results VALUES ('kl', '" + key_of(Json(i)) + "', '" +
           std::to_string(i) + "', '" + std::to_string(i * i) + "');";
  }
  sql += "INSERT INTO results VALUES ('kl', '" + key_of(Json("x")) + "', '\"x\"', '{damaged');";
  run_sql(path_, sql);
  auto db = StudyDb::open(path_);
  ASSERT_TRUE(db.has_value()) << db.error().message;
  for (int i = 0; i < 300; ++i) EXPECT_EQ(**db->get("kl", Json(i)), Json(i * i));
  EXPECT_TRUE(db->notices().empty());
  // What was no JSON before is set aside when it is read, not dropped.
  EXPECT_FALSE(db->get("kl", Json("x"))->has_value());
  EXPECT_EQ(db->notices().size(), 1U);
  EXPECT_EQ(count(path_, "damaged"), 1);
  EXPECT_TRUE(StudyDb::open(path_).has_value());
}

TEST_F(StudyDbTest, OfTwoThatComputedTheSameTheFirstStands) {
  auto one = StudyDb::open(path_);
  auto other = StudyDb::open(path_);
  EXPECT_EQ(one->add("n", Json(1), Json("first")).value(), Json("first"));
  EXPECT_EQ(other->add("n", Json(1), Json("second")).value(), Json("first"));
  ASSERT_TRUE(other->put("n", Json(1), Json("third")).has_value());
  EXPECT_EQ(**one->get("n", Json(1)), Json("third"));
}

TEST_F(StudyDbTest, AChangedLetterInsideARowIsNoticed) {
  auto db = StudyDb::open(path_);
  ASSERT_TRUE(db->put("kl", Json(1), Json{{"kl_nats", 0.125}}).has_value());
  ASSERT_TRUE(db->put("kl", Json(2), Json{{"kl_nats", 0.25}}).has_value());
  run_sql(path_, "UPDATE results SET value = replace(value, '0.125', '0.124')");
  EXPECT_FALSE(db->get("kl", Json(1))->has_value());
  EXPECT_TRUE(db->get("kl", Json(2))->has_value());
  ASSERT_EQ(db->notices().size(), 1U);
  EXPECT_NE(db->notices()[0].find("row of kind kl was damaged"), std::string::npos);
  EXPECT_EQ(count(path_, "damaged"), 1);
  EXPECT_EQ(db->add("kl", Json(1), Json("again")).value(), Json("again"));
  EXPECT_EQ(db->all("kl")->size(), 2U);
}

TEST_F(StudyDbTest, TwoProcessesThatWriteAtOnceLoseNothing) {
  constexpr int kProcesses = 4;
  constexpr int kRows = 200;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t child = ::fork();
    if (child == 0) {
      // They also race for the creation of the file.
      auto db = StudyDb::open(path_);
      bool good = db.has_value();
      for (int i = 0; good && i < kRows; ++i) {
        good = db->put("n", Json{{"process", process}, {"i", i}}, Json(i)).has_value() &&
               db->add("shared", Json(i), Json(process)).has_value();
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int state = 0;
    ::waitpid(child, &state, 0);
    EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0);
  }
  auto db = StudyDb::open(path_);
  EXPECT_EQ(db->all("n")->size(), size_t{kProcesses} * kRows);
  EXPECT_EQ(db->all("shared")->size(), size_t{kRows});
}

// A power loss leaves a log that ends anywhere: what opens is a prefix of the rows, whole.
TEST_F(StudyDbTest, ALogCutAnywhereOpensToAPrefixOfTheRows) {
  constexpr int kRows = 12;
  auto db = StudyDb::open(path_);
  for (int i = 0; i < kRows; ++i) {
    ASSERT_TRUE(db->put("n", Json(i), Json(std::string(700, 'a'))).has_value());
  }
  const auto log_bytes = std::filesystem::file_size(path_ + "-wal");
  const std::string copy = (folder_ / "copy.db").string();
  size_t shortest = kRows;
  size_t longest = 0;
  for (uintmax_t cut = 0; cut <= log_bytes; cut += 997) {
    std::filesystem::remove(copy + "-shm");
    std::filesystem::copy_file(path_, copy, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(path_ + "-wal", copy + "-wal",
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(copy + "-wal", cut);
    auto reopened = StudyDb::open(copy);
    ASSERT_TRUE(reopened.has_value()) << cut << ": " << reopened.error().message;
    EXPECT_TRUE(reopened->notices().empty());
    const size_t rows = reopened->all("n")->size();
    for (size_t i = 0; i < rows; ++i) {
      EXPECT_TRUE(reopened->get("n", Json(i))->has_value()) << cut;
    }
    shortest = std::min(shortest, rows);
    longest = std::max(longest, rows);
  }
  EXPECT_EQ(shortest, 0U);
  EXPECT_GE(longest, size_t{kRows} - 1);
}

}  // namespace
}  // namespace dovetail::record
