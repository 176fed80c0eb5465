#include "serve/text_stream.h"

#include <algorithm>
#include <utility>

#include "eval/python_text.h"

namespace dovetail::serve {
namespace {

// How many of the last bytes may be the beginning of a stop string.
size_t begun_bytes(const std::string& text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops) {
    for (size_t length = std::min(stop.size() - 1, text.size()); length > longest; --length) {
      if (text.ends_with(stop.substr(0, length))) longest = length;
    }
  }
  return longest;
}

size_t first_stop(const std::string& text, const std::vector<std::string>& stops) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

}  // namespace

size_t unfinished_bytes(const std::string& bytes) {
  for (size_t back = 1; back <= std::min<size_t>(3, bytes.size()); ++back) {
    const auto byte = static_cast<uint8_t>(bytes[bytes.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;  // goes on a character
    const size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

TextStream::TextStream(const model::Tokenizer& tokenizer, std::vector<std::string> stops)
    : tokenizer_(&tokenizer), stops_(std::move(stops)), is_over_(tokenizer, stops_) {}

bool TextStream::push(int32_t id) {
  ids_.push_back(id);
  if (!tokenizer_->is_special(id)) bytes_ += tokenizer_->decode({id});
  return is_over_(ids_) || first_stop(bytes_, stops_) != std::string::npos;
}

std::string TextStream::take(bool at_end) {
  std::string text;
  if (at_end) {
    text = eval::generated_text(*tokenizer_, ids_, stops_);
  } else {
    text = eval::with_replacement_characters(
        bytes_.substr(0, bytes_.size() - unfinished_bytes(bytes_)));
    text.resize(std::min(text.size() - begun_bytes(text, stops_), first_stop(text, stops_)));
  }
  if (text.size() <= given_) return {};
  std::string rest = text.substr(given_);
  given_ = text.size();
  return rest;
}

}  // namespace dovetail::serve
