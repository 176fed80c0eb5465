#include "study/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace dovetail::study {
namespace {

class MemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("memory_test_" + std::to_string(::getpid()));
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

}  // namespace
}  // namespace dovetail::study
