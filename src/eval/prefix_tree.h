// What token sequences have in common at their beginnings, as a tree: what a node stands for is
// computed once for all sequences below it.
#pragma once

#include <cstdint>
#include <vector>

namespace dovetail::eval {

struct SharedSequence {
  std::vector<int32_t> ids = {};  // one or more
  int64_t own = 1;                // so many of the last ones are not shared, 1..ids.size()
};

// Stands for positions [begin, end) of each sequence below it; those before are its parents'.
struct PrefixNode {
  int64_t parent = -1;  // -1: none
  int64_t begin = 0;
  int64_t end = 0;
  int64_t sequence = 0;  // a leaf's own; of others, one below it, for its ids
  std::vector<int64_t> children = {};

  [[nodiscard]] bool is_leaf() const { return children.empty(); }
};

// Parents come before their children; one leaf for each sequence. A node that others share has two
// children or more and at least `min_shared` positions, 1 or more; shorter ones are not worth it.
[[nodiscard]] std::vector<PrefixNode> prefix_tree(const std::vector<SharedSequence>& sequences,
                                                  int64_t min_shared);

}  // namespace dovetail::eval
