#include "model/tokenizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "model/byte_pair.h"
#include "model/gguf.h"
#include "model/piece_encoder.h"
#include "model/pre_tokenizer.h"
#include "model/tokenizer_parts.h"

namespace dovetail::model {
namespace {

// Bytes of every token by id, and the id of every token that merging can produce.
struct Vocabulary {
  std::vector<std::string> bytes;
  std::unordered_map<std::string, int32_t> ids;          // by entry as written
  std::unordered_map<std::string_view, int32_t> pieces;  // by bytes, views into `bytes`
};

Vocabulary piece_vocabulary(const PieceModel& model, const TokenizerParts& parts) {
  Vocabulary vocabulary;
  for (const Piece& piece : model.pieces) vocabulary.bytes.push_back(piece_bytes(piece));
  vocabulary.bytes.resize(parts.tokens.size());
  for (const AddedToken& token : parts.added)
    vocabulary.bytes[static_cast<size_t>(token.id)] = token.content;
  return vocabulary;
}

Vocabulary build_vocabulary(const TokenizerParts& parts) {
  if (parts.pieces != nullptr) return piece_vocabulary(*parts.pieces, parts);
  const ByteAlphabet alphabet;
  std::vector<bool> is_added(parts.tokens.size());
  for (const AddedToken& token : parts.added) is_added[static_cast<size_t>(token.id)] = true;
  Vocabulary vocabulary;
  vocabulary.bytes.resize(parts.tokens.size());
  vocabulary.ids.reserve(parts.tokens.size());
  vocabulary.pieces.reserve(parts.tokens.size());
  for (size_t i = 0; i < parts.tokens.size(); ++i) {
    const std::string& entry = parts.tokens[i];
    if (entry.empty()) continue;
    std::string& bytes = vocabulary.bytes[i];
    const bool decoded = !is_added[i] && alphabet.decode(entry, bytes);
    if (!decoded) bytes = entry;
    vocabulary.ids.try_emplace(entry, static_cast<int32_t>(i));
    if (decoded) vocabulary.pieces.try_emplace(bytes, static_cast<int32_t>(i));
  }
  return vocabulary;
}

Result<BytePairMerger> build_merger(const TokenizerParts& parts, const Vocabulary& vocabulary) {
  std::array<int32_t, 256> byte_ids;
  for (size_t byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const auto entry = vocabulary.pieces.find(std::string_view(&c, 1));
    byte_ids[byte] = entry == vocabulary.pieces.end() ? -1 : entry->second;
  }
  BytePairMerger merger(byte_ids);
  merger.reserve(parts.merges.size());
  for (const auto& [left, right] : parts.merges) {
    const std::string merged = left + right;
    const auto find = [&](const std::string& entry) {
      const auto found = vocabulary.ids.find(entry);
      return found == vocabulary.ids.end() ? -1 : found->second;
    };
    const int32_t ids[3] = {find(left), find(right), find(merged)};
    if (ids[0] < 0 || ids[1] < 0 || ids[2] < 0) {
      return invalid_argument(
          fmt::format("{}: merge \"{} {}\" names a token that the vocabulary lacks", parts.source,
                      left, right));
    }
    merger.add_merge(ids[0], ids[1], ids[2]);
  }
  return merger;
}

// Canonical composition; text must be valid UTF-8.
std::string to_nfc(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  std::string composed;
  if (U_SUCCESS(status)) {
    icu::StringByteSink<std::string> sink(&composed);
    const icu::StringPiece source(text.data(), static_cast<int32_t>(text.size()));
    nfc->normalizeUTF8(0, source, sink, nullptr, status);
  }
  return U_SUCCESS(status) ? composed : std::string(text);
}

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) return false;
  }
  return true;
}

}  // namespace

void add_pieces(const PieceModel& model, TokenizerParts& parts) {
  for (const Piece& piece : model.pieces) {
    const auto id = static_cast<int32_t>(parts.tokens.size());
    parts.tokens.push_back(piece.text);
    const bool hidden = piece.kind == PieceKind::kControl || piece.kind == PieceKind::kUnknown;
    if (!hidden && piece.kind != PieceKind::kUserDefined) continue;
    AddedToken token;
    token.content = hidden ? piece.text : piece_bytes(piece);
    token.id = id;
    token.special = hidden;
    parts.added.push_back(std::move(token));
  }
}

namespace {

bool is_piece_model(const std::string& path) {
  return path.ends_with(".model");
}

Result<TokenizerParts> read_folder(const std::string& path) {
  std::error_code ignored;
  const std::string json = path + "/tokenizer.json";
  const std::string pieces = path + "/tokenizer.model";
  const bool has_json = std::filesystem::exists(json, ignored);
  if (std::filesystem::exists(pieces, ignored)) {
    // Both: they are the same tokenizer, unless this is another's file of the same name.
    DOVETAIL_TRY(const bool same, has_json ? is_of_pieces(json) : Result<bool>(true));
    if (same) return read_piece_tokenizer(pieces);
  }
  if (has_json) return read_json_tokenizer(json);
  if (std::filesystem::exists(path + "/vocab.json", ignored)) return read_vocab_and_merges(path);
  return not_found(
      fmt::format("{}: holds neither tokenizer.json nor tokenizer.model nor vocab.json", path));
}

}  // namespace

Result<TokenizerParts> read_tokenizer_parts(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return not_found(
        fmt::format("{}: no such file or folder, want a tokenizer.json, a tokenizer.model, a "
                    "folder with one, or a GGUF file",
                    path));
  }
  if (std::filesystem::is_directory(path, ignored)) return read_folder(path);
  if (looks_like_gguf(path)) return read_gguf_tokenizer(path);
  return is_piece_model(path) ? read_piece_tokenizer(path) : read_json_tokenizer(path);
}

namespace {

std::vector<AddedToken> with_normalized(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> chosen;
  for (const AddedToken& token : tokens) {
    if (token.normalized == normalized) chosen.push_back(token);
  }
  return chosen;
}

std::unordered_set<int32_t> special_ids(const std::vector<AddedToken>& tokens) {
  std::unordered_set<int32_t> ids;
  for (const AddedToken& token : tokens) {
    if (token.special) ids.insert(token.id);
  }
  return ids;
}

}  // namespace

namespace {

// Byte-level byte pairs of text between special tokens.
struct ByteLevelEncoder {
  const Vocabulary& vocabulary;
  BytePairMerger merger;
  PreTokenizer pre_tokenizer;
  AddedTokenFinder normalized_tokens;  // looked for behind the normaliser
  bool nfc = false;
  bool ignore_merges = false;

  void append_piece(std::string_view piece, std::vector<int32_t>& ids) const {
    if (ignore_merges) {
      if (const auto entry = vocabulary.pieces.find(piece); entry != vocabulary.pieces.end()) {
        ids.push_back(entry->second);
        return;
      }
    }
    merger.append(piece, ids);
  }

  void append_valid(std::string_view text, std::vector<int32_t>& ids) const {
    const bool changes = nfc && !is_ascii(text);
    const std::string composed = changes ? to_nfc(text) : std::string();
    normalized_tokens.split(
        changes ? std::string_view(composed) : text,
        [&](std::string_view plain) {
          pre_tokenizer.split(plain, [&](std::string_view piece) { append_piece(piece, ids); });
        },
        [&](int32_t id) { ids.push_back(id); });
  }

  // Bytes that are not UTF-8 become the tokens of the single bytes.
  void append_plain(std::string_view text, std::vector<int32_t>& ids) const {
    while (!text.empty()) {
      const size_t valid = valid_utf8_prefix(text);
      if (valid > 0) append_valid(text.substr(0, valid), ids);
      if (valid == text.size()) return;
      merger.append(text.substr(valid, 1), ids);
      text.remove_prefix(valid + 1);
    }
  }
};

}  // namespace

struct Tokenizer::Impl {
  std::unique_ptr<const Vocabulary> vocabulary;
  AddedTokenFinder raw_tokens;  // looked for in the text as it is
  std::unordered_set<int32_t> special;
  int32_t eos_id = -1;
  int32_t bos_id = -1;
  bool adds_bos = false;
  bool adds_space = false;
  bool space_after_special = false;
  // One of the two.
  std::unique_ptr<const ByteLevelEncoder> byte_level = nullptr;
  std::unique_ptr<const PieceEncoder> pieces = nullptr;

  void append_plain(std::string_view text, bool at_start, std::vector<int32_t>& ids) const {
    if (pieces != nullptr) return pieces->append(text, at_start, ids);
    byte_level->append_plain(text, ids);
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  bool at_start = true;
  impl_->raw_tokens.split(
      text,
      [&](std::string_view plain) {
        impl_->append_plain(plain, at_start, ids);
        at_start = false;
      },
      [&](int32_t id) {
        ids.push_back(id);
        at_start = impl_->space_after_special;
      });
  return ids;
}

bool Tokenizer::adds_bos() const {
  return impl_->adds_bos;
}

std::string Tokenizer::decode(const std::vector<int32_t>& ids) const {
  std::string text;
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_size()) text += impl_->vocabulary->bytes[static_cast<size_t>(id)];
  }
  return text;
}

std::string Tokenizer::decode_text(const std::vector<int32_t>& ids) const {
  std::string text = decode(ids);
  if (impl_->adds_space && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

bool Tokenizer::is_special(int32_t id) const {
  return impl_->special.contains(id);
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(impl_->vocabulary->bytes.size());
}
int32_t Tokenizer::eos_id() const {
  return impl_->eos_id;
}
int32_t Tokenizer::bos_id() const {
  return impl_->bos_id >= 0 ? impl_->bos_id : impl_->eos_id;
}

namespace {

Result<std::unique_ptr<const ByteLevelEncoder>> make_byte_level(const TokenizerParts& parts,
                                                                const Vocabulary& vocabulary) {
  DOVETAIL_TRY(BytePairMerger merger, build_merger(parts, vocabulary));
  auto pre_tokenizer = make_pre_tokenizer(parts.pre_tokenizer);
  if (!pre_tokenizer.has_value())
    return with_context(std::move(pre_tokenizer).error(), parts.source);
  return std::make_unique<const ByteLevelEncoder>(
      ByteLevelEncoder{.vocabulary = vocabulary,
                       .merger = std::move(merger),
                       .pre_tokenizer = std::move(*pre_tokenizer),
                       .normalized_tokens = AddedTokenFinder(with_normalized(parts.added, true)),
                       .nfc = parts.nfc,
                       .ignore_merges = parts.ignore_merges});
}

}  // namespace

Result<Tokenizer> load_tokenizer(const std::string& path) {
  DOVETAIL_TRY(const TokenizerParts parts, read_tokenizer_parts(path));
  const bool has_pieces = parts.pieces != nullptr;
  auto impl = std::unique_ptr<Tokenizer::Impl>(new Tokenizer::Impl{
      .vocabulary = std::make_unique<const Vocabulary>(build_vocabulary(parts)),
      .raw_tokens =
          AddedTokenFinder(has_pieces ? parts.added : with_normalized(parts.added, false)),
      .special = special_ids(parts.added),
      .eos_id = parts.eos_id,
      .bos_id = parts.bos_id,
      .adds_bos = parts.adds_bos && parts.bos_id >= 0,
      .adds_space = has_pieces && parts.pieces->adds_space,
      .space_after_special = parts.space_after_special});
  if (has_pieces) {
    DOVETAIL_TRY(PieceEncoder pieces, PieceEncoder::create(*parts.pieces));
    impl->pieces = std::make_unique<const PieceEncoder>(std::move(pieces));
  } else {
    DOVETAIL_TRY(impl->byte_level, make_byte_level(parts, *impl->vocabulary));
  }
  return Tokenizer(std::move(impl));
}

}  // namespace dovetail::model
