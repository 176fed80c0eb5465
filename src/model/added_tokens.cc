#include "model/added_tokens.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>

namespace dovetail::model {
namespace {

bool is_word(UChar32 c) {
  return c == '_' || u_hasBinaryProperty(c, UCHAR_ALPHABETIC) || u_isalnum(c);
}

// The code point that ends before `at`, or that begins there; -1 at the ends of the text.
UChar32 before(std::string_view text, size_t at) {
  if (at == 0) return -1;
  auto index = static_cast<int32_t>(std::min<size_t>(at, 4));
  const auto* start =
      reinterpret_cast<const uint8_t*>(text.data()) + (at - static_cast<size_t>(index));
  UChar32 c = 0;
  U8_PREV(start, 0, index, c);
  return c;
}

UChar32 behind(std::string_view text, size_t at, size_t& bytes) {
  const auto length = static_cast<int32_t>(std::min<size_t>(text.size() - at, 4));
  bytes = 0;
  if (length == 0) return -1;
  const auto* start = reinterpret_cast<const uint8_t*>(text.data()) + at;
  int32_t index = 0;
  UChar32 c = 0;
  U8_NEXT(start, index, length, c);
  bytes = static_cast<size_t>(index);
  return c;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  size_t ignored = 0;
  const UChar32 left = before(text, begin);
  const UChar32 right = behind(text, end, ignored);
  return (left < 0 || !is_word(left)) && (right < 0 || !is_word(right));
}

size_t skip_space_back(std::string_view text, size_t from, size_t floor) {
  while (from > floor) {
    const UChar32 c = before(text, from);
    if (c < 0 || !u_isUWhiteSpace(c)) break;
    from -= static_cast<size_t>(U8_LENGTH(c));
  }
  return std::max(from, floor);
}

size_t skip_space(std::string_view text, size_t from) {
  while (from < text.size()) {
    size_t bytes = 0;
    const UChar32 c = behind(text, from, bytes);
    if (c < 0 || !u_isUWhiteSpace(c)) break;
    from += bytes;
  }
  return from;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    const auto first_a = static_cast<uint8_t>(a.content[0]);
    const auto first_b = static_cast<uint8_t>(b.content[0]);
    if (first_a != first_b) return first_a < first_b;
    if (a.content.size() != b.content.size()) return a.content.size() > b.content.size();
    return a.content < b.content;
  });
  by_first_byte_.assign(256, {0, 0});
  for (size_t i = 0; i < tokens_.size(); ++i) {
    auto& [begin, end] = by_first_byte_[static_cast<uint8_t>(tokens_[i].content[0])];
    if (end == 0) begin = i;
    end = i + 1;
  }
}

const AddedToken* AddedTokenFinder::token_at(std::string_view text, size_t at) const {
  const auto [begin, end] = by_first_byte_[static_cast<uint8_t>(text[at])];
  for (size_t i = begin; i < end; ++i) {
    if (text.substr(at).starts_with(tokens_[i].content)) return &tokens_[i];
  }
  return nullptr;
}

void AddedTokenFinder::split(std::string_view text,
                             const std::function<void(std::string_view)>& plain,
                             const std::function<void(int32_t)>& token) const {
  size_t done = 0;
  size_t at = 0;
  while (at < text.size() && !tokens_.empty()) {
    const AddedToken* found = token_at(text, at);
    if (found == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + found->content.size();
    if (found->single_word && !stands_alone(text, begin, end)) {
      at = end;
      continue;
    }
    if (found->lstrip) begin = skip_space_back(text, begin, done);
    if (found->rstrip) end = skip_space(text, end);
    if (begin > done) plain(text.substr(done, begin - done));
    token(found->id);
    done = at = end;
  }
  if (done < text.size()) plain(text.substr(done));
}

}  // namespace dovetail::model
