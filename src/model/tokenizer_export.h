// The tokenizer of a checkpoint in the form of another: tokenizer.json from a GGUF's vocabulary, a
// GGUF's vocabulary from tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

// Texts of tokenizer.json and tokenizer_config.json, as the tokenizers and transformers packages
// read them. load_tokenizer gives the same ids from them as from the source.
struct TokenizerFiles {
  std::string tokenizer_json = {};
  std::string tokenizer_config_json = {};
  int32_t bos_id = -1;  // -1: none
  int32_t eos_id = -1;
};

// path: as of load_tokenizer. Errors: as load_tokenizer.
[[nodiscard]] Result<TokenizerFiles> tokenizer_files(const std::string& path);

// What a GGUF file holds under tokenizer.ggml.*.
struct GgufVocabulary {
  std::string pre = {};                  // "smollm", "llama-bpe", ...
  std::vector<std::string> tokens = {};  // ids 0..vocab_size - 1; unused ids are named [PADn]
  std::vector<int32_t> types = {};       // 1 normal, 3 control (special), 5 unused
  std::vector<std::string> merges = {};  // "left right"
  int32_t bos_id = -1;
  int32_t eos_id = -1;
  std::string chat_template = {};  // empty: none
};

// vocab_size: rows of the embedding. Errors: as load_tokenizer, and kInvalidArgument if the
// tokenizer has more tokens than that.
[[nodiscard]] Result<GgufVocabulary> gguf_vocabulary(const std::string& path, int64_t vocab_size);

}  // namespace dovetail::model
