#include "eval/word_tokenize.h"

#include <array>

#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

struct Rule {
  std::string_view pattern;
  std::string_view replacement;
  bool ignore_case = false;
  RegexDialect dialect = RegexDialect::kRegex;
};

constexpr std::array kBeforePadding = std::to_array<Rule>({
    // opening quotes
    {"([«“‘„]|[`]+)", R"( \1 )"},
    {R"(^")", "``"},
    {R"((``))", R"( \1 )"},
    {R"(([ (\[{<])("|'{2}))", R"(\1 `` )"},
    {R"((?<!\w)(')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w))", R"(\1 )", true},
    // punctuation
    {R"(([^.])(\.)([\])}>"'»”’ ]*+)\s*$)", R"(\1 \2 \3 )"},
    {R"(([:,])([^\d]))", R"( \1 \2)"},
    {R"(([:,])$)", R"( \1 )"},
    {R"(\.{2,})", R"( \0 )"},
    {R"([;@#$%&])", R"( \0 )"},
    {R"([\x{2012}-\x{2015}])", R"( \0 )"},
    {R"(([^.])(\.)([\])}>"']*)\s*$)", R"(\1 \2\3 )"},
    {R"([?!])", R"( \0 )"},
    {R"(([^'])' )", R"(\1 ' )"},
    {R"([*])", R"( \0 )"},
    // brackets, dashes
    {R"([\]\[(){}<>])", R"( \0 )"},
    {"--", " -- "},
});

// On the text between two spaces.
constexpr std::array kAfterPadding = std::to_array<Rule>({
    // closing quotes and clitics
    {"([»”’])", R"( \1 )"},
    {"''", " '' "},
    {R"(")", " '' "},
    {R"(\s+)", " "},
    {R"(([^' ])('[sS]|'[mM]|'[dD]|') )", R"(\1 \2 )"},
    {R"(([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) )", R"(\1 \2 )"},
    // contractions: NLTK compiles these with `re`
    {R"(\b(can)(not)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(d)('ye)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(gim)(me)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(gon)(na)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(got)(ta)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(lem)(me)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(more)('n)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"(\b(wan)(na)(?=\s))", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"( ('t)(is)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
    {R"( ('t)(was)\b)", R"( \1 \2 )", true, RegexDialect::kRe},
});

}  // namespace

Result<WordTokenizer> WordTokenizer::create() {
  WordTokenizer tokenizer;
  const auto add = [](const Rule& rule, std::vector<Step>& steps) -> Status {
    DOVETAIL_TRY(PythonRegex pattern,
                 PythonRegex::compile(rule.pattern,
                                      {.ignore_case = rule.ignore_case, .dialect = rule.dialect}));
    steps.push_back({std::move(pattern), std::string(rule.replacement)});
    return {};
  };
  for (const Rule& rule : kBeforePadding) {
    DOVETAIL_TRY_STATUS(add(rule, tokenizer.before_padding_));
  }
  for (const Rule& rule : kAfterPadding) {
    DOVETAIL_TRY_STATUS(add(rule, tokenizer.after_padding_));
  }
  return tokenizer;
}

Result<std::vector<std::string>> WordTokenizer::tokens(std::string_view sentence) const {
  std::string text(sentence);
  for (const Step& step : before_padding_) {
    DOVETAIL_TRY(text, step.pattern.substitute(text, step.replacement));
  }
  text = " " + text + " ";
  for (const Step& step : after_padding_) {
    DOVETAIL_TRY(text, step.pattern.substitute(text, step.replacement));
  }
  std::vector<std::string> made;
  for (const std::string_view word : words(text)) made.emplace_back(word);
  return made;
}

Result<std::vector<std::string>> WordTokenizer::tokens(std::string_view text,
                                                       const Punkt& punkt) const {
  DOVETAIL_TRY(const std::vector<std::string> sentences, punkt.sentences(text));
  std::vector<std::string> made;
  for (const std::string& sentence : sentences) {
    DOVETAIL_TRY(const std::vector<std::string> part, tokens(sentence));
    made.insert(made.end(), part.begin(), part.end());
  }
  return made;
}

}  // namespace dovetail::eval
