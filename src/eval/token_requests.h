// Text to token ids as lm-eval 0.4.13 does it: pairs of context and continuation, windows over long
// texts, stop strings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/scorer.h"
#include "model/tokenizer.h"

namespace dovetail::eval {

// Ids of a text as the tokenizer itself asks for them: behind BOS where it puts one before every
// text, unless the text begins with BOS already, as those of chat templates do. (lm-eval looks at
// the first text of a batch of generations alone; here each text counts.)
[[nodiscard]] std::vector<int32_t> encode_request(const model::Tokenizer& tokenizer,
                                                  std::string_view text);

// White space at the end of the context moves to the continuation; the continuation's ids are what
// encoding both leaves behind as many ids as the context alone has. An empty context is the token
// that begins a text (BOS, else EOS). Errors: kInvalidArgument (a continuation without ids of its
// own, an empty context without such a token).
[[nodiscard]] Result<LoglikelihoodRequest> encode_pair(const model::Tokenizer& tokenizer,
                                                       std::string_view context,
                                                       std::string_view continuation);

// Leaves the last max_length + 1 ids of context and continuation together (the last id is not fed).
// True if something was cut off. Errors: kInvalidArgument if the continuation alone is too long.
[[nodiscard]] Result<bool> truncate_left(int64_t max_length, LoglikelihoodRequest& request);

// Requests whose continuations are the tokens once, in order, with as little lost context as
// windows of max_length allow: all but the first and last see one token before what they predict,
// the last fills its window with context. The first begins with `prefix`.
[[nodiscard]] std::vector<LoglikelihoodRequest> rolling_windows(const std::vector<int32_t>& tokens,
                                                                int32_t prefix, int64_t max_length);

// Whether a generation is over: its last id ends a text, or a stop string stands in its last ids
// (as many as the string's own, and two, because a model may spell it otherwise).
class StopCheck {
 public:
  StopCheck(const model::Tokenizer& tokenizer, const std::vector<std::string>& stops);
  [[nodiscard]] bool operator()(const std::vector<int32_t>& generated) const;

 private:
  struct Stop {
    std::string text;
    size_t tail_ids = 0;
  };
  const model::Tokenizer* tokenizer_;
  std::vector<Stop> stops_;
};

// The task's stop strings and the text of the token that ends a text.
[[nodiscard]] std::vector<std::string> with_end_of_text(const model::Tokenizer& tokenizer,
                                                        std::vector<std::string> stops);

// The text of generated ids, special tokens left out, cut before each stop string in turn; not
// stripped. Bytes that are no characters become U+FFFD.
[[nodiscard]] std::string generated_text(const model::Tokenizer& tokenizer,
                                         const std::vector<int32_t>& ids,
                                         const std::vector<std::string>& stops);

}  // namespace dovetail::eval
