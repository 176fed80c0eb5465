// How an answer in words becomes one that can be compared: lm-eval's regex filter and its metric
// exact_match, and the two readings of GSM8K.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/python_regex.h"
#include "eval/task.h"

namespace dovetail::eval {

// lm-eval's filter "regex": of all matches the first or the last, of its groups the first that is
// not empty (the whole match if the pattern has none), stripped; "[invalid]" if there is none.
class RegexFilter {
 public:
  // Errors: as PythonRegex::compile.
  [[nodiscard]] static Result<RegexFilter> create(const std::string& name, std::string_view pattern,
                                                  bool takes_last);
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Result<std::string> apply(std::string_view generation) const;

 private:
  RegexFilter(std::string name, PythonRegex regex, bool takes_last);
  std::string name_;
  PythonRegex regex_;
  bool takes_last_;
};

// lm-eval's metric exact_match as GSM8K sets it up: from both texts go "," and "$", all up to the
// last "#### " and a full stop at the end; then they are equal but for case.
class ExactMatch {
 public:
  [[nodiscard]] static Result<ExactMatch> create();
  [[nodiscard]] Result<bool> operator()(std::string_view prediction,
                                        std::string_view reference) const;

 private:
  explicit ExactMatch(std::vector<PythonRegex> ignored) : ignored_(std::move(ignored)) {}
  [[nodiscard]] Result<std::string> reduced(std::string_view text) const;
  std::vector<PythonRegex> ignored_;
};

// Whether two decimal numbers are equal, whatever their "$", ",", sign of zero, leading and
// trailing zeros: "$1,000.00" and "1000". False if one of them is no number.
[[nodiscard]] bool same_number(std::string_view left, std::string_view right);

}  // namespace dovetail::eval
