#include "record/salvage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "base/test_folder.h"
#include "record/study_db.h"

namespace dovetail::record {
namespace {

namespace fs = std::filesystem;

constexpr int kRows = 400;

Json value_of(int i) {
  return Json{{"i", i}, {"padding", std::string(static_cast<size_t>(50 + i % 300), 'x')}};
}

class SalvageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "salvage_test";
    fs::create_directories(folder_);
    path_ = (folder_ / "study.db").string();
    write_database();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write_database() {
    auto db = StudyDb::open(path_, Durability::kCheckpoint);
    for (int i = 0; i < kRows; ++i) (void)db->put("n", Json(i), value_of(i));
  }
  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  // How many rows are right; a wrong one is a failure.
  int num_right(const StudyDb& db) const {
    int right = 0;
    for (int i = 0; i < kRows; ++i) {
      const auto value = db.get("n", Json(i));
      if (!value.has_value() || !value->has_value()) continue;
      EXPECT_EQ(**value, value_of(i));
      ++right;
    }
    return right;
  }
  fs::path folder_;
  std::string path_;
};

TEST_F(SalvageTest, AWipedPageCostsItsOwnRowsAlone) {
  const std::string before = bytes();
  std::string damaged = before;
  const size_t page = 4096;
  ASSERT_GT(damaged.size(), 20 * page);
  std::fill_n(damaged.begin() + 10 * static_cast<std::ptrdiff_t>(page), page, '\x5a');
  write(damaged);
  {
    auto db = StudyDb::open(path_);
    ASSERT_TRUE(db.has_value()) << db.error().message;
    ASSERT_EQ(db->notices().size(), 1U);
    EXPECT_NE(db->notices()[0].find("study.db.damaged-1"), std::string::npos) << db->notices()[0];
    const int right = num_right(*db);
    EXPECT_LT(right, kRows);
    EXPECT_GT(right, kRows * 9 / 10);
    // The study goes on with the new file.
    EXPECT_TRUE(db->put("n", Json(kRows), Json(1)).has_value());
  }
  EXPECT_TRUE(fs::exists(path_ + ".damaged-1"));
  auto again = StudyDb::open(path_);
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->notices().empty());
}

TEST_F(SalvageTest, AnyDamageEndsInGoodRowsOrAnErrorThatNamesTheFile) {
  const std::string before = bytes();
  Random random(20261124);
  int salvaged = 0;
  int refused = 0;
  for (int round = 0; round < 60; ++round) {
    std::string damaged = before;
    if (round % 3 == 0) {
      damaged.resize(static_cast<size_t>(random.below(static_cast<int64_t>(before.size()))));
    } else {
      for (int64_t flips = random.below(40) + 1; flips > 0; --flips) {
        const auto at = static_cast<size_t>(random.below(static_cast<int64_t>(damaged.size())));
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
      }
    }
    for (const auto& entry : fs::directory_iterator(folder_)) fs::remove(entry.path());
    write(damaged);
    auto db = StudyDb::open(path_);
    if (!db.has_value()) {
      EXPECT_NE(db.error().message.find(path_), std::string::npos) << db.error().message;
      ++refused;
      continue;
    }
    (void)num_right(*db);  // never a wrong value
    salvaged += db->notices().empty() ? 0 : 1;
  }
  EXPECT_GT(salvaged, 10) << refused << " refused";
}

// A number read from a damaged page must not become the length of a loop; rows of such numbers that
// are really there are found all the same.
TEST_F(SalvageTest, ARowOfAnEnormousNumberIsKeptWithoutCountingUpToIt) {
  {
    const auto file = SqliteFile::open(path_);
    ASSERT_TRUE(file.has_value());
    ASSERT_TRUE(file->execute("UPDATE results SET rowid = 4611686018427387904 WHERE rowid = 7")
                    .has_value());
  }
  std::string damaged = bytes();
  std::fill_n(damaged.begin() + 10 * std::ptrdiff_t{4096}, 4096, '\x5a');
  write(damaged);
  const auto db = StudyDb::open(path_);
  ASSERT_TRUE(db.has_value()) << db.error().message;
  const auto moved = db->get("n", Json(6));  // row 7 was written seventh
  ASSERT_TRUE(moved.has_value() && moved->has_value());
  EXPECT_EQ(**moved, value_of(6));
  EXPECT_GT(num_right(*db), kRows * 9 / 10);
}

TEST_F(SalvageTest, ASalvageThatWasKilledBetweenItsRenamesIsEnded) {
  fs::rename(path_, path_ + ".salvaged");
  std::ofstream(path_ + "-wal") << "the log of the damaged file";
  auto db = StudyDb::open(path_);
  ASSERT_TRUE(db.has_value()) << db.error().message;
  EXPECT_EQ(num_right(*db), kRows);
  EXPECT_FALSE(fs::exists(path_ + ".salvaged"));
}

TEST_F(SalvageTest, NobodyMovesAFileThatAnotherHasOpen) {
  const FolderLock other = FolderLock::shared(path_);
  std::string damaged = bytes();
  std::fill_n(damaged.begin() + 8192, 4096, '\x5a');
  write(damaged);
  const auto db = StudyDb::open(path_);
  ASSERT_FALSE(db.has_value());
  EXPECT_NE(db.error().message.find("another process has it open"), std::string::npos)
      << db.error().message;
  EXPECT_EQ(bytes(), damaged);
}

}  // namespace
}  // namespace dovetail::record
