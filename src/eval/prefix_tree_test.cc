#include "eval/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace dovetail::eval {
namespace {

// Every sequence has one leaf, and the nodes on its path are its own ids, each position once.
void expect_valid(const std::vector<SharedSequence>& sequences,
                  const std::vector<PrefixNode>& nodes, int64_t min_shared) {
  std::vector<int64_t> leaves(sequences.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const PrefixNode& node = nodes[i];
    ASSERT_LT(node.begin, node.end);
    ASSERT_LT(node.parent, static_cast<int64_t>(i));
    const SharedSequence& own = sequences[static_cast<size_t>(node.sequence)];
    if (!node.is_leaf()) {
      EXPECT_GE(node.children.size(), 2U);
      EXPECT_GE(node.end - node.begin, min_shared);
      continue;
    }
    ++leaves[static_cast<size_t>(node.sequence)];
    EXPECT_EQ(node.end, std::ssize(own.ids));
    EXPECT_LE(node.begin, std::ssize(own.ids) - own.own);
    int64_t begin = node.begin;
    for (int64_t at = node.parent; at >= 0; at = nodes[static_cast<size_t>(at)].parent) {
      const PrefixNode& parent = nodes[static_cast<size_t>(at)];
      EXPECT_EQ(parent.end, begin);
      begin = parent.begin;
      const std::vector<int32_t>& ids = sequences[static_cast<size_t>(parent.sequence)].ids;
      ASSERT_GE(std::ssize(ids), parent.end);
      EXPECT_TRUE(std::equal(ids.begin(), ids.begin() + parent.end, own.ids.begin()));
    }
    EXPECT_EQ(begin, 0);
  }
  EXPECT_EQ(leaves, std::vector<int64_t>(sequences.size(), 1));
}

int64_t positions(const std::vector<PrefixNode>& nodes) {
  int64_t count = 0;
  for (const PrefixNode& node : nodes) count += node.end - node.begin;
  return count;
}

TEST(PrefixTree, SharesWhatIsCommon) {
  const std::vector<SharedSequence> sequences = {
      {{1, 2, 3, 4, 5}}, {{1, 2, 3, 9}}, {{1, 2, 3, 4, 7, 8}}, {{6, 6}}};
  const auto nodes = prefix_tree(sequences, 1);
  expect_valid(sequences, nodes, 1);
  // 1 2 3 | 4 | 5, 7 8 | 9 | 6 6
  EXPECT_EQ(positions(nodes), 3 + 1 + 1 + 2 + 1 + 2);
  // The single 4 is not worth a node of its own.
  const auto coarse = prefix_tree(sequences, 2);
  expect_valid(sequences, coarse, 2);
  EXPECT_EQ(positions(coarse), 3 + 2 + 3 + 1 + 2);
}

TEST(PrefixTree, EverySequenceKeepsItsOwn) {
  // A beginning of another one, the same one twice, and one whose rows are all wanted.
  const std::vector<SharedSequence> sequences = {
      {{1, 2, 3}}, {{1, 2, 3, 4, 5}}, {{1, 2, 3}, 2}, {{1, 2, 3, 4, 5}, 5}};
  const auto nodes = prefix_tree(sequences, 1);
  expect_valid(sequences, nodes, 1);
}

TEST(PrefixTree, HoldsForRandomSequences) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<SharedSequence> sequences(static_cast<size_t>(1 + random.below(12)));
    for (SharedSequence& sequence : sequences) {
      const int64_t length = 1 + random.below(9);
      for (int64_t i = 0; i < length; ++i)
        sequence.ids.push_back(static_cast<int32_t>(random.below(2)));
      sequence.own = 1 + random.below(length);
    }
    const int64_t min_shared = 1 + random.below(3);
    expect_valid(sequences, prefix_tree(sequences, min_shared), min_shared);
  }
  EXPECT_TRUE(prefix_tree({}, 1).empty());
}

}  // namespace
}  // namespace dovetail::eval
