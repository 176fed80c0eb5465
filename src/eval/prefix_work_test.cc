#include "eval/prefix_work.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "eval/tiny_model.h"

namespace dovetail::eval {
namespace {

class PrefixWorkTest : public testing::Test {
 protected:
  // Feeds everything; gives the number of tokens that were fed.
  int64_t run(const std::vector<SharedSequence>& sequences, const PassLimits& limits,
              int64_t max_kv_bytes, int64_t min_shared = 8) {
    PrefixWork work(model_, cache_, sequences, rooms_, min_shared, max_kv_bytes);
    std::vector<int64_t> finished(sequences.size());
    int64_t tokens = 0;
    while (!work.is_done()) {
      const std::vector<Piece> pieces = work.take(limits);
      EXPECT_FALSE(pieces.empty());
      std::vector<host::Segment> segments;
      int64_t rows = 0;
      for (const Piece& piece : pieces) {
        segments.push_back(piece.segment);
        rows += std::ssize(piece.segment.ids);
      }
      EXPECT_LE(rows, limits.rows);
      (void)model_.feed(segments);
      most_bytes_ = std::max(most_bytes_, model_.pool().bytes_in_use());
      tokens += rows;
      for (const auto& [sequence, kv] : work.finish(pieces)) {
        ++finished[static_cast<size_t>(sequence)];
        EXPECT_EQ(kv.length(), std::ssize(sequences[static_cast<size_t>(sequence)].ids));
      }
    }
    EXPECT_EQ(finished, std::vector<int64_t>(sequences.size(), 1));
    return tokens;
  }

  // Eight questions of 20 tokens behind 100 that they share.
  std::vector<SharedSequence> questions(uint64_t seed) const {
    std::vector<SharedSequence> sequences;
    for (uint64_t i = 0; i < 8; ++i) {
      auto ids = random_tokens(1, 120, 101, 1000 * seed + i).ids;
      std::copy_n(shots_.begin(), 100, ids.begin());
      ids[100] = static_cast<int32_t>(i);  // all differ here
      sequences.push_back({ids});
    }
    return sequences;
  }

  static constexpr int64_t kPlenty = int64_t{1} << 30;
  host::PagedModel model_{host::HostModel::create(tiny_weights(1)).value()};
  PrefixCache cache_;
  std::vector<int64_t> rooms_;
  const std::vector<int32_t> shots_ = random_tokens(1, 100, 101, 9).ids;
  int64_t most_bytes_ = 0;
};

TEST_F(PrefixWorkTest, FeedsWhatIsSharedOnce) {
  EXPECT_EQ(run(questions(1), {.rows = 2048, .leaves = 100}, kPlenty), 100 + 8 * 20);
  // The next questions find it; so does a single one.
  EXPECT_EQ(run(questions(2), {.rows = 2048, .leaves = 100}, kPlenty), 8 * 20);
  EXPECT_EQ(run({questions(3)[0]}, {.rows = 2048, .leaves = 100}, kPlenty), 20);
}

TEST_F(PrefixWorkTest, FeedsAllWithoutSharing) {
  EXPECT_EQ(run(questions(1), {.rows = 2048, .leaves = 100}, kPlenty, 1000), 8 * 120);
}

TEST_F(PrefixWorkTest, StaysWithinItsMemory) {
  // A sequence of 120 tokens takes 4 pages; 12 are enough for the prefix and a few questions.
  const int64_t bytes = 12 * model_.pool().page_bytes();
  EXPECT_EQ(run(questions(1), {.rows = 2048, .leaves = 100}, bytes), 100 + 8 * 20);
  EXPECT_LE(most_bytes_, bytes);
  // With none, one at a time and each with its prefix again, but for what it goes on from.
  most_bytes_ = 0;
  cache_ = {};
  (void)run(questions(2), {.rows = 2048, .leaves = 100}, 0);
  EXPECT_LE(most_bytes_, 8 * model_.pool().page_bytes());
}

TEST_F(PrefixWorkTest, CutsWhatIsLongerThanAPass) {
  EXPECT_EQ(run(questions(1), {.rows = 33, .leaves = 1}, kPlenty), 100 + 8 * 20);
}

TEST_F(PrefixWorkTest, WaitsForRoomThatOthersNeed) {
  const std::vector<SharedSequence> sequences = questions(1);
  PrefixWork work(model_, cache_, sequences, rooms_, 8, 10 * model_.pool().page_bytes());
  EXPECT_TRUE(work.take({.rows = 2048, .leaves = 8,
                         .reserved_bytes = 9 * model_.pool().page_bytes()})
                  .empty());
  EXPECT_FALSE(work.is_done());
  EXPECT_FALSE(work.take({.rows = 2048, .leaves = 8}).empty());
}

TEST(PrefixCache, FindsTheLongestAndDropsTheOldest) {
  host::PagedModel model(host::HostModel::create(tiny_weights(1)).value());
  PrefixCache cache;
  const auto put = [&](const std::vector<int32_t>& ids) {
    host::KvSequence kv(model.pool());
    kv.extend(std::ssize(ids));
    cache.put(ids, std::move(kv));
  };
  const auto ids = random_tokens(1, 60, 101, 1).ids;
  put({ids.begin(), ids.begin() + 20});
  put({ids.begin(), ids.begin() + 50});
  EXPECT_EQ(cache.find(ids, 60).length, 50);
  EXPECT_EQ(cache.find(ids, 31).length, 31);
  EXPECT_EQ(cache.find(ids, 3).length, 0);  // not worth it
  EXPECT_EQ(cache.find(std::vector<int32_t>(40, 1), 40).kv, nullptr);
  EXPECT_TRUE(cache.drop_oldest());  // the one of 20, which nobody asked for
  EXPECT_EQ(cache.find(ids, 60).length, 50);
  EXPECT_TRUE(cache.drop_oldest());
  EXPECT_FALSE(cache.drop_oldest());
}

}  // namespace
}  // namespace dovetail::eval
