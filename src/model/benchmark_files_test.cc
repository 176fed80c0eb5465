#include "model/benchmark_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "base/test_folder.h"

namespace dovetail::model {
namespace {

TEST(BenchmarkFiles, SaysWhatIsMissingAndWhereItIsFrom) {
  const std::filesystem::path folder = test_folder() / "benchmark_files";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "quiz");
  const KnownBenchmark quiz{.name = "quiz",
                            .source = "the library",
                            .license = "MIT",
                            .files = {{.path = "quiz/a", .sha256 = sha256_hex("a"), .bytes = 1},
                                      {.path = "quiz/b", .sha256 = sha256_hex("b"), .bytes = 1}}};
  std::ofstream(folder / "quiz" / "a") << "a";
  const Status missing = check_benchmark(quiz, folder.string());
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("quiz: 1 of 2 files of questions are missing in " +
                                         folder.string() + ", the first is quiz/b."),
            std::string::npos)
      << missing.error().message;
  EXPECT_NE(missing.error().message.find("Their source is the library (MIT)"), std::string::npos);
  std::ofstream(folder / "quiz" / "b") << "c";
  EXPECT_EQ(check_benchmark(quiz, folder.string()).error().code, ErrorCode::kInvalidArgument);
  std::ofstream(folder / "quiz" / "b") << "b";
  EXPECT_TRUE(check_benchmark(quiz, folder.string()).has_value());
}

TEST(BenchmarkFiles, OfTheRealOnesAreAllKnown) {
  const auto known = load_known_benchmarks();
  ASSERT_TRUE(known.has_value()) << known.error().message;
  ASSERT_EQ(known->size(), 5U);
  EXPECT_EQ(known->front().name, "mmlu");
  EXPECT_EQ(known->front().files.size(), 2U * 57);
  const char* data = std::getenv("DOVETAIL_DATA");
  const std::string folder = std::string(data != nullptr ? data : "../shared/data") + "/eval";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is missing";
  for (const KnownBenchmark& benchmark : *known)
    EXPECT_TRUE(check_benchmark(benchmark, folder).has_value()) << benchmark.name;
}

}  // namespace
}  // namespace dovetail::model
