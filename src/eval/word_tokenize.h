// Splits English sentences into words and punctuation as NLTK's word_tokenize does.
//
// Follows NLTKWordTokenizer of NLTK 3.10.4: a cascade of replacements that put spaces around what
// is a token of its own, after the tokenizer of the Penn Treebank.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/punkt.h"
#include "eval/python_regex.h"

namespace dovetail::eval {

class WordTokenizer {
 public:
  [[nodiscard]] static Result<WordTokenizer> create();

  // Tokens of one sentence; quotation marks become `` and ''. Valid UTF-8. Errors, here and below:
  // those of PythonRegex.
  [[nodiscard]] Result<std::vector<std::string>> tokens(std::string_view sentence) const;
  // nltk.word_tokenize: the tokens of each sentence of a text.
  [[nodiscard]] Result<std::vector<std::string>> tokens(std::string_view text,
                                                        const Punkt& punkt) const;

 private:
  struct Step {
    PythonRegex pattern;
    std::string replacement;
  };
  std::vector<Step> before_padding_;
  std::vector<Step> after_padding_;
};

}  // namespace dovetail::eval
