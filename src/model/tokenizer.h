// Byte-level BPE and SentencePiece tokenizers, from tokenizer.json, tokenizer.model or the
// vocabulary inside a GGUF file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

class Tokenizer {
 public:
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Token ids of UTF-8 text; special tokens written in the text become their ids, none is added.
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text) const;
  // Whether the tokenizer itself asks for BOS before every text. Where it does, bos_id() is it.
  [[nodiscard]] bool adds_bos() const;
  // Bytes of the tokens one behind the other, special tokens included; may end inside a UTF-8
  // sequence. SentencePiece's space before a text is there.
  [[nodiscard]] std::string decode(const std::vector<int32_t>& ids) const;
  // The same for a whole text: without that space.
  [[nodiscard]] std::string decode_text(const std::vector<int32_t>& ids) const;
  // A token such as <|im_end|> that readers of a generated text do not see.
  [[nodiscard]] bool is_special(int32_t id) const;
  [[nodiscard]] int64_t vocab_size() const;
  // The end-of-text token, -1 if there is none.
  [[nodiscard]] int32_t eos_id() const;
  // The token that starts a text drawn from the model itself: BOS if there is one, else EOS.
  [[nodiscard]] int32_t bos_id() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend Result<Tokenizer> load_tokenizer(const std::string& path);
};

// From a tokenizer.json, a tokenizer.model, a folder that holds one, or a GGUF file.
// Errors: kNotFound, kInvalidArgument (unknown pre-tokenizer: the error lists the known ones).
[[nodiscard]] Result<Tokenizer> load_tokenizer(const std::string& path);

}  // namespace dovetail::model
