// Splits text into the pieces that byte-pair merges never cross.
//
// Each known splitter is one or two regular expressions, run one behind the other; the matches and
// the gaps between them are the pieces. Patterns are those of the models' own tokenizer.json.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

class PreTokenizer {
 public:
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // text must be valid UTF-8 (see valid_utf8_prefix). Calls `piece` for every piece, in order; the
  // pieces concatenate to the text. Safe to call from several threads.
  void split(std::string_view text, const std::function<void(std::string_view)>& piece) const;

 private:
  struct Impl;
  explicit PreTokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend Result<PreTokenizer> make_pre_tokenizer(std::string_view name);
};

struct PreTokenizerFacts {
  std::string_view name;
  std::vector<std::string_view> gguf_names;  // values of tokenizer.ggml.pre
  std::vector<std::string_view> patterns;
  bool nfc = false;            // text is normalised to NFC first
  bool ignore_merges = false;  // a piece that is a token is that token, before any merge
};

// The known ones: gpt-2, llama-3, qwen2, smollm.
[[nodiscard]] const std::vector<PreTokenizerFacts>& known_pre_tokenizers();
// "gpt-2, llama-3, ...": for messages.
[[nodiscard]] std::string known_pre_tokenizer_names();

// name: one of known_pre_tokenizers(). Errors: kInvalidArgument listing the known ones.
[[nodiscard]] Result<PreTokenizer> make_pre_tokenizer(std::string_view name);

// Length in bytes of the longest prefix that is valid UTF-8 (no surrogates, no overlong forms).
[[nodiscard]] size_t valid_utf8_prefix(std::string_view text);

}  // namespace dovetail::model
