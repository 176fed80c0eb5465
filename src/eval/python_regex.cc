#define PCRE2_CODE_UNIT_WIDTH 8
#include "eval/python_regex.h"

#include <pcre2.h>

#include <array>
#include <limits>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

// Insides of classes: what \s and \w match. Of `re`, PCRE2's own \w is right.
constexpr std::string_view kReSpaces =
    R"(\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kRegexSpaces =
    R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kRegexWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d})";

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

// What an escape of the pattern becomes; the escape itself if PCRE2 means the same.
Result<std::string> rewritten_escape(char escaped, bool in_class, RegexDialect dialect) {
  const bool is_regex = dialect == RegexDialect::kRegex;
  const std::string_view spaces = is_regex ? kRegexSpaces : kReSpaces;
  const bool negates = escaped == 'S' || (is_regex && (escaped == 'W' || escaped == 'B'));
  if (negates && in_class) return invalid_argument(fmt::format("\\{} inside a class", escaped));
  if (escaped == 's') return in_class ? std::string(spaces) : fmt::format("[{}]", spaces);
  if (escaped == 'S') return fmt::format("[^{}]", spaces);
  if (is_regex && escaped == 'w') {
    return in_class ? std::string(kRegexWord) : fmt::format("[{}]", kRegexWord);
  }
  if (is_regex && escaped == 'W') return fmt::format("[^{}]", kRegexWord);
  if (is_regex && escaped == 'b') {
    return fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kRegexWord);
  }
  return fmt::format("\\{}", escaped);
}

Result<std::string> rewritten_pattern(std::string_view pattern, const RegexFlags& flags) {
  const std::string_view other_i =
      flags.dialect == RegexDialect::kRe ? R"(\x{130}\x{131})" : R"(\x{130})";
  std::string rewritten;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      auto escape = rewritten_escape(pattern[++i], in_class, flags.dialect);
      if (!escape.has_value())
        return with_context(escape.error(), fmt::format("pattern {}", pattern));
      rewritten += *escape;
      continue;
    }
    // A bracket that comes first in a class is one of its characters; no pattern here has that.
    if (c == '[' && !in_class)
      in_class = true;
    else if (c == ']')
      in_class = false;
    if (flags.ignore_case && (c == 'i' || c == 'I'))
      rewritten += in_class ? fmt::format("i{}", other_i) : fmt::format("[i{}]", other_i);
    else
      rewritten += c;
  }
  return rewritten;
}

}  // namespace

void PythonRegex::Free::operator()(pcre2_real_code_8* code) const {
  pcre2_code_free_8(code);
}

Result<PythonRegex> PythonRegex::compile(std::string_view pattern, const RegexFlags& flags) {
  DOVETAIL_TRY(const std::string rewritten, rewritten_pattern(pattern, flags));
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | (flags.ignore_case ? PCRE2_CASELESS : 0U) |
                           (flags.multi_line ? PCRE2_MULTILINE : 0U);
  int code = 0;
  size_t offset = 0;
  PythonRegex regex;
  regex.pattern_ = std::string(pattern);
  regex.code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                                  options, &code, &offset, context.get()));
  if (regex.code_ == nullptr) {
    return invalid_argument(fmt::format("pattern {}: {}", pattern, message_of(code)));
  }
  return regex;
}

Result<std::vector<PythonRegex::Match>> PythonRegex::matches(std::string_view text,
                                                             size_t limit) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create_from_pattern(code_.get(), nullptr), &pcre2_match_data_free);
  std::vector<Match> found;
  uint32_t options = 0;
  for (size_t at = 0; found.size() < limit;) {
    const int count = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                  text.size(), at, options, data.get(), nullptr);
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) {
      return invalid_argument(fmt::format("pattern {}: {}", pattern_, message_of(count)));
    }
    const size_t* offsets = pcre2_get_ovector_pointer(data.get());
    Match match;
    for (uint32_t i = 0; i < pcre2_get_ovector_count(data.get()); ++i) {
      const bool unset = offsets[2 * i] == PCRE2_UNSET;
      match.push_back(unset ? Span{} : Span{offsets[2 * i], offsets[2 * i + 1]});
    }
    at = match[0].end;
    // Behind an empty match Python wants another one there only if it is not empty.
    options = PCRE2_NO_UTF_CHECK | (match[0].begin == match[0].end ? PCRE2_NOTEMPTY_ATSTART : 0U);
    found.push_back(std::move(match));
  }
  return found;
}

Result<std::vector<std::vector<std::string>>> PythonRegex::find_all(std::string_view text) const {
  DOVETAIL_TRY(const std::vector<Match> found, matches(text, std::numeric_limits<size_t>::max()));
  std::vector<std::vector<std::string>> rows;
  for (const Match& match : found) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const Span& span : match) row.emplace_back(text.substr(span.begin, span.end - span.begin));
  }
  return rows;
}

Result<std::string> PythonRegex::substitute(std::string_view text,
                                            std::string_view replacement) const {
  DOVETAIL_TRY(const std::vector<Match> found, matches(text, std::numeric_limits<size_t>::max()));
  std::string made;
  size_t at = 0;
  for (const Match& match : found) {
    made += text.substr(at, match[0].begin - at);
    for (size_t i = 0; i < replacement.size(); ++i) {
      if (replacement[i] != '\\') {
        made += replacement[i];
        continue;
      }
      const auto group = static_cast<size_t>(replacement[++i] - '0');
      DOVETAIL_CHECK(group < match.size());
      made += text.substr(match[group].begin, match[group].end - match[group].begin);
    }
    at = match[0].end;
  }
  return made += text.substr(at);
}

Result<std::vector<std::string>> PythonRegex::split(std::string_view text) const {
  DOVETAIL_TRY(const std::vector<Match> found, matches(text, std::numeric_limits<size_t>::max()));
  std::vector<std::string> pieces;
  size_t at = 0;
  for (const Match& match : found) {
    pieces.emplace_back(text.substr(at, match[0].begin - at));
    at = match[0].end;
  }
  pieces.emplace_back(text.substr(at));
  return pieces;
}

Result<bool> PythonRegex::is_in(std::string_view text) const {
  DOVETAIL_TRY(const std::vector<Match> found, matches(text, 1));
  return !found.empty();
}

}  // namespace dovetail::eval
