#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "model/gguf.h"
#include "model/pre_tokenizer.h"
#include "model/tokenizer_parts.h"

namespace dovetail::model {
namespace {

// Values of tokenizer.ggml.token_type that are matched in the text before anything else.
constexpr double kUnknown = 2;
constexpr double kControl = 3;
constexpr double kUserDefined = 4;

Result<const PreTokenizerFacts*> splitter_of(const GgufFile& file) {
  DOVETAIL_TRY(const auto name, file.find_text("tokenizer.ggml.pre"));
  for (const PreTokenizerFacts& facts : known_pre_tokenizers()) {
    const auto& names = facts.gguf_names;
    if (name.has_value() && std::find(names.begin(), names.end(), *name) != names.end())
      return &facts;
  }
  std::string known;
  for (const PreTokenizerFacts& facts : known_pre_tokenizers()) {
    known += (known.empty() ? "" : ", ") + fmt::format("{}", fmt::join(facts.gguf_names, ", "));
  }
  return invalid_argument(fmt::format("{}: tokenizer.ggml.pre = {}, want one of {}", file.path(),
                                      name.value_or("(missing)"), known));
}

Status read_tokens(const GgufFile& file, TokenizerParts& parts) {
  const auto* tokens = file.find_texts("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->empty() || tokens->size() > kMaxVocabulary) {
    return invalid_argument(fmt::format(
        "{}: tokenizer.ggml.tokens is missing or has no 1..{} texts", file.path(), kMaxVocabulary));
  }
  parts.tokens.assign(tokens->begin(), tokens->end());
  const auto* types = file.find_numbers("tokenizer.ggml.token_type");
  if (types == nullptr || types->size() != tokens->size()) {
    return invalid_argument(fmt::format("{}: tokenizer.ggml.token_type has {} entries, want {}",
                                        file.path(), types == nullptr ? 0 : types->size(),
                                        tokens->size()));
  }
  for (size_t i = 0; i < types->size(); ++i) {
    if ((*types)[i] != kControl && (*types)[i] != kUserDefined) continue;
    parts.added.push_back({.content = parts.tokens[i],
                           .id = static_cast<int32_t>(i),
                           .special = (*types)[i] == kControl});
  }
  return {};
}

Status read_merges(const GgufFile& file, TokenizerParts& parts) {
  const auto* merges = file.find_texts("tokenizer.ggml.merges");
  if (merges == nullptr) {
    return invalid_argument(
        fmt::format("{}: tokenizer.ggml.merges is missing or holds no texts", file.path()));
  }
  parts.merges.reserve(merges->size());
  for (const std::string_view merge : *merges) {
    const size_t space = merge.find(' ');
    if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
      return invalid_argument(
          fmt::format("{}: tokenizer.ggml.merges holds \"{}\", want two tokens and "
                      "one space",
                      file.path(), merge));
    }
    parts.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return {};
}

Result<int32_t> read_token_id(const GgufFile& file, const char* key, size_t vocabulary) {
  DOVETAIL_TRY(const auto id, file.find_integer(key));
  if (!id.has_value()) return -1;
  if (*id < 0 || *id >= static_cast<int64_t>(vocabulary)) {
    return invalid_argument(
        fmt::format("{}: {} = {}, want 0..{}", file.path(), key, *id, vocabulary - 1));
  }
  return static_cast<int32_t>(*id);
}

Result<int32_t> read_bos(const GgufFile& file, bool usual, TokenizerParts& parts) {
  DOVETAIL_TRY(const auto adds, file.find_bool("tokenizer.ggml.add_bos_token"));
  parts.adds_bos = adds.value_or(usual);
  return read_token_id(file, "tokenizer.ggml.bos_token_id", parts.tokens.size());
}

// Source of what is usual: llama.cpp, src/llama-vocab.cpp (SPM: BOS, and a space before every text
// and behind every special token).
Result<TokenizerParts> read_gguf_pieces(const GgufFile& file) {
  TokenizerParts parts;
  parts.source = file.path();
  DOVETAIL_TRY_STATUS(read_tokens(file, parts));
  const auto* types = file.find_numbers("tokenizer.ggml.token_type");
  const auto* scores = file.find_numbers("tokenizer.ggml.scores");
  if (scores == nullptr || scores->size() != parts.tokens.size()) {
    return invalid_argument(fmt::format("{}: tokenizer.ggml.scores has {} entries, want {}",
                                        file.path(), scores == nullptr ? 0 : scores->size(),
                                        parts.tokens.size()));
  }
  // Padding is of the unknown type in some files; the library wants one unknown piece.
  DOVETAIL_TRY(int32_t unknown,
               read_token_id(file, "tokenizer.ggml.unknown_token_id", parts.tokens.size()));
  if (unknown < 0)
    unknown = static_cast<int32_t>(std::ranges::find(*types, kUnknown) - types->begin());
  std::vector<Piece> pieces;
  for (size_t i = 0; i < parts.tokens.size(); ++i) {
    const double type = (*types)[i];
    if (!(type >= 1 && type <= 6) || parts.tokens[i].empty()) {
      return invalid_argument(fmt::format("{}: token {} is \"{}\" of type {}, want a text and 1..6",
                                          file.path(), i, parts.tokens[i], type));
    }
    pieces.push_back({.text = parts.tokens[i],
                      .score = static_cast<float>((*scores)[i]),
                      .kind = std::cmp_equal(i, unknown) ? PieceKind::kUnknown
                              : type == kUnknown         ? PieceKind::kUnused
                                                         : static_cast<PieceKind>(type)});
  }
  DOVETAIL_TRY(const auto space, file.find_bool("tokenizer.ggml.add_space_prefix"));
  PieceModel model = make_piece_model(std::move(pieces), space.value_or(true), file.path());
  parts.tokens.clear();
  parts.added.clear();
  add_pieces(model, parts);
  parts.pieces = std::make_shared<const PieceModel>(std::move(model));
  parts.space_after_special = true;
  DOVETAIL_TRY(parts.eos_id,
               read_token_id(file, "tokenizer.ggml.eos_token_id", parts.tokens.size()));
  DOVETAIL_TRY(parts.bos_id, read_bos(file, true, parts));
  return parts;
}

}  // namespace

Result<TokenizerParts> read_gguf_tokenizer(const std::string& path) {
  DOVETAIL_TRY(const GgufFile file, open_gguf(path));
  DOVETAIL_TRY(const std::string_view model, file.text("tokenizer.ggml.model"));
  if (model == "llama") return read_gguf_pieces(file);
  if (model != "gpt2") {
    return invalid_argument(
        fmt::format("{}: tokenizer.ggml.model = {}, want gpt2 (byte-level byte-pair "
                    "encoding) or llama (SentencePiece)",
                    path, model));
  }
  TokenizerParts parts;
  parts.source = path;
  DOVETAIL_TRY(const PreTokenizerFacts* splitter, splitter_of(file));
  parts.pre_tokenizer = splitter->name;
  parts.nfc = splitter->nfc;
  parts.ignore_merges = splitter->ignore_merges;
  DOVETAIL_TRY_STATUS(read_tokens(file, parts));
  DOVETAIL_TRY_STATUS(read_merges(file, parts));
  DOVETAIL_TRY(parts.eos_id,
               read_token_id(file, "tokenizer.ggml.eos_token_id", parts.tokens.size()));
  DOVETAIL_TRY(parts.bos_id, read_bos(file, splitter->name == "llama-3", parts));
  return parts;
}

}  // namespace dovetail::model
