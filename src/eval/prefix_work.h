// The order in which a prefix tree is fed to a model: depth first, in passes of many sequences, the
// keys and values of a shared prefix kept until its last child has begun, and then as long as
// memory lasts for requests to come.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/prefix_tree.h"
#include "host/paged_model.h"

namespace dovetail::eval {

// Prefixes that were shared, the least recently used one leaves first.
class PrefixCache {
 public:
  struct Found {
    const host::KvSequence* kv = nullptr;
    int64_t length = 0;  // of the ids that it begins with as well, at most `limit`
  };
  [[nodiscard]] Found find(std::span<const int32_t> ids, int64_t limit);
  void put(std::vector<int32_t> ids, host::KvSequence kv);
  // False if there was none.
  bool drop_oldest();

 private:
  struct Entry {
    std::vector<int32_t> ids;
    host::KvSequence kv;
  };
  std::vector<Entry> entries_;  // the least recently used one first
};

// Some tokens of a node, as a pass feeds them.
struct Piece {
  int64_t node = 0;
  int64_t sequence = -1;     // of a leaf; -1: a shared prefix
  int64_t first_wanted = 0;  // position of the first hidden state that is wanted
  bool is_last = false;      // of its node
  host::Segment segment = {};
};

struct PassLimits {
  int64_t rows = 0;
  int64_t leaves = 0;          // that may be under way
  int64_t reserved_bytes = 0;  // of keys and values that others will need
};

class PrefixWork {
 public:
  // `rooms`: positions that each sequence needs beyond its own ids later (generation), empty for
  // none. Keys and values stay below `max_kv_bytes` unless a single sequence with its prefix needs
  // more: shared prefixes are given up, to be computed again. Model, cache and sequences must
  // outlive this.
  PrefixWork(host::PagedModel& model, PrefixCache& cache,
             const std::vector<SharedSequence>& sequences, std::vector<int64_t> rooms,
             int64_t min_shared, int64_t max_kv_bytes);

  [[nodiscard]] bool is_done() const { return waiting_.empty(); }
  // What the next pass feeds; empty only if nothing fits beside what others hold or will need. The
  // caller feeds all of it, then calls finish().
  [[nodiscard]] std::vector<Piece> take(const PassLimits& limits);
  // Leaves whose last piece was fed give up their keys and values: to the caller, by sequence.
  [[nodiscard]] std::vector<std::pair<int64_t, host::KvSequence>> finish(
      const std::vector<Piece>& pieces);

 private:
  struct State {
    std::optional<host::KvSequence> kv;
    int64_t unstarted = 0;  // children
    bool is_complete = false;
  };
  [[nodiscard]] std::span<const int32_t> ids_of(const PrefixNode& node) const;
  [[nodiscard]] bool make_room(int64_t node, int64_t positions, int64_t reserved_bytes);
  // Of so many more positions of one sequence: one page more for that which is shared in part.
  [[nodiscard]] int64_t bytes_of(int64_t positions) const;
  [[nodiscard]] Piece piece_of(int64_t index, int64_t count);
  void start(int64_t index);
  void complete(int64_t index);
  void child_started(int64_t parent);

  host::PagedModel& model_;
  PrefixCache& cache_;
  const std::vector<SharedSequence>& sequences_;
  const std::vector<int64_t> rooms_;
  const int64_t max_kv_bytes_;
  std::vector<PrefixNode> nodes_;
  std::vector<State> states_;
  std::vector<int64_t> waiting_;   // nodes to begin or go on with, the next one last
  std::vector<int64_t> complete_;  // shared ones that keep their keys and values, oldest first
};

}  // namespace dovetail::eval
