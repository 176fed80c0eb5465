#include "compress/work_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::compress {
namespace {

namespace fs = std::filesystem;

class WorkFolderTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(path_); }
  void TearDown() override { fs::remove_all(path_); }

  static SavedBlock block(float value) {
    SavedBlock made;
    made.plain.push_back({"norm", {value}});
    return made;
  }
  static ActivationStore stream(float value) {
    ActivationStore store = ActivationStore::create(3000, 2, "").value();
    const std::vector<float> row = {value, -value};
    for (int64_t i = 0; i < 3000; ++i) EXPECT_TRUE(store.write(i, 1, row.data()).has_value());
    return store;
  }

  std::string path_ = (test_folder() / "work_folder_test").string();
  Json identity_ = {{"model", "a"}, {"recipe", "int4"}};
};

TEST_F(WorkFolderTest, GoesOnWhereItStopped) {
  {
    auto folder = WorkFolder::open(path_, identity_);
    ASSERT_TRUE(folder.has_value()) << folder.error().message;
    EXPECT_EQ(folder->num_finished_layers(), 0);
    EXPECT_FALSE(folder->has_head());
    ASSERT_TRUE(folder->save_head(block(9)).has_value());
    ASSERT_TRUE(folder->save_layer(0, block(1)).has_value());
    ASSERT_TRUE(folder->save_layer(1, block(2)).has_value());
    ASSERT_TRUE(folder->save_hidden(2, stream(2)).has_value());
    ASSERT_TRUE(folder->save_layer(2, block(3)).has_value());  // no stream behind it
  }
  auto folder = WorkFolder::open(path_, identity_);
  ASSERT_TRUE(folder.has_value()) << folder.error().message;
  EXPECT_EQ(folder->num_finished_layers(), 2);
  EXPECT_TRUE(folder->has_head());
  EXPECT_EQ(folder->layer(1)->plain[0].values[0], 2);
  EXPECT_EQ(folder->head()->plain[0].values[0], 9);
  ActivationStore hidden = ActivationStore::create(3000, 2, "").value();
  ASSERT_TRUE(folder->load_hidden(hidden).has_value());
  std::vector<float> row(2);
  ASSERT_TRUE(hidden.read(2999, 1, row.data()).has_value());
  EXPECT_EQ(row, (std::vector<float>{2, -2}));
  ASSERT_TRUE(std::move(*folder).remove().has_value());
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(WorkFolderTest, ADamagedPieceIsNoPiece) {
  {
    auto folder = WorkFolder::open(path_, identity_).value();
    ASSERT_TRUE(folder.save_layer(0, block(1)).has_value());
    ASSERT_TRUE(folder.save_hidden(1, stream(1)).has_value());
  }
  std::fstream file(path_ + "/layer_0000", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(40);
  file.put('x');
  file.close();
  EXPECT_EQ(WorkFolder::open(path_, identity_)->num_finished_layers(), 0);
}

TEST_F(WorkFolderTest, RefusesAnotherCompressionAndASecondProcess) {
  auto folder = WorkFolder::open(path_, identity_);
  ASSERT_TRUE(folder.has_value());
  EXPECT_EQ(WorkFolder::open(path_, identity_).error().message,
            path_ + ": another process works here, want one at a time");
  {
    const WorkFolder closed = std::move(*folder);
  }
  EXPECT_EQ(WorkFolder::open(path_, {{"model", "a"}, {"recipe", "int3"}}).error().message,
            path_ +
                ": holds the unfinished work of another compression (its recipe differs); remove "
                "that folder or name another output");
}

}  // namespace
}  // namespace dovetail::compress
