// Tokens that are found in the text before anything else, such as <|im_start|>.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dovetail::model {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows white space before it
  bool rstrip = false;       // and behind it
  bool normalized = false;   // looked for in normalised text
  bool special = false;      // not part of what a reader sees
};

// Finds the leftmost token, of those that begin there the longest.
class AddedTokenFinder {
 public:
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // Calls `plain` for text between tokens and `token` for each token, in order.
  void split(std::string_view text, const std::function<void(std::string_view)>& plain,
             const std::function<void(int32_t)>& token) const;
  [[nodiscard]] bool empty() const { return tokens_.empty(); }

 private:
  [[nodiscard]] const AddedToken* token_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;                        // by first byte, then longest first
  std::vector<std::pair<size_t, size_t>> by_first_byte_;  // range of tokens_ for each of 256 bytes
};

}  // namespace dovetail::model
