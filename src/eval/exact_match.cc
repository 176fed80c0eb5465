#include "eval/exact_match.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include <unicode/locid.h>
#include <unicode/unistr.h>

#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr std::string_view kInvalid = "[invalid]";

std::string lower(const std::string& text) {
  std::string lowered;
  icu::UnicodeString::fromUTF8(text).toLower(icu::Locale::getRoot()).toUTF8String(lowered);
  return lowered;
}

// Sign, digits without leading zeros, and decimals without trailing ones.
std::optional<std::string> canonical_number(std::string_view text) {
  std::string digits;
  bool negative = false;
  bool decimals = false;
  for (const char c : text) {
    if (c == ',' || c == '$') continue;
    if (c == '-' && digits.empty() && !negative) {
      negative = true;
    } else if (c == '.' && !decimals) {
      decimals = true;
      digits += c;
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      digits += c;
    } else {
      return std::nullopt;
    }
  }
  if (std::none_of(digits.begin(), digits.end(), [](char c) { return c != '.'; })) {
    return std::nullopt;
  }
  if (decimals) {
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.ends_with('.')) digits.pop_back();
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty() || digits[0] == '.') digits.insert(0, "0");
  return (negative && digits != "0" ? "-" : "") + digits;
}

}  // namespace

RegexFilter::RegexFilter(std::string name, PythonRegex regex, bool takes_last)
    : name_(std::move(name)), regex_(std::move(regex)), takes_last_(takes_last) {}

Result<RegexFilter> RegexFilter::create(const std::string& name, std::string_view pattern,
                                        bool takes_last) {
  DOVETAIL_TRY(PythonRegex regex, PythonRegex::compile(pattern));
  return RegexFilter(name, std::move(regex), takes_last);
}

Result<std::string> RegexFilter::apply(std::string_view generation) const {
  DOVETAIL_TRY(const auto rows, regex_.find_all(generation));
  if (rows.empty()) return std::string(kInvalid);
  const std::vector<std::string>& row = takes_last_ ? rows.back() : rows.front();
  if (row.size() <= 2) return std::string(strip(row.back()));
  const auto found =
      std::find_if(row.begin() + 1, row.end(), [](const std::string& g) { return !g.empty(); });
  return std::string(strip(found == row.end() ? kInvalid : std::string_view(*found)));
}

Result<ExactMatch> ExactMatch::create() {
  std::vector<PythonRegex> ignored;
  for (const std::string_view pattern : {",", R"(\$)", "(?s).*#### ", R"(\.$)"}) {
    DOVETAIL_TRY(PythonRegex regex, PythonRegex::compile(pattern));
    ignored.push_back(std::move(regex));
  }
  return ExactMatch(std::move(ignored));
}

Result<std::string> ExactMatch::reduced(std::string_view text) const {
  std::string left(text);
  for (const PythonRegex& regex : ignored_) {
    DOVETAIL_TRY(left, regex.substitute(left, ""));
  }
  return lower(left);
}

Result<bool> ExactMatch::operator()(std::string_view prediction, std::string_view reference) const {
  DOVETAIL_TRY(const std::string left, reduced(prediction));
  DOVETAIL_TRY(const std::string right, reduced(reference));
  return left == right;
}

bool same_number(std::string_view left, std::string_view right) {
  const auto first = canonical_number(left);
  return first.has_value() && first == canonical_number(right);
}

}  // namespace dovetail::eval
