// What the readers of tokenizer files hand to the tokenizer. Not for use outside this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/added_tokens.h"
#include "model/piece_model.h"

namespace dovetail::model {

struct TokenizerParts {
  std::string source;               // file, for messages
  std::string pre_tokenizer;        // a name of known_pre_tokenizers()
  uint64_t id_limit = 0;            // ids above this are refused while reading
  std::vector<std::string> tokens;  // by id, as written in the vocabulary; "" for a gap
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  std::vector<AddedToken> added;                            // ids 0..tokens.size() - 1
  bool nfc = false;
  bool ignore_merges = false;
  int32_t eos_id = -1;
  int32_t bos_id = -1;
  bool adds_bos = false;  // before every text; bos_id is there
  // SentencePiece: what encodes; then there are no merges, and `tokens` are the pieces' texts.
  std::shared_ptr<const PieceModel> pieces = nullptr;
  bool space_after_special = false;  // SentencePiece: its space also behind special tokens
};

// Largest vocabulary that is read.
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
// Ids may exceed the number of vocabulary entries by this many: added tokens and unused ids. More
// would let a small file claim a lot of memory.
inline constexpr uint64_t kMaxVocabularyGap = uint64_t{1} << 16;

[[nodiscard]] Result<TokenizerParts> read_gguf_tokenizer(const std::string& path);
[[nodiscard]] Result<TokenizerParts> read_json_tokenizer(const std::string& path);
// A tokenizer.model. Added tokens stand in tokenizer.json or tokenizer_config.json beside it.
[[nodiscard]] Result<TokenizerParts> read_piece_tokenizer(const std::string& path);
// GPT-2's own pair of files. The splitter is that of GPT-2, or Qwen2's where tokenizer_config.json
// beside them says so.
[[nodiscard]] Result<TokenizerParts> read_vocab_and_merges(const std::string& folder);

// Puts the texts of the pieces into `tokens` and those that are found in a text before anything
// else (control, user-defined, unknown) into `added`.
void add_pieces(const PieceModel& model, TokenizerParts& parts);

// Whether a tokenizer.json is that of a SentencePiece model (it falls back to bytes).
[[nodiscard]] Result<bool> is_of_pieces(const std::string& path);

// From whatever `path` of load_tokenizer is.
[[nodiscard]] Result<TokenizerParts> read_tokenizer_parts(const std::string& path);

}  // namespace dovetail::model
