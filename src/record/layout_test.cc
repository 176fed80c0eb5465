#include "record/layout.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/test_folder.h"

namespace dovetail::record {
namespace {

class LayoutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "layout_test";
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "study.db").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  std::string path_;
};

// Read with SQLite's own functions, so that the code under test is not asked about itself.
std::set<std::string> column_of(const std::string& path, const std::string& sql) {
  std::set<std::string> values;
  sqlite3* db = nullptr;
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sql;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    values.insert(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
  }
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return values;
}

constexpr const char* kTables = "SELECT name FROM sqlite_master WHERE type = 'table'";

TEST_F(LayoutTest, ANewFileGetsTheTablesOnce) {
  for (int opening = 0; opening < 2; ++opening) {
    const auto file = SqliteFile::open(path_);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    ASSERT_TRUE(prepare_layout(*file).has_value());
  }
  EXPECT_EQ(column_of(path_, kTables),
            (std::set<std::string>{"meta", "results", "damaged", "leases"}));
  EXPECT_EQ(column_of(path_, "SELECT value FROM meta WHERE key = 'schema_version'"),
            std::set<std::string>{std::to_string(kLayoutVersion)});
}

TEST_F(LayoutTest, AnInterruptedMoveFromTheOlderLayoutLeavesItAsItWas) {
  const auto file = SqliteFile::open(path_);
  ASSERT_TRUE(file->execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
                            "CREATE TABLE results (kind TEXT NOT NULL, key TEXT NOT NULL,"
                            " input TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key));"
                            "INSERT INTO meta VALUES ('schema_version', '1');"
                            "INSERT INTO results VALUES ('kl', 'k', '1', '2');"
                            // No table of this name can be made any more: the move fails late.
                            "CREATE INDEX leases ON results (value);")
                  .has_value());
  const Status failed = prepare_layout(*file);
  ASSERT_FALSE(failed.has_value());
  EXPECT_NE(failed.error().message.find(path_), std::string::npos) << failed.error().message;
  EXPECT_EQ(column_of(path_, "SELECT name FROM pragma_table_info('results')"),
            (std::set<std::string>{"kind", "key", "input", "value"}));
  ASSERT_TRUE(file->execute("DROP INDEX leases").has_value());
  ASSERT_TRUE(prepare_layout(*file).has_value());
  EXPECT_EQ(column_of(path_, "SELECT sum FROM results"),
            std::set<std::string>{row_sum("kl", "k", "2")});
}

TEST_F(LayoutTest, LeasesWithADeadlineBecomeLeasesWithABeat) {
  const auto file = SqliteFile::open(path_);
  ASSERT_TRUE(prepare_layout(*file).has_value());
  ASSERT_TRUE(
      file->execute("DROP TABLE leases; UPDATE meta SET value = '2';"
                    "CREATE TABLE leases (kind TEXT NOT NULL, key TEXT NOT NULL,"
                    " worker TEXT NOT NULL, deadline_ms INTEGER NOT NULL,"
                    " PRIMARY KEY (kind, key));"
                    "INSERT INTO results VALUES ('kl', 'k', '1', '2', 's')"));
  ASSERT_TRUE(prepare_layout(*file).has_value());
  EXPECT_EQ(column_of(path_, "SELECT name FROM pragma_table_info('leases')"),
            (std::set<std::string>{"kind", "key", "worker", "beat"}));
  EXPECT_EQ(column_of(path_, "SELECT sum FROM results"), std::set<std::string>{"s"});
}

TEST_F(LayoutTest, AVersionThatIsNoNumberIsShown) {
  const auto file = SqliteFile::open(path_);
  ASSERT_TRUE(prepare_layout(*file).has_value());
  for (const char* version : {"2 ", "two", "0", "-1", "4"}) {
    ASSERT_TRUE(file->execute(std::string("UPDATE meta SET value = '") + version + "'"));
    const Status refused = prepare_layout(*file);
    ASSERT_FALSE(refused.has_value()) << version;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find(std::string("schema_version = ") + version + ", want"),
              std::string::npos)
        << refused.error().message;
  }
}

TEST(RowSum, EveryPartAndTheirOrderCount) {
  // printf 'a\nb\nc\n' | sha256sum
  EXPECT_EQ(row_sum("a", "b", "c"),
            "880553fca8fcea94e325ee2cfb48e5a985cc797f39a14cc6d3cedecfeb2ae4d2");
  const std::set<std::string> sums = {row_sum("a", "b", "c"), row_sum("b", "a", "c"),
                                      row_sum("a", "c", "b"), row_sum("ab", "", "c"),
                                      row_sum("", "ab", "c")};
  EXPECT_EQ(sums.size(), 5U);
}

}  // namespace
}  // namespace dovetail::record
