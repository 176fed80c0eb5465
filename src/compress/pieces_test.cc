#include "compress/pieces.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "base/parallel.h"

namespace dovetail::compress {
namespace {

host::TokenBatch text(int64_t batch, int64_t seq) {
  return {batch, seq, std::vector<int32_t>(static_cast<size_t>(batch * seq))};
}

TEST(Pieces, AreWholeSequencesOfAtMostSoManyRows) {
  EXPECT_EQ(pieces_of(text(64, 512), 4096).sequences, 2);
  EXPECT_EQ(pieces_of(text(64, 300), 4096).sequences, 3);
  EXPECT_EQ(pieces_of(text(64, 4096), 4096).sequences, 1);
  EXPECT_EQ(pieces_of(text(1, 16), 4096).sequences, 1);
  EXPECT_EQ(pieces_of(text(64, 128), 256).sequences, 2);
  EXPECT_EQ(pieces_of(text(0, 0), 4096).sequences, 0);
}

TEST(Pieces, SideBySideTheyTakeTheRowsThatAreAllowed) {
  EXPECT_EQ(pieces_of(text(64, 512), 1024).workers, 1);
  EXPECT_EQ(pieces_of(text(64, 512), 2048).workers, std::min<int64_t>(2, num_threads()));
  EXPECT_EQ(pieces_of(text(64, 512), default_rows_at_once()).workers, num_threads());
}

TEST(ForPieces, VisitsEveryItemOnceWithAWorkerOfItsOwn) {
  std::vector<std::atomic<int>> visits(103);
  std::atomic<int> wrong{0};
  const Status done = for_pieces(103, 10, 2, [&](int64_t first, int64_t count, size_t worker) {
    wrong += worker >= 2 || first % 10 != 0 || count != std::min<int64_t>(10, 103 - first) ? 1 : 0;
    for (int64_t i = first; i < first + count; ++i) ++visits[static_cast<size_t>(i)];
    return Status{};
  });
  EXPECT_TRUE(done.has_value());
  EXPECT_EQ(wrong.load(), 0);
  for (const auto& visit : visits) EXPECT_EQ(visit.load(), 1);
}

TEST(ForPieces, TheFirstErrorInTheOrderOfItemsIsTheAnswer) {
  const Status done = for_pieces(40, 10, 4, [](int64_t first, int64_t, size_t) -> Status {
    if (first >= 20) return invalid_argument(std::to_string(first));
    return {};
  });
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().message, "20");
}

}  // namespace
}  // namespace dovetail::compress
