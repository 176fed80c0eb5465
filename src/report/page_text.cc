#include "report/page_text.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace dovetail::report {
namespace {

std::string base64(const std::vector<Bytef>& bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t num_bytes = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) group = group << 8 | (j < num_bytes ? bytes[i + j] : 0U);
    for (size_t j = 0; j < 4; ++j) {
      text += j <= num_bytes ? kDigits[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return text;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Result<std::string> fill_template(
    std::string_view shell,
    const std::vector<std::pair<std::string_view, std::string_view>>& values) {
  std::string out;
  size_t start = 0;
  for (size_t open = shell.find("{{"); open != std::string_view::npos;
       open = shell.find("{{", start)) {
    const size_t close = shell.find("}}", open);
    if (close == std::string_view::npos) break;
    const std::string_view name = shell.substr(open + 2, close - open - 2);
    const auto value =
        std::ranges::find(values, name, &std::pair<std::string_view, std::string_view>::first);
    if (value == values.end()) {
      return invalid_argument(fmt::format("page template: {{{{{}}}}} has no value", name));
    }
    out += shell.substr(start, open - start);
    out += value->second;
    start = close + 2;
  }
  out += shell.substr(start);
  return out;
}

Result<std::string> deflate_base64(std::string_view text) {
  uLongf size = compressBound(static_cast<uLong>(text.size()));
  std::vector<Bytef> bytes(size);
  const int code = compress2(bytes.data(), &size, reinterpret_cast<const Bytef*>(text.data()),
                             static_cast<uLong>(text.size()), Z_BEST_COMPRESSION);
  if (code != Z_OK) {
    return std::unexpected(Error{ErrorCode::kInternal, fmt::format("zlib: code {}", code)});
  }
  bytes.resize(size);
  return base64(bytes);
}

}  // namespace dovetail::report
