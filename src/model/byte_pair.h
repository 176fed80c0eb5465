// Byte-pair merging of one piece of text.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

// Merges in the order of their rank, the leftmost of equal rank first.
class BytePairMerger {
 public:
  // Ids of the 256 single bytes, -1 where the vocabulary has none: such bytes are dropped, as the
  // tokenizers library does without an unknown token.
  explicit BytePairMerger(const std::array<int32_t, 256>& byte_ids) : byte_ids_(byte_ids) {}

  // Adds the merge of the next rank. A pair that is there already keeps its first rank.
  void add_merge(int32_t left, int32_t right, int32_t merged);
  void reserve(size_t merges) { merges_.reserve(merges); }

  // Appends the tokens of one piece.
  void append(std::string_view piece, std::vector<int32_t>& ids) const;

 private:
  struct Merge {
    int32_t rank = 0;
    int32_t merged = 0;
  };
  [[nodiscard]] const Merge* find(int32_t left, int32_t right) const;

  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<uint64_t, Merge> merges_;  // left id << 32 | right id
};

// The printable stand-in of each byte in vocabularies of byte-level tokenizers, and back.
// Bytes 33..126, 161..172 and 174..255 stand for themselves, the others for U+0100 and up in order.
// Source: openai/gpt-2, encoder.py, bytes_to_unicode.
class ByteAlphabet {
 public:
  ByteAlphabet();
  // The bytes that a vocabulary entry stands for. False, and nothing changed, if the entry holds a
  // character outside the alphabet.
  [[nodiscard]] bool decode(std::string_view entry, std::string& bytes) const;

 private:
  std::array<int16_t, 512> byte_of_;  // by code point, -1 where there is none
};

}  // namespace dovetail::model
