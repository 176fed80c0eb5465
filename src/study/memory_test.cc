#include "study/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/test_folder.h"

namespace dovetail::study {
namespace {

class MemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "memory_test";
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  std::filesystem::path folder_;
};

TEST_F(MemoryTest, AnotherStudyFindsWhatTheFirstComputed) {
  int computed = 0;
  const auto compute = [&]() -> Result<Json> {
    ++computed;
    return Json(42);
  };
  for (const char* study : {"a.db", "b.db", "a.db"}) {
    auto memory = Memory::open(at(study), at("cache/shared.db"));
    ASSERT_TRUE(memory.has_value()) << memory.error().message;
    EXPECT_EQ(memory->remember({"profile", Json{{"model", "m"}}, compute, true}).value(), Json(42));
  }
  EXPECT_EQ(computed, 1);
  // The second study holds its own copy: it does not need the cache any more.
  auto alone = Memory::open(at("b.db"), "/proc/no/such/folder/shared.db");
  ASSERT_TRUE(alone.has_value());
  EXPECT_EQ(alone->remember({"profile", Json{{"model", "m"}}, compute, true}).value(), Json(42));
  EXPECT_EQ(computed, 1);
}

std::vector<Piece> slow_pieces(int count, std::atomic<int>& computed) {
  std::vector<Piece> pieces;
  for (int i = 0; i < count; ++i) {
    pieces.push_back(
        {.kind = "square", .input = Json(i), .compute = [i, &computed]() -> Result<Json> {
           ++computed;
           std::this_thread::sleep_for(std::chrono::milliseconds(5));
           return Json(i * i);
         }});
  }
  return pieces;
}

TEST_F(MemoryTest, WorkersComputeEveryPieceOnceAndAllGetEveryResult) {
  constexpr int kPieces = 40;
  std::atomic<int> computed = 0;
  const auto work = [&](std::vector<Json>& values, std::atomic<int>& own) {
    auto memory = Memory::open(at("study.db"), at("shared.db"));
    ASSERT_TRUE(memory.has_value()) << memory.error().message;
    const auto all = memory->remember_all(slow_pieces(kPieces, own));
    ASSERT_TRUE(all.has_value()) << all.error().message;
    values = *all;
    computed += own;
  };
  constexpr int kWorkers = 3;
  std::vector<std::vector<Json>> values(kWorkers);
  std::vector<std::atomic<int>> own(kWorkers);
  {
    std::vector<std::jthread> workers;
    for (size_t i = 0; i < kWorkers; ++i)
      workers.emplace_back(work, std::ref(values[i]), std::ref(own[i]));
  }
  EXPECT_EQ(computed, kPieces);
  for (size_t i = 0; i < kWorkers; ++i) {
    EXPECT_GT(own[i], 0) << "worker " << i << " had no share";
    ASSERT_EQ(values[i].size(), size_t{kPieces});
    for (int piece = 0; piece < kPieces; ++piece) {
      EXPECT_EQ(values[i][static_cast<size_t>(piece)], Json(piece * piece));
    }
  }
}

TEST_F(MemoryTest, APieceThatFailedIsFreeForOthers) {
  auto one = Memory::open(at("study.db"), at("shared.db"));
  auto other = Memory::open(at("study.db"), at("shared.db"));
  const auto failed =
      one->remember({"n", Json(1), []() -> Result<Json> { return io_error("disk full"); }, false});
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().message, "disk full");
  const auto value =
      other->remember({"n", Json(1), []() -> Result<Json> { return Json(2); }, false});
  ASSERT_TRUE(value.has_value());
  EXPECT_EQ(*value, Json(2));
  EXPECT_EQ(one->find("n", Json(1)).value(), Json(2));
  EXPECT_FALSE(one->find("n", Json(3))->has_value());
}

TEST_F(MemoryTest, APieceMayRememberOthersWhileItComputes) {
  auto memory = Memory::open(at("study.db"), at("shared.db"));
  const auto outer =
      memory->remember({"outer", Json(1),
                        [&]() -> Result<Json> {
                          return memory->remember(
                              {"inner", Json(1), []() -> Result<Json> { return Json(7); }, false});
                        },
                        false});
  EXPECT_EQ(outer.value(), Json(7));
  EXPECT_EQ(memory->find("inner", Json(1)).value(), Json(7));
}

}  // namespace
}  // namespace dovetail::study
