// Pareto sets of mappings that were listed before, by problem and room.
//
// Chips of a space share most of them: a format set changes a problem only through its rate, and a
// buffer only where another number of tiles fits. Shared by all threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "silicon/mapper.h"

namespace dovetail::silicon {

// The same room with sizes that allow the same mappings at the same costs: buffers in whole tiles
// that the problem can use, a hold no larger than what may be held. A test lists both.
[[nodiscard]] MapperRoom useful_room(const MapperProblem& problem, const MapperRoom& room);

// Costs of four mappings, field by field, so that they are priced together. Where a list ends
// within a group, its last mapping stands again.
struct MappingGroup {
  static constexpr size_t kLanes = 4;
  using Lanes [[gnu::vector_size(kLanes * sizeof(double))]] = double;
  Lanes compute_cycles;
  Lanes m_blocks;
  Lanes decoded_rows;
  Lanes dram_bytes;
  Lanes sram_bytes;
};

// Costs of a Pareto set, owned by whoever made the list.
struct MappingList {
  const MappingGroup* groups = nullptr;
  size_t count = 0;  // of groups
};

// Lists that a full memo no longer takes; they move with their owner and keep their addresses.
using OwnLists = std::deque<std::vector<MappingGroup>>;

class MappingMemo {
 public:
  // At most about `max_bytes`: a full memo keeps what it has.
  explicit MappingMemo(size_t max_bytes) : max_bytes_of_part_(max_bytes / kNumParts) {}

  // The costs of pareto_mappings(problem, room), in its order. What is returned lives as long as
  // the memo, or as `own` if the memo is full.
  MappingList list(const MapperProblem& problem, const MapperRoom& room, OwnLists& own);
  [[nodiscard]] size_t size();

 private:
  // 128 bits of a hash stand for a problem and its room: that any two of 10^9 meet has a chance of
  // 10^-21.
  struct Key {
    uint64_t first = 0, second = 0;  // never both 0: that is an empty place
    bool operator==(const Key&) const = default;
  };
  struct Place {
    Key key;
    MappingList list;
  };
  // Open addressing: places are a power of two, at most half of them taken.
  struct Part {
    std::mutex mutex;
    std::vector<Place> places;
    size_t taken = 0;
    size_t bytes = 0;
    std::deque<std::vector<MappingGroup>> chunks;  // they never move
  };
  static constexpr size_t kNumParts = 64;

  static Key key_of(const MapperProblem& problem, const MapperRoom& room);
  static Place* place_of(Part& part, const Key& key);
  static void grow(Part& part);
  static MappingList keep(Part& part, const std::vector<MappingGroup>& groups);

  const size_t max_bytes_of_part_;
  std::array<Part, kNumParts> parts_;
};

}  // namespace dovetail::silicon
