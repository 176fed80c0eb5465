// Prompts that were computed, with their keys, values and scores, for prompts that begin alike.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/completer.h"
#include "host/kv_pages.h"

namespace dovetail::eval {

class KeptPrefixes {
 public:
  struct Entry {
    std::vector<int32_t> ids;
    host::KvSequence kv;  // of all ids
    // Of ids 1.. where all of them were scored, with `num_top` alternatives; else empty.
    std::vector<ScoredToken> scores = {};
    int64_t num_top = 0;
  };
  struct Found {
    const Entry* entry = nullptr;  // until the next call of put() or drop_oldest()
    int64_t length = 0;            // ids that both begin with
  };

  // The entry that most of `ids` begins with; `num_top`: only scored ones with so many
  // alternatives, -1: any.
  [[nodiscard]] Found find(std::span<const int32_t> ids, int64_t num_top);
  void put(Entry entry);
  // The least recently used one. False if there was none.
  bool drop_oldest();

 private:
  std::vector<Entry> entries_;  // the least recently used one first
};

// Ids that both begin with.
[[nodiscard]] int64_t shared_length(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace dovetail::eval
