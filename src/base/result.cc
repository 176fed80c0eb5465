#include "base/result.h"

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace dovetail {
namespace {

// Behind the middle stands what was wanted, so the end is kept too.
constexpr size_t kMaxMessageBytes = 2000;
constexpr size_t kKeptEndBytes = 400;

// Bytes of the UTF-8 character at `at`, 0 if none is valid there. After table 3-7 of the Unicode
// standard.
size_t character_bytes(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : uint8_t{0};
  };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const uint8_t second = byte(1);
  const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
  const bool outside = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
  return overlong || outside ? 0 : length;
}

bool continues(char c) {
  return (static_cast<uint8_t>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (size_t i = 0; i < text.size();) {
    const size_t bytes = character_bytes(text, i);
    const auto byte = static_cast<uint8_t>(text[i]);
    const bool control = byte < 0x20 || byte == 0x7f ||
                         (byte == 0xc2 && bytes == 2 && static_cast<uint8_t>(text[i + 1]) < 0xa0);
    if (control) {
      if (!line.ends_with(' ')) line += ' ';
    } else if (bytes == 0) {
      line += '?';
    } else {
      line += text.substr(i, bytes);
    }
    i += bytes == 0 ? 1 : bytes;
  }
  if (line.size() <= kMaxMessageBytes) return line;
  size_t head = kMaxMessageBytes - kKeptEndBytes;
  while (continues(line[head])) --head;
  size_t tail = line.size() - kKeptEndBytes;
  while (continues(line[tail])) ++tail;
  return line.substr(0, head) + " ... " + line.substr(tail);
}

std::unexpected<Error> make_error(ErrorCode code, std::string_view message) {
  return std::unexpected(Error{code, one_line(message)});
}

std::string to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

std::unexpected<Error> with_context(Error error, const std::string& context) {
  error.message = one_line(fmt::format("{}: {}", context, error.message));
  return std::unexpected(std::move(error));
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "dovetail: internal error: %s is false at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace dovetail
