#include "eval/prefix_work.h"

#include <algorithm>

#include "base/result.h"

namespace dovetail::eval {
namespace {

// More would be searched for longer than they save.
constexpr size_t kMaxCached = 16;
// A cached prefix that is shorter is not worth a page of its own.
constexpr int64_t kMinCached = 8;

}  // namespace

PrefixCache::Found PrefixCache::find(std::span<const int32_t> ids, int64_t limit) {
  int64_t longest = 0;
  size_t best = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const int64_t length = std::min<int64_t>(
        limit, std::ranges::mismatch(ids, entries_[i].ids).in1 - ids.begin());
    if (length <= longest) continue;
    longest = length;
    best = i;
  }
  if (longest < kMinCached) return {};
  std::rotate(entries_.begin() + static_cast<int64_t>(best),
              entries_.begin() + static_cast<int64_t>(best) + 1, entries_.end());
  return {&entries_.back().kv, longest};
}

void PrefixCache::put(std::vector<int32_t> ids, host::KvSequence kv) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.ids == ids; });
  entries_.push_back({std::move(ids), std::move(kv)});
  if (entries_.size() > kMaxCached) drop_oldest();
}

bool PrefixCache::drop_oldest() {
  if (entries_.empty()) return false;
  entries_.erase(entries_.begin());
  return true;
}

PrefixWork::PrefixWork(host::PagedModel& model, PrefixCache& cache,
                       const std::vector<SharedSequence>& sequences,
                       const std::vector<int64_t>& rooms, int64_t min_shared, int64_t max_kv_bytes)
    : model_(model),
      cache_(cache),
      sequences_(sequences),
      rooms_(rooms),
      max_kv_bytes_(max_kv_bytes),
      nodes_(prefix_tree(sequences, min_shared)),
      states_(nodes_.size()) {
  for (int64_t i = std::ssize(nodes_) - 1; i >= 0; --i) {
    states_[static_cast<size_t>(i)].unstarted =
        std::ssize(nodes_[static_cast<size_t>(i)].children);
    if (nodes_[static_cast<size_t>(i)].parent < 0) waiting_.push_back(i);
  }
}

std::span<const int32_t> PrefixWork::ids_of(const PrefixNode& node) const {
  return std::span(sequences_[static_cast<size_t>(node.sequence)].ids)
      .first(static_cast<size_t>(node.end));
}

int64_t PrefixWork::bytes_of(int64_t positions) const {
  const int64_t tokens = model_.pool().layout().tokens;
  return ((positions + tokens - 1) / tokens + 1) * model_.pool().page_bytes();
}

// Gives up cached and then shared prefixes until so many more positions fit; not the one that
// `node` goes on from.
bool PrefixWork::make_room(int64_t node, int64_t positions, int64_t reserved_bytes) {
  const int64_t bytes = bytes_of(positions);
  const auto fits = [&] {
    return model_.pool().bytes_in_use() + bytes + reserved_bytes <= max_kv_bytes_;
  };
  while (!fits() && cache_.drop_oldest()) {
  }
  const int64_t parent = nodes_[static_cast<size_t>(node)].parent;
  for (size_t i = 0; i < complete_.size() && !fits();) {
    if (complete_[i] == parent) {
      ++i;
      continue;
    }
    states_[static_cast<size_t>(complete_[i])].kv.reset();
    complete_.erase(complete_.begin() + static_cast<int64_t>(i));
  }
  return fits();
}

// Forks what is there of the node's prefix.
void PrefixWork::start(int64_t index) {
  const PrefixNode& node = nodes_[static_cast<size_t>(index)];
  const host::KvSequence* from = nullptr;
  int64_t length = 0;
  for (int64_t at = node.parent; at >= 0 && from == nullptr;
       at = nodes_[static_cast<size_t>(at)].parent) {
    const State& state = states_[static_cast<size_t>(at)];
    if (!state.is_complete || !state.kv.has_value()) continue;
    from = &*state.kv;
    length = from->length();
  }
  const int64_t own = node.is_leaf() ? sequences_[static_cast<size_t>(node.sequence)].own : 0;
  const PrefixCache::Found found = cache_.find(ids_of(node), node.end - own);
  if (found.length > length) {
    from = found.kv;
    length = found.length;
  }
  states_[static_cast<size_t>(index)].kv =
      from == nullptr ? host::KvSequence(model_.pool()) : from->fork(length);
  if (node.parent >= 0) child_started(node.parent);
}

void PrefixWork::child_started(int64_t parent) {
  State& state = states_[static_cast<size_t>(parent)];
  if (--state.unstarted > 0 || !state.kv.has_value()) return;
  const auto ids = ids_of(nodes_[static_cast<size_t>(parent)]);
  cache_.put({ids.begin(), ids.end()}, std::move(*state.kv));
  state.kv.reset();
  std::erase(complete_, parent);
}

void PrefixWork::complete(int64_t index) {
  states_[static_cast<size_t>(index)].is_complete = true;
  const PrefixNode& node = nodes_[static_cast<size_t>(index)];
  if (node.is_leaf()) return;
  complete_.push_back(index);
  waiting_.insert(waiting_.end(), node.children.rbegin(), node.children.rend());
}

Piece PrefixWork::piece_of(int64_t index, int64_t count) {
  const PrefixNode& node = nodes_[static_cast<size_t>(index)];
  host::KvSequence& kv = *states_[static_cast<size_t>(index)].kv;
  const int64_t begin = kv.length();
  const int64_t end = begin + count;
  Piece piece{.node = index, .first_wanted = end, .is_last = end == node.end};
  if (node.is_leaf()) {
    piece.sequence = node.sequence;
    const int64_t own = sequences_[static_cast<size_t>(node.sequence)].own;
    piece.first_wanted = std::clamp(node.end - own, begin, end);
  }
  piece.segment = {
      .kv = &kv,
      .ids = ids_of(node).subspan(static_cast<size_t>(begin), static_cast<size_t>(count)),
      .wanted = end - piece.first_wanted};
  return piece;
}

std::vector<Piece> PrefixWork::take(const PassLimits& limits) {
  std::vector<Piece> pieces;
  int64_t rows = limits.rows;
  int64_t leaves = limits.leaves;
  int64_t reserved_bytes = limits.reserved_bytes;
  while (rows > 0 && !waiting_.empty()) {
    const int64_t index = waiting_.back();
    const PrefixNode& node = nodes_[static_cast<size_t>(index)];
    if (node.is_leaf() && leaves-- == 0) break;
    State& state = states_[static_cast<size_t>(index)];
    if (!state.kv.has_value()) start(index);
    const int64_t left = node.end - state.kv->length();
    const int64_t room =
        node.is_leaf() && !rooms_.empty() ? rooms_[static_cast<size_t>(node.sequence)] : 0;
    const bool is_alone = pieces.empty() && limits.reserved_bytes == 0;
    if (!make_room(index, left + room, reserved_bytes) && !is_alone) break;
    const int64_t count = std::min(rows, left);
    if (count == left) waiting_.pop_back();
    if (count == 0) {  // all of a shared prefix was cached
      complete(index);
      continue;
    }
    pieces.push_back(piece_of(index, count));
    reserved_bytes += bytes_of(left + room);
    rows -= count;
  }
  return pieces;
}

std::vector<std::pair<int64_t, host::KvSequence>> PrefixWork::finish(
    const std::vector<Piece>& pieces) {
  std::vector<std::pair<int64_t, host::KvSequence>> leaves;
  for (const Piece& piece : pieces) {
    if (!piece.is_last) continue;
    complete(piece.node);
    if (piece.sequence < 0) continue;
    std::optional<host::KvSequence>& kv = states_[static_cast<size_t>(piece.node)].kv;
    leaves.emplace_back(piece.sequence, std::move(*kv));
    kv.reset();
  }
  return leaves;
}

}  // namespace dovetail::eval
