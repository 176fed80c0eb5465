#include "eval/prefix_tree.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <tuple>

namespace dovetail::eval {
namespace {

class TreeBuilder {
 public:
  TreeBuilder(const std::vector<SharedSequence>& sequences, int64_t min_shared)
      : sequences_(sequences), min_shared_(min_shared), order_(sequences.size()) {
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::ranges::sort(order_, [&](size_t a, size_t b) {
      return std::tie(sequences_[a].ids, a) < std::tie(sequences_[b].ids, b);
    });
  }

  std::vector<PrefixNode> build() {
    add(order_, -1, 0);
    return std::move(nodes_);
  }

 private:
  int64_t shareable(size_t sequence) const {
    return std::ssize(sequences_[sequence].ids) - sequences_[sequence].own;
  }

  // How many first ids all of `group` (sorted) have in common and may share.
  int64_t common(std::span<const size_t> group) const {
    const std::vector<int32_t>& first = sequences_[group.front()].ids;
    const std::vector<int32_t>& last = sequences_[group.back()].ids;
    int64_t length = std::ranges::mismatch(first, last).in1 - first.begin();
    for (const size_t sequence : group) length = std::min(length, shareable(sequence));
    return length;
  }

  int64_t add_node(int64_t parent, int64_t begin, int64_t end, size_t sequence) {
    const auto index = std::ssize(nodes_);
    nodes_.push_back({parent, begin, end, static_cast<int64_t>(sequence)});
    if (parent >= 0) nodes_[static_cast<size_t>(parent)].children.push_back(index);
    return index;
  }

  void add_leaf(size_t sequence, int64_t parent, int64_t begin) {
    add_node(parent, begin, std::ssize(sequences_[sequence].ids), sequence);
  }

  // Sequences that have their first `begin` ids from `parent`.
  void add(std::span<const size_t> group, int64_t parent, int64_t begin) {
    if (group.size() == 1) return add_leaf(group[0], parent, begin);
    const int64_t length = common(group);
    if (length - begin >= min_shared_) {
      parent = add_node(parent, begin, length, group[0]);
      begin = length;
    }
    // Those that may not share more end here; the others go on by their next id.
    std::vector<size_t> going_on;
    for (const size_t sequence : group) {
      if (shareable(sequence) > length)
        going_on.push_back(sequence);
      else
        add_leaf(sequence, parent, begin);
    }
    const auto next = [&](size_t i) {
      return sequences_[going_on[i]].ids[static_cast<size_t>(length)];
    };
    for (size_t from = 0, to = 0; from < going_on.size(); from = to) {
      while (to < going_on.size() && next(to) == next(from)) ++to;
      add(std::span(going_on).subspan(from, to - from), parent, begin);
    }
  }

  const std::vector<SharedSequence>& sequences_;
  const int64_t min_shared_;
  std::vector<size_t> order_;
  std::vector<PrefixNode> nodes_;
};

}  // namespace

std::vector<PrefixNode> prefix_tree(const std::vector<SharedSequence>& sequences,
                                    int64_t min_shared) {
  if (sequences.empty()) return {};
  return TreeBuilder(sequences, min_shared).build();
}

}  // namespace dovetail::eval
