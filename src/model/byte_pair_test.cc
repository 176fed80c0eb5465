#include "model/byte_pair.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"

namespace dovetail::model {
namespace {

using Ids = std::vector<int32_t>;

struct NamedMerge {
  int32_t left;
  int32_t right;
  int32_t merged;
};

// Oracle: looks at all neighbours again for every merge.
Ids merged_slowly(const std::string& piece, const std::vector<NamedMerge>& merges) {
  Ids ids(piece.begin(), piece.end());
  while (true) {
    size_t best_rank = merges.size();
    size_t best_at = 0;
    for (size_t at = 0; at + 1 < ids.size(); ++at) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left == ids[at] && merges[rank].right == ids[at + 1]) {
          best_rank = rank;
          best_at = at;
        }
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best_at] = merges[best_rank].merged;
    ids.erase(ids.begin() + static_cast<int64_t>(best_at) + 1);
  }
}

std::array<int32_t, 256> ascii_only() {
  std::array<int32_t, 256> ids;
  for (int32_t byte = 0; byte < 256; ++byte)
    ids[static_cast<size_t>(byte)] = byte < 128 ? byte : -1;
  return ids;
}

TEST(BytePairMerger, MatchesTheSlowMergerOnRandomMergesAndPieces) {
  Random random(23);
  for (int round = 0; round < 300; ++round) {
    std::vector<NamedMerge> merges;
    BytePairMerger merger(ascii_only());
    Ids known = {'a', 'b', 'c'};
    std::map<std::pair<int32_t, int32_t>, bool> seen;
    for (int i = 0; i < 12; ++i) {
      const auto pick = [&] {
        return known[static_cast<size_t>(random.below(static_cast<int64_t>(known.size())))];
      };
      const NamedMerge merge = {pick(), pick(), 256 + i};
      if (!seen.try_emplace({merge.left, merge.right}, true).second) continue;
      merges.push_back(merge);
      merger.add_merge(merge.left, merge.right, merge.merged);
      known.push_back(merge.merged);
    }
    for (int text = 0; text < 20; ++text) {
      std::string piece;
      for (int64_t length = random.below(20); length > 0; --length) {
        piece += static_cast<char>('a' + random.below(3));
      }
      Ids ids;
      merger.append(piece, ids);
      ASSERT_EQ(ids, merged_slowly(piece, merges)) << piece;
    }
  }
}

TEST(BytePairMerger, BytesWithoutATokenAreDropped) {
  BytePairMerger merger(ascii_only());
  merger.add_merge('a', 'b', 300);
  Ids ids;
  merger.append(
      "a\xff"
      "b\xff",
      ids);
  EXPECT_EQ(ids, Ids{300});
  merger.append("\xff", ids);
  EXPECT_EQ(ids, Ids{300});
  merger.append("", ids);
  EXPECT_EQ(ids, Ids{300});
}

TEST(ByteAlphabet, MapsEveryByteOnceAndRefusesTheRest) {
  const ByteAlphabet alphabet;
  std::string bytes;
  EXPECT_TRUE(alphabet.decode("\u0120a\u010a", bytes));  // the stand-ins of space and line feed
  EXPECT_EQ(bytes, " a\n");
  EXPECT_TRUE(alphabet.decode("\u0143\u00e9", bytes));  // the last stand-in is that of byte 173
  EXPECT_EQ(bytes, "\xad\xe9");
  for (const char* outside : {" ", "\n", "\u0144", "\u4f60", "\xc4", "\xff", "\x80"}) {
    EXPECT_FALSE(alphabet.decode(outside, bytes)) << outside;
  }
  EXPECT_EQ(bytes, "\xad\xe9");
}

}  // namespace
}  // namespace dovetail::model
