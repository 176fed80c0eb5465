#include "silicon/mapping_memo.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace dovetail::silicon {
namespace {

constexpr size_t kChunk = 256;        // groups
constexpr size_t kFirstPlaces = 256;  // of a part

// Bytes of a buffer that hold as many tiles as `buffer` does, no more than there are.
double whole_tiles(double buffer, double tile_bytes, int64_t tiles) {
  return std::min(std::floor(buffer / tile_bytes), static_cast<double>(tiles)) * tile_bytes;
}

void grouped(const std::vector<MappedCost>& set, std::vector<MappingGroup>& groups) {
  constexpr size_t kLanes = MappingGroup::kLanes;
  groups.resize((set.size() + kLanes - 1) / kLanes);
  for (size_t i = 0; i < groups.size() * kLanes; ++i) {
    const MappingCost& cost = set[std::min(i, set.size() - 1)].cost;
    MappingGroup& group = groups[i / kLanes];
    const size_t lane = i % kLanes;
    group.compute_cycles[lane] = cost.compute_cycles;
    group.m_blocks[lane] = cost.m_blocks;
    group.decoded_rows[lane] = cost.decoded_rows;
    group.dram_bytes[lane] = cost.dram_bytes;
    group.sram_bytes[lane] = cost.sram_bytes;
  }
}

}  // namespace

MapperRoom useful_room(const MapperProblem& p, const MapperRoom& room) {
  MapperRoom useful = room;
  const int64_t tiles_m = (p.m + room.rows - 1) / room.rows;
  const int64_t tiles_n = (p.n + room.cols - 1) / room.cols;
  useful.block_tiles = std::min(room.block_tiles, tiles_m * tiles_n);
  useful.weight_buffer =
      whole_tiles(room.weight_buffer, static_cast<double>(room.cols) * p.weight_row_bytes, tiles_n);
  useful.input_buffer =
      whole_tiles(room.input_buffer, static_cast<double>(room.rows) * p.input_row_bytes, tiles_m);
  const double inputs = p.inputs_in_dram ? static_cast<double>(p.m) * p.input_row_bytes : 0;
  // Weights that pass once need not be held.
  const double weights =
      p.weights_in_sram || tiles_m == 1 ? 0 : static_cast<double>(p.n) * p.weight_row_bytes;
  // All of one operand and two blocks of the other, which may be more than all of it.
  const double most = inputs > 0 && weights > 0 ? 2 * (inputs + weights) : inputs + weights;
  useful.hold = std::clamp(room.hold, 0.0, most);
  return useful;
}

MappingMemo::Key MappingMemo::key_of(const MapperProblem& p, const MapperRoom& r) {
  const auto bits = [](double value) { return std::bit_cast<uint64_t>(value); };
  const uint64_t flags =
      static_cast<uint64_t>(p.inputs_in_dram) | static_cast<uint64_t>(p.weights_in_sram) << 1 |
      static_cast<uint64_t>(p.decodes) << 2 | static_cast<uint64_t>(r.hides_drain) << 3;
  const std::array<uint64_t, 16> words = {static_cast<uint64_t>(p.m),
                                          static_cast<uint64_t>(p.n),
                                          bits(p.tile_cycles),
                                          bits(p.weight_row_bytes),
                                          bits(p.input_row_bytes),
                                          flags,
                                          bits(p.other_dram_bytes),
                                          bits(p.other_sram_bytes),
                                          static_cast<uint64_t>(r.cores),
                                          static_cast<uint64_t>(r.rows),
                                          static_cast<uint64_t>(r.cols),
                                          static_cast<uint64_t>(r.block_tiles),
                                          bits(r.weight_buffer),
                                          bits(r.input_buffer),
                                          bits(r.hold),
                                          bits(r.block_fill_cycles)};
  // Two multiplicative hashes with different odd factors, stirred after each word.
  Key key = {0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f};
  for (const uint64_t word : words) {
    key.first = (key.first ^ word) * 0xd6e8feb86659fd93;
    key.first ^= key.first >> 32;
    key.second = (key.second ^ word) * 0xa0761d6478bd642f;
    key.second ^= key.second >> 29;
  }
  if (key == Key{}) key.first = 1;
  return key;
}

// Where the key is, or the empty place for it. There is always one.
MappingMemo::Place* MappingMemo::place_of(Part& part, const Key& key) {
  const size_t mask = part.places.size() - 1;
  size_t at = key.second & mask;
  while (part.places[at].key != Key{} && part.places[at].key != key) at = (at + 1) & mask;
  return &part.places[at];
}

void MappingMemo::grow(Part& part) {
  std::vector<Place> old(std::max(kFirstPlaces, 2 * part.places.size()));
  old.swap(part.places);
  for (const Place& place : old) {
    if (place.key != Key{}) *place_of(part, place.key) = place;
  }
}

MappingList MappingMemo::keep(Part& part, const std::vector<MappingGroup>& groups) {
  if (part.chunks.empty() ||
      part.chunks.back().size() + groups.size() > part.chunks.back().capacity()) {
    part.chunks.emplace_back().reserve(std::max(kChunk, groups.size()));
    part.bytes += part.chunks.back().capacity() * sizeof(MappingGroup);
  }
  std::vector<MappingGroup>& chunk = part.chunks.back();
  const size_t begin = chunk.size();
  chunk.insert(chunk.end(), groups.begin(), groups.end());
  return {chunk.data() + begin, groups.size()};
}

MappingList MappingMemo::list(const MapperProblem& problem, const MapperRoom& room, OwnLists& own) {
  const MapperRoom useful = useful_room(problem, room);
  const Key key = key_of(problem, useful);
  Part& part = parts_[key.first % kNumParts];
  {
    const std::lock_guard lock(part.mutex);
    if (part.taken > 0) {
      const Place* place = place_of(part, key);
      if (place->key == key) return place->list;
    }
  }
  thread_local std::vector<MappedCost> set;
  thread_local std::vector<MappingGroup> groups;
  pareto_mappings(problem, useful, set);
  grouped(set, groups);
  const std::lock_guard lock(part.mutex);
  if (part.bytes + part.places.size() * sizeof(Place) > max_bytes_of_part_) {
    const std::vector<MappingGroup>& kept = own.emplace_back(groups);
    return {kept.data(), kept.size()};
  }
  if (2 * (part.taken + 1) > part.places.size()) grow(part);
  Place* place = place_of(part, key);
  if (place->key == key) return place->list;  // another thread was quicker
  *place = {key, keep(part, groups)};
  ++part.taken;
  return place->list;
}

size_t MappingMemo::size() {
  size_t sum = 0;
  for (Part& part : parts_) {
    const std::lock_guard lock(part.mutex);
    sum += part.taken;
  }
  return sum;
}

}  // namespace dovetail::silicon
