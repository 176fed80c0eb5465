#include "compress/activation_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "base/test_folder.h"

namespace dovetail::compress {
namespace {

TEST(ActivationStore, GivesBackWhatWasWrittenInMemoryAndOnDisk) {
  const std::string folder = test_folder().string();
  for (const std::string& where : {std::string(), folder}) {
    auto store = ActivationStore::create(10, 3, where);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    std::vector<float> rows(30);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i);
    ASSERT_TRUE(store->write(4, 6, rows.data() + 12).has_value());
    ASSERT_TRUE(store->write(0, 4, rows.data()).has_value());
    ActivationStore moved = std::move(*store);
    std::vector<float> back(30);
    ASSERT_TRUE(moved.read(0, 7, back.data()).has_value());
    ASSERT_TRUE(moved.read(7, 3, back.data() + 21).has_value());
    EXPECT_EQ(back, rows);
  }
}

TEST(ActivationStore, WhatIsFetchedChangedAndWrittenStays) {
  for (const std::string& where : {std::string(), test_folder().string()}) {
    auto store = ActivationStore::create(4, 2, where);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    ASSERT_TRUE(store->write(0, 4, std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}.data()).has_value());
    std::vector<float> scratch(4);
    const auto rows = store->fetch(1, 2, scratch.data());
    ASSERT_TRUE(rows.has_value()) << rows.error().message;
    EXPECT_EQ((*rows)[0], 2);
    (*rows)[3] = 50;
    ASSERT_TRUE(store->write(1, 2, *rows).has_value());
    std::vector<float> back(8);
    ASSERT_TRUE(store->read(0, 4, back.data()).has_value());
    EXPECT_EQ(back, (std::vector<float>{0, 1, 2, 3, 4, 50, 6, 7}));
  }
}

TEST(ActivationStore, HoldsNarrowerRowsWhenItIsReused) {
  for (const std::string& where : {std::string(), test_folder().string()}) {
    auto store = ActivationStore::create(3, 4, where);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    store->reuse(2);
    const std::vector<float> rows = {0, 1, 2, 3, 4, 5};
    ASSERT_TRUE(store->write(0, 3, rows.data()).has_value());
    std::vector<float> back(2);
    ASSERT_TRUE(store->read(1, 1, back.data()).has_value());
    EXPECT_EQ(back, (std::vector<float>{2, 3}));
  }
}

TEST(ActivationStore, LeavesNoFileBehind) {
  const std::string folder = (test_folder() / "activation_store_test").string();
  std::filesystem::create_directories(folder);
  const auto store = ActivationStore::create(100, 100, folder);
  ASSERT_TRUE(store.has_value());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(ActivationStoreError, NamesTheFolder) {
  const auto store = ActivationStore::create(1, 1, "/no/such/folder");
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kIo);
  EXPECT_TRUE(store.error().message.starts_with("/no/such/folder: activations cannot be kept"))
      << store.error().message;
}

}  // namespace
}  // namespace dovetail::compress
