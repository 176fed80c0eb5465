#include "model/byte_pair.h"

#include <queue>

namespace dovetail::model {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

// One symbol of a piece; merged symbols leave the doubly linked list.
struct Symbol {
  int32_t id = 0;
  int32_t previous = -1;
  int32_t next = -1;
  bool alive = true;
};

struct Candidate {
  int32_t rank = 0;
  int32_t position = 0;
  int32_t merged = 0;
  // For std::priority_queue, whose top is the largest.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

void BytePairMerger::add_merge(int32_t left, int32_t right, int32_t merged) {
  merges_.try_emplace(pair_key(left, right), Merge{static_cast<int32_t>(merges_.size()), merged});
}

const BytePairMerger::Merge* BytePairMerger::find(int32_t left, int32_t right) const {
  const auto entry = merges_.find(pair_key(left, right));
  return entry == merges_.end() ? nullptr : &entry->second;
}

void BytePairMerger::append(std::string_view piece, std::vector<int32_t>& ids) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (const char c : piece) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id < 0) continue;
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({.id = id, .previous = index - 1, .next = index + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(storage));
  const auto offer = [&](int32_t position) {
    if (position < 0) return;
    const Symbol& left = symbols[static_cast<size_t>(position)];
    if (left.next < 0) return;
    if (const Merge* merge = find(left.id, symbols[static_cast<size_t>(left.next)].id)) {
      queue.push({merge->rank, position, merge->merged});
    }
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) offer(static_cast<int32_t>(i));

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(best.position)];
    if (!left.alive || left.next < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    // The pair may have changed since it was queued.
    const Merge* merge = find(left.id, right.id);
    if (merge == nullptr || merge->merged != best.merged) continue;
    left.id = best.merged;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    offer(left.previous);
    offer(best.position);
  }
  for (int32_t i = 0; i >= 0; i = symbols[static_cast<size_t>(i)].next) {
    ids.push_back(symbols[static_cast<size_t>(i)].id);
  }
}

ByteAlphabet::ByteAlphabet() {
  byte_of_.fill(-1);
  int16_t next = 256;
  for (int16_t byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    byte_of_[static_cast<size_t>(itself ? byte : next++)] = byte;
  }
}

bool ByteAlphabet::decode(std::string_view entry, std::string& bytes) const {
  std::string decoded;
  for (size_t i = 0; i < entry.size(); ++i) {
    auto code = static_cast<uint32_t>(static_cast<uint8_t>(entry[i]));
    if (code >= 0x80) {
      // All of the alphabet lies below U+0200, so two bytes are enough.
      if ((code & 0xe0) != 0xc0 || i + 1 >= entry.size()) return false;
      const auto second = static_cast<uint32_t>(static_cast<uint8_t>(entry[++i]));
      if ((second & 0xc0) != 0x80) return false;
      code = ((code & 31) << 6) | (second & 63);
    }
    if (code >= byte_of_.size() || byte_of_[code] < 0) return false;
    decoded += static_cast<char>(byte_of_[code]);
  }
  bytes = std::move(decoded);
  return true;
}

}  // namespace dovetail::model
