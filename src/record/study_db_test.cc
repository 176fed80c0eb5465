#include "record/study_db.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace dovetail::record {
namespace {

class StudyDbTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("study_db_test_" + std::to_string(::getpid()));
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

TEST_F(StudyDbTest, AnotherSchemaVersionIsRefused) {
  {
    ASSERT_TRUE(StudyDb::open(path_).has_value());
  }
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &raw), SQLITE_OK);
  sqlite3_exec(raw, "UPDATE meta SET value = '99'", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  const auto db = StudyDb::open(path_);
  ASSERT_FALSE(db.has_value());
  EXPECT_NE(db.error().message.find("schema_version = 99, want 1"), std::string::npos);
}

}  // namespace
}  // namespace dovetail::record
