// The text of an answer while it grows: what is given out never has to be taken back, whatever
// comes, and is the text that `dovetail eval` scores (eval::generated_text).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/token_requests.h"
#include "model/tokenizer.h"

namespace dovetail::serve {

class TextStream {
 public:
  // `tokenizer` must outlive this; no stop string is empty.
  TextStream(const model::Tokenizer& tokenizer, std::vector<std::string> stops);

  // Takes the next id. True: the text is over, by a stop string or the end of the text.
  bool push(int32_t id);
  // What was not given out yet: without what may begin a stop string or is no whole character, but
  // at the end all of it.
  [[nodiscard]] std::string take(bool at_end);

 private:
  const model::Tokenizer* tokenizer_;
  std::vector<std::string> stops_;
  eval::StopCheck is_over_;
  std::vector<int32_t> ids_;
  std::string bytes_;  // of all ids but special ones
  size_t given_ = 0;   // bytes of text
};

// How many of the last bytes begin a UTF-8 character that is not whole, 0..3.
[[nodiscard]] size_t unfinished_bytes(const std::string& bytes);

}  // namespace dovetail::serve
