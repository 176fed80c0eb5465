// Regular expressions with the meaning of Python's `re` on str, by PCRE2.
//
// The two agree on \w, \d, \b and classes once PCRE2 uses Unicode properties; they differ in white
// space (Python's \s holds U+001C..U+001F and not U+180E), which is rewritten here, and in which
// line ends `.`, `^` and `$` know (Python: \n alone), which is set.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct pcre2_real_code_8;

namespace dovetail::eval {

enum class RegexDialect : uint8_t {
  kRe,     // Python's `re`: a word character is a letter, a number or _
  kRegex,  // the package `regex`: marks and joiners count too, numbers that are no digits do not
};

struct RegexFlags {
  bool ignore_case = false;  // re.IGNORECASE
  bool multi_line = false;   // re.MULTILINE
  RegexDialect dialect = RegexDialect::kRe;
};

class PythonRegex {
 public:
  // Errors: kInvalidArgument for a pattern that PCRE2 does not take, or \S (in kRegex also \W, \B)
  // inside a class.
  [[nodiscard]] static Result<PythonRegex> compile(std::string_view pattern,
                                                   const RegexFlags& flags = {});

  // Where a match or a group lies, in bytes; begin == end == 0 for a group that took no part.
  struct Span {
    size_t begin = 0;
    size_t end = 0;
  };
  using Match = std::vector<Span>;  // the whole, then each group

  // The matches of re.finditer, in order, at most `limit` of them.
  [[nodiscard]] Result<std::vector<Match>> matches(std::string_view text, size_t limit) const;
  // The texts of re.finditer, in order: the whole, then each group; "" for a group that took no
  // part. Errors, here and below: kInvalidArgument if text is not UTF-8 or the match takes more
  // steps than PCRE2's limit.
  [[nodiscard]] Result<std::vector<std::vector<std::string>>> find_all(std::string_view text) const;
  // re.sub; `replacement` may name groups as \1 .. \9, the whole as \0, and holds no other
  // backslash.
  [[nodiscard]] Result<std::string> substitute(std::string_view text,
                                               std::string_view replacement) const;
  // re.split for a pattern without groups.
  [[nodiscard]] Result<std::vector<std::string>> split(std::string_view text) const;
  // re.search(...) is not None
  [[nodiscard]] Result<bool> is_in(std::string_view text) const;

 private:
  struct Free {
    void operator()(pcre2_real_code_8* code) const;
  };
  std::string pattern_;
  std::unique_ptr<pcre2_real_code_8, Free> code_;
};

}  // namespace dovetail::eval
