// A SentencePiece model as a file holds it: tokenizer.model (a protocol buffer), or the tokens and
// scores of a GGUF file whose tokenizer is "llama".
//
// Source of the layout: sentencepiece, src/sentencepiece_model.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

// Numbers as in the file, and as in tokenizer.ggml.token_type.
enum class PieceKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Piece {
  std::string text;  // spaces are written as U+2581
  float score = 0;   // of a merge: the highest goes first
  PieceKind kind = PieceKind::kNormal;
};

struct PieceModel {
  std::string source;           // file, for messages
  std::vector<Piece> pieces;    // by id
  bool adds_space = true;       // before a text
  bool byte_fallback = false;   // what no piece covers becomes pieces <0x00>..<0xFF>
  std::string serialized = {};  // the whole as a protocol buffer
};

// Errors: kInvalidArgument naming `source` and what is wrong: cut off, no model of byte pairs, or
// one that changes text otherwise than by writing spaces as U+2581 and adding one before it.
[[nodiscard]] Result<PieceModel> parse_piece_model(std::string_view bytes,
                                                   const std::string& source);

// The same from its parts; `serialized` is made.
[[nodiscard]] PieceModel make_piece_model(std::vector<Piece> pieces, bool adds_space,
                                          const std::string& source);

// The bytes that a piece stands for: U+2581 is a space, <0x0A> a line feed.
[[nodiscard]] std::string piece_bytes(const Piece& piece);

}  // namespace dovetail::model
