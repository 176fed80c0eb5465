#include "model/piece_model.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include <fmt/format.h>

#include "model/tokenizer_parts.h"

namespace dovetail::model {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";  // U+2581

// Wire types of protocol buffers.
enum : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// One field: a number, or bytes.
struct Field {
  uint64_t id = 0;
  uint64_t number = 0;  // of kVarint and kFixed32 (its bits)
  std::string_view bytes;
};

std::unexpected<Error> cut_off(const std::string& where) {
  return invalid_argument(
      fmt::format("{} is no SentencePiece model or is cut off: a field does not fit", where));
}

bool take_varint(std::string_view& rest, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !rest.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool take_bytes(std::string_view& rest, uint64_t count, std::string_view& bytes) {
  if (count > rest.size()) return false;
  bytes = rest.substr(0, count);
  rest.remove_prefix(count);
  return true;
}

bool take_field(std::string_view& rest, Field& field) {
  uint64_t tag = 0;
  if (!take_varint(rest, tag)) return false;
  field = {.id = tag >> 3, .bytes = {}};
  switch (tag & 7) {
    case kVarint:
      return take_varint(rest, field.number);
    case kBytes: {
      uint64_t size = 0;
      return take_varint(rest, size) && take_bytes(rest, size, field.bytes);
    }
    case kFixed32: {
      if (!take_bytes(rest, 4, field.bytes)) return false;
      uint32_t bits = 0;
      std::memcpy(&bits, field.bytes.data(), sizeof(bits));
      field.number = bits;
      return true;
    }
    case kFixed64:
      return take_bytes(rest, 8, field.bytes);
    default:
      return false;
  }
}

Status for_fields(std::string_view message, const std::string& where,
                  const std::function<Status(const Field&)>& use) {
  while (!message.empty()) {
    Field field;
    if (!take_field(message, field)) return cut_off(where);
    DOVETAIL_TRY_STATUS(use(field));
  }
  return {};
}

Result<Piece> parse_piece(std::string_view message, const std::string& where) {
  Piece piece;
  const Status read = for_fields(message, where, [&](const Field& field) -> Status {
    if (field.id == 1) piece.text = field.bytes;
    if (field.id == 2) {
      const auto bits = static_cast<uint32_t>(field.number);
      std::memcpy(&piece.score, &bits, sizeof(bits));
    }
    if (field.id == 3) {
      if (field.number < 1 || field.number > 6) {
        return invalid_argument(fmt::format("{}: type = {}, want 1..6", where, field.number));
      }
      piece.kind = static_cast<PieceKind>(field.number);
    }
    return {};
  });
  if (!read.has_value()) return std::unexpected(read.error());
  if (piece.text.empty()) return invalid_argument(where + " has no text");
  return piece;
}

Status parse_training(std::string_view message, PieceModel& model) {
  const std::string where = model.source + ": trainer_spec";
  uint64_t type = 1;  // unigram, the default of the format
  DOVETAIL_TRY_STATUS(for_fields(message, where, [&](const Field& field) -> Status {
    if (field.id == 3) type = field.number;
    if (field.id == 35) model.byte_fallback = field.number != 0;
    if (field.id == 24 && field.number != 0) {
      return invalid_argument(where + ": treat_whitespace_as_suffix = true, want false");
    }
    return {};
  }));
  if (type == 2) return {};
  return invalid_argument(fmt::format("{}: model_type = {}, want 2 (byte pairs)", where, type));
}

Status parse_normalizer(std::string_view message, PieceModel& model) {
  const std::string where = model.source + ": normalizer_spec";
  bool removes_spaces = true;
  bool escapes = true;
  DOVETAIL_TRY_STATUS(for_fields(message, where, [&](const Field& field) -> Status {
    // The library walks these tables without looking at their ends.
    if (field.id == 2 && !field.bytes.empty()) {
      return invalid_argument(where + ": has a precompiled_charsmap, want none (identity)");
    }
    if (field.id == 3) model.adds_space = field.number != 0;
    if (field.id == 4) removes_spaces = field.number != 0;
    if (field.id == 5) escapes = field.number != 0;
    return {};
  }));
  if (removes_spaces) {
    return invalid_argument(where + ": remove_extra_whitespaces = true, want false");
  }
  if (!escapes) return invalid_argument(where + ": escape_whitespaces = false, want true");
  return {};
}

// Puts fields of a protocol buffer behind one another.
class Message {
 public:
  void number(uint64_t id, uint64_t value) {
    varint(id << 3 | kVarint);
    varint(value);
  }
  void text(uint64_t id, std::string_view value) {
    varint(id << 3 | kBytes);
    varint(value.size());
    bytes_ += value;
  }
  void real(uint64_t id, float value) {
    varint(id << 3 | kFixed32);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

}  // namespace

Result<PieceModel> parse_piece_model(std::string_view bytes, const std::string& source) {
  PieceModel model{.source = source, .pieces = {}, .serialized = std::string(bytes)};
  bool has_training = false;
  bool has_normalizer = false;
  DOVETAIL_TRY_STATUS(for_fields(bytes, source, [&](const Field& field) -> Status {
    if (field.id == 1) {
      if (std::ssize(model.pieces) == kMaxVocabulary)
        return invalid_argument(fmt::format("{}: more than {} pieces", source, kMaxVocabulary));
      DOVETAIL_TRY(Piece piece, parse_piece(field.bytes, fmt::format("{}: piece {}", source,
                                                                     model.pieces.size())));
      model.pieces.push_back(std::move(piece));
    }
    if (field.id == 2) {
      has_training = true;
      return parse_training(field.bytes, model);
    }
    if (field.id == 3) {
      has_normalizer = true;
      return parse_normalizer(field.bytes, model);
    }
    return {};
  }));
  if (model.pieces.empty()) return invalid_argument(source + ": holds no pieces");
  if (!has_training) return invalid_argument(source + ": trainer_spec is missing");
  if (!has_normalizer) return invalid_argument(source + ": normalizer_spec is missing");
  return model;
}

PieceModel make_piece_model(std::vector<Piece> pieces, bool adds_space, const std::string& source) {
  PieceModel model{.source = source, .pieces = std::move(pieces), .adds_space = adds_space};
  model.byte_fallback = std::ranges::any_of(
      model.pieces, [](const Piece& piece) { return piece.kind == PieceKind::kByte; });
  Message whole;
  for (const Piece& piece : model.pieces) {
    Message one;
    one.text(1, piece.text);
    one.real(2, piece.score);
    one.number(3, static_cast<uint64_t>(piece.kind));
    whole.text(1, one.bytes());
  }
  Message training;
  training.number(3, 2);
  training.number(35, model.byte_fallback ? 1 : 0);
  whole.text(2, training.bytes());
  Message normalizer;
  normalizer.text(1, "identity");
  normalizer.number(3, adds_space ? 1 : 0);
  normalizer.number(4, 0);
  whole.text(3, normalizer.bytes());
  model.serialized = whole.bytes();
  return model;
}

std::string piece_bytes(const Piece& piece) {
  if (piece.kind == PieceKind::kByte && piece.text.size() == 6 && piece.text.starts_with("<0x")) {
    return std::string(1, static_cast<char>(std::strtoul(piece.text.c_str() + 3, nullptr, 16)));
  }
  if (piece.kind != PieceKind::kNormal && piece.kind != PieceKind::kUserDefined) return piece.text;
  std::string bytes = piece.text;
  for (size_t at = 0; (at = bytes.find(kSpace, at)) != std::string::npos; ++at)
    bytes.replace(at, kSpace.size(), " ");
  return bytes;
}

}  // namespace dovetail::model
