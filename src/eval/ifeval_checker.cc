#include "eval/ifeval_checker.h"

#include <algorithm>
#include <array>
#include <functional>

#include <fmt/format.h>

#include "eval/python_json.h"
#include "eval/python_regex.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

using Judgement = Result<bool>;

// One response under one instruction.
struct Case {
  const Json& arguments;
  const std::string& text;
  const IfevalTools& tools;

  [[nodiscard]] std::string word(const char* key) const {
    return arguments[key].get<std::string>();
  }
  [[nodiscard]] int64_t number(const char* key) const { return arguments[key].get<int64_t>(); }
  // "less than" or "at least" `limit`
  [[nodiscard]] bool compares(const char* relation, int64_t count, const char* limit) const {
    return word(relation) == "less than" ? count < number(limit) : count >= number(limit);
  }
};

Result<int64_t> count_of(const std::string& pattern, std::string_view text,
                         const RegexFlags& flags = {}) {
  DOVETAIL_TRY(const PythonRegex regex, PythonRegex::compile(pattern, flags));
  DOVETAIL_TRY(const auto found, regex.find_all(text));
  return std::ssize(found);
}

Judgement is_in(const std::string& pattern, std::string_view text) {
  DOVETAIL_TRY(const PythonRegex regex, PythonRegex::compile(pattern, {.ignore_case = true}));
  return regex.is_in(text);
}

// Keywords are patterns, as in lm-eval; all that IFEval asks for are literal.
Judgement keywords_exist(const Case& c) {
  for (const Json& keyword : c.arguments["keywords"]) {
    DOVETAIL_TRY(const bool found, is_in(keyword.get<std::string>(), c.text));
    if (!found) return false;
  }
  return true;
}

Judgement keyword_frequency(const Case& c) {
  DOVETAIL_TRY(const int64_t count,
               count_of(std::string(strip(c.word("keyword"))), c.text, {.ignore_case = true}));
  return c.compares("relation", count, "frequency");
}

Judgement no_forbidden_word(const Case& c) {
  for (const Json& word : c.arguments["forbidden_words"]) {
    DOVETAIL_TRY(const bool found,
                 is_in(fmt::format(R"(\b{}\b)", word.get<std::string>()), c.text));
    if (found) return false;
  }
  return true;
}

Judgement letter_frequency(const Case& c) {
  const std::u32string letter = code_points(lower(c.word("letter")));
  const std::u32string text = code_points(lower(c.text));
  return c.compares("let_relation", std::count(text.begin(), text.end(), letter[0]),
                    "let_frequency");
}

Judgement number_sentences(const Case& c) {
  DOVETAIL_TRY(const auto sentences, c.tools.punkt().sentences(c.text));
  return c.compares("relation", std::ssize(sentences), "num_sentences");
}

Judgement number_paragraphs(const Case& c) {
  DOVETAIL_TRY(const PythonRegex divider, PythonRegex::compile(R"(\s?\*\*\*\s?)"));
  DOVETAIL_TRY(const std::vector<std::string> paragraphs, divider.split(c.text));
  auto count = std::ssize(paragraphs);
  for (size_t i = 0; i < paragraphs.size(); ++i) {
    if (!strip(paragraphs[i]).empty()) continue;
    if (i != 0 && i + 1 != paragraphs.size()) return false;
    --count;
  }
  return count == c.number("num_paragraphs");
}

Judgement number_words(const Case& c) {
  DOVETAIL_TRY(const int64_t count, count_of(R"(\w+)", c.text, {.dialect = RegexDialect::kRegex}));
  return c.compares("relation", count, "num_words");
}

// The paragraph is counted among all pieces, the number of paragraphs among those that are not
// blank, as lm-eval does.
Judgement nth_paragraph_first_word(const Case& c) {
  const std::vector<std::string_view> pieces = split_at(c.text, "\n\n");
  const auto count =
      std::count_if(pieces.begin(), pieces.end(), [](auto piece) { return !strip(piece).empty(); });
  const int64_t nth = c.number("nth_paragraph");
  if (nth > count) return false;
  const std::vector<std::string_view> in_paragraph = words(pieces[static_cast<size_t>(nth - 1)]);
  if (in_paragraph.empty()) return false;
  const std::string_view word = strip_left_of(strip_left_of(in_paragraph[0], '\''), '"');
  // Each character is lowered on its own.
  std::string first;
  for (const char32_t letter : code_points(word.substr(0, word.find_first_of(".,?!'\"")))) {
    first += lower(from_code_points(std::u32string(1, letter)));
  }
  return count == c.number("num_paragraphs") && first == lower(c.word("first_word"));
}

Judgement number_placeholders(const Case& c) {
  DOVETAIL_TRY(const int64_t count, count_of(R"(\[.*?\])", c.text));
  return count >= c.number("num_placeholders");
}

Judgement postscript(const Case& c) {
  const std::string marker(strip(c.word("postscript_marker")));
  std::string pattern = fmt::format(R"(\s*{}.*$)", lower(marker));
  if (marker == "P.P.S") pattern = R"(\s*p\.\s?p\.\s?s.*$)";
  if (marker == "P.S.") pattern = R"(\s*p\.\s?s\..*$)";
  DOVETAIL_TRY(const PythonRegex regex, PythonRegex::compile(pattern, {.multi_line = true}));
  return regex.is_in(lower(c.text));
}

Judgement number_bullet_lists(const Case& c) {
  DOVETAIL_TRY(const int64_t stars, count_of(R"(^\s*\*[^\*].*$)", c.text, {.multi_line = true}));
  DOVETAIL_TRY(const int64_t dashes, count_of(R"(^\s*-.*$)", c.text, {.multi_line = true}));
  return stars + dashes == c.number("num_bullets");
}

Judgement constrained_response(const Case& c) {
  for (const char* option : {"My answer is yes.", "My answer is no.", "My answer is maybe."}) {
    if (c.text.find(option) != std::string::npos) return true;
  }
  return false;
}

std::string_view without(std::string_view text, std::string_view prefix, std::string_view suffix) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
  return text;
}

Judgement number_highlighted_sections(const Case& c) {
  DOVETAIL_TRY(const PythonRegex single, PythonRegex::compile(R"(\*[^\n\*]*\*)"));
  DOVETAIL_TRY(const PythonRegex twofold, PythonRegex::compile(R"(\*\*[^\n\*]*\*\*)"));
  DOVETAIL_TRY(const auto singles, single.find_all(c.text));
  DOVETAIL_TRY(const auto twofolds, twofold.find_all(c.text));
  int64_t count = 0;
  for (const auto& match : singles) {
    count += strip(strip_left_of(strip_right_of(match[0], '*'), '*')).empty() ? 0 : 1;
  }
  for (const auto& match : twofolds) {
    count += strip(without(match[0], "**", "**")).empty() ? 0 : 1;
  }
  return count >= c.number("num_highlights");
}

Judgement multiple_sections(const Case& c) {
  DOVETAIL_TRY(
      const int64_t count,
      count_of(fmt::format(R"(\s?{}\s?\d+\s?)", strip(c.word("section_spliter"))), c.text));
  return count >= c.number("num_sections");
}

std::string_view json_of(std::string_view text) {
  text = strip(text);
  for (const std::string_view fence : {"```json", "```Json", "```JSON", "```"}) {
    text = without(text, fence, "");
  }
  return strip(without(text, "", "```"));
}

Judgement json_format(const Case& c) {
  return is_python_json(json_of(c.text));
}

Judgement strict_json_format(const Case& c) {
  return is_python_json(json_of(c.text), JsonConstants::kRefused);
}

Judgement title(const Case& c) {
  DOVETAIL_TRY(const PythonRegex regex, PythonRegex::compile(R"(<<[^\n]+>>)"));
  DOVETAIL_TRY(const auto titles, regex.find_all(c.text));
  return std::any_of(titles.begin(), titles.end(), [](const auto& match) {
    return !strip(strip_right_of(strip_left_of(match[0], '<'), '>')).empty();
  });
}

Judgement two_responses(const Case& c) {
  const std::vector<std::string_view> pieces = split_at(c.text, "******");
  std::vector<std::string_view> filled;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const std::string_view piece = strip(pieces[i]);
    if (!piece.empty())
      filled.push_back(piece);
    else if (i != 0 && i + 1 != pieces.size())
      return false;
  }
  return filled.size() == 2 && filled[0] != filled[1];
}

Judgement repeat_prompt(const Case& c) {
  const std::string wanted = lower(strip(c.word("prompt_to_repeat")));
  return lower(strip(c.text)).starts_with(wanted);
}

Judgement end_checker(const Case& c) {
  const std::string_view text = strip_right_of(strip_left_of(strip(c.text), '"'), '"');
  const std::string wanted = lower(strip(c.word("end_phrase")));
  return lower(text).ends_with(std::string_view(wanted));
}

Judgement quotation(const Case& c) {
  const std::string_view text = strip(c.text);
  return text.size() > 1 && text.front() == '"' && text.back() == '"';
}

Judgement capital_word_frequency(const Case& c) {
  DOVETAIL_TRY(const auto tokens, c.tools.words().tokens(c.text, c.tools.punkt()));
  const auto count = std::count_if(tokens.begin(), tokens.end(),
                                   [](const auto& token) { return is_upper(token); });
  return c.compares("capital_relation", count, "capital_frequency");
}

Judgement no_comma(const Case& c) {
  return c.text.find(',') == std::string::npos;
}

enum class Argument { kWord, kWords, kNumber, kRelation };

struct Checker {
  std::string_view id;
  std::vector<std::pair<const char*, Argument>> arguments = {};
  Judgement (*judge)(const Case&) = nullptr;  // nothing: by language
};

const std::vector<Checker>& checkers() {
  using enum Argument;
  static const std::vector<Checker> kCheckers = {
      {"keywords:existence", {{"keywords", kWords}}, keywords_exist},
      {"keywords:frequency",
       {{"keyword", kWord}, {"frequency", kNumber}, {"relation", kRelation}},
       keyword_frequency},
      {"keywords:forbidden_words", {{"forbidden_words", kWords}}, no_forbidden_word},
      {"keywords:letter_frequency",
       {{"letter", kWord}, {"let_frequency", kNumber}, {"let_relation", kRelation}},
       letter_frequency},
      {"language:response_language", {{"language", kWord}}},
      {"length_constraints:number_sentences",
       {{"num_sentences", kNumber}, {"relation", kRelation}},
       number_sentences},
      {"length_constraints:number_paragraphs", {{"num_paragraphs", kNumber}}, number_paragraphs},
      {"length_constraints:number_words",
       {{"num_words", kNumber}, {"relation", kRelation}},
       number_words},
      {"length_constraints:nth_paragraph_first_word",
       {{"num_paragraphs", kNumber}, {"nth_paragraph", kNumber}, {"first_word", kWord}},
       nth_paragraph_first_word},
      {"detectable_content:number_placeholders",
       {{"num_placeholders", kNumber}},
       number_placeholders},
      {"detectable_content:postscript", {{"postscript_marker", kWord}}, postscript},
      {"detectable_format:number_bullet_lists", {{"num_bullets", kNumber}}, number_bullet_lists},
      {"detectable_format:constrained_response", {}, constrained_response},
      {"detectable_format:number_highlighted_sections",
       {{"num_highlights", kNumber}},
       number_highlighted_sections},
      {"detectable_format:multiple_sections",
       {{"section_spliter", kWord}, {"num_sections", kNumber}},
       multiple_sections},
      {"detectable_format:json_format", {}, json_format},
      {"detectable_format:title", {}, title},
      {"combination:two_responses", {}, two_responses},
      {"combination:repeat_prompt", {{"prompt_to_repeat", kWord}}, repeat_prompt},
      {"startend:end_checker", {{"end_phrase", kWord}}, end_checker},
      {"startend:quotation", {}, quotation},
      {"change_case:capital_word_frequency",
       {{"capital_frequency", kNumber}, {"capital_relation", kRelation}},
       capital_word_frequency},
      {"change_case:english_capital"},
      {"change_case:english_lowercase"},
      {"punctuation:no_comma", {}, no_comma}};
  return kCheckers;
}

const Checker* find_checker(const std::string& id) {
  for (const Checker& checker : checkers()) {
    if (checker.id == id) return &checker;
  }
  return nullptr;
}

bool fits(const Json& value, Argument kind) {
  if (kind == Argument::kNumber) return value.is_number_integer() && value.get<int64_t>() > 0;
  if (kind == Argument::kWord) return value.is_string();
  if (kind == Argument::kRelation) return value == "less than" || value == "at least";
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& word) { return word.is_string(); });
}

// The language that most seeds find, of equals the first in the alphabet; nothing if there is none.
std::optional<std::string> most_found(const std::vector<std::optional<std::string>>& languages) {
  std::map<std::string, int64_t> votes;
  for (const auto& language : languages) {
    if (language.has_value()) ++votes[*language];
  }
  if (votes.empty()) return std::nullopt;
  return std::max_element(
             votes.begin(), votes.end(),
             [](const auto& left, const auto& right) { return left.second < right.second; })
      ->first;
}

Result<std::vector<bool>> follows_language(const IfevalInstruction& instruction,
                                           const std::string& text, const IfevalTools& tools,
                                           const IfevalCheckParams& params) {
  const bool is_fixed = params.mode == ScoringMode::kFixed;
  const size_t verdicts = is_fixed ? 1 : params.language_seeds.size();
  const bool wants_capitals = instruction.id == "change_case:english_capital";
  if ((wants_capitals && !is_upper(text)) ||
      (instruction.id == "change_case:english_lowercase" && !is_lower(text))) {
    return std::vector<bool>(verdicts, false);
  }
  const std::string wanted = instruction.id == "language:response_language"
                                 ? instruction.arguments["language"].get<std::string>()
                                 : "en";
  // langdetect counts nothing inside a word of capitals.
  const std::string seen = is_fixed && wants_capitals ? lower(text) : text;
  DOVETAIL_TRY(const auto languages, tools.languages().detect(seen, params.language_seeds));
  if (is_fixed) return std::vector<bool>{most_found(languages) == wanted};
  std::vector<bool> followed;
  for (const auto& language : languages) {
    followed.push_back(!language.has_value() || *language == wanted);
  }
  return followed;
}

}  // namespace

Result<IfevalTools> IfevalTools::create(const std::map<std::string, std::string>& files) {
  const auto text_of = [&](const std::string& name) -> Result<std::string> {
    const auto found = files.find(name);
    if (found == files.end()) return invalid_argument(fmt::format("{}: missing", name));
    return found->second;
  };
  PunktFiles punkt_files;
  DOVETAIL_TRY(punkt_files.abbrev_types, text_of("punkt_english/abbrev_types.txt"));
  DOVETAIL_TRY(punkt_files.collocations, text_of("punkt_english/collocations.tab"));
  DOVETAIL_TRY(punkt_files.ortho_context, text_of("punkt_english/ortho_context.tab"));
  DOVETAIL_TRY(punkt_files.sent_starters, text_of("punkt_english/sent_starters.txt"));
  LanguageFiles language_files;
  DOVETAIL_TRY(language_files.messages, text_of("langdetect/messages.properties"));
  constexpr std::string_view kProfiles = "langdetect/profiles/";
  for (const auto& [name, text] : files) {
    if (name.starts_with(kProfiles)) language_files.profiles[name.substr(kProfiles.size())] = text;
  }
  DOVETAIL_TRY(Punkt punkt, Punkt::create(punkt_files));
  DOVETAIL_TRY(WordTokenizer words, WordTokenizer::create());
  DOVETAIL_TRY(LanguageDetector languages, LanguageDetector::create(language_files));
  return IfevalTools(std::move(punkt), std::move(words), std::move(languages));
}

Status check_instruction(const IfevalInstruction& instruction) {
  const Checker* checker = find_checker(instruction.id);
  if (checker == nullptr) {
    return invalid_argument(
        fmt::format("instruction {}: no such checker", one_line(instruction.id)));
  }
  for (const auto& [name, kind] : checker->arguments) {
    const auto found = instruction.arguments.find(name);
    if (found != instruction.arguments.end() && fits(*found, kind)) continue;
    return invalid_argument(
        fmt::format("instruction {}: {} is missing or not of its kind", instruction.id, name));
  }
  const Json& arguments = instruction.arguments;
  if (instruction.id == "length_constraints:nth_paragraph_first_word" &&
      arguments["nth_paragraph"].get<int64_t>() > arguments["num_paragraphs"].get<int64_t>()) {
    return invalid_argument(fmt::format("instruction {}: nth_paragraph = {}, want 1..{}",
                                        instruction.id, arguments["nth_paragraph"].dump(),
                                        arguments["num_paragraphs"].dump()));
  }
  if (instruction.id == "keywords:letter_frequency" &&
      code_points(arguments["letter"].get<std::string>()).size() != 1) {
    return invalid_argument(fmt::format("instruction {}: letter, want one", instruction.id));
  }
  return {};
}

bool asks_for_language(const IfevalInstruction& instruction) {
  const Checker* checker = find_checker(instruction.id);
  return checker != nullptr && checker->judge == nullptr;
}

IfevalInstruction with_drawn_letter(IfevalInstruction instruction, ScoringMode mode,
                                    PythonRandom& random) {
  if (mode == ScoringMode::kFixed || instruction.id != "keywords:letter_frequency") {
    return instruction;
  }
  const std::string letter = lower(instruction.arguments["letter"].get<std::string>());
  if (letter.size() == 1 && letter[0] >= 'a' && letter[0] <= 'z') return instruction;
  const auto drawn = static_cast<size_t>(random.below(std::ssize(kLetters)));
  instruction.arguments["letter"] = std::string(1, kLetters[drawn]);
  return instruction;
}

Result<std::vector<bool>> follows(const IfevalInstruction& instruction, const std::string& response,
                                  const IfevalTools& tools, const IfevalCheckParams& params) {
  const Checker* checker = find_checker(instruction.id);
  DOVETAIL_CHECK(checker != nullptr && !params.language_seeds.empty());
  if (strip(response).empty()) {
    const bool one_a_seed = checker->judge == nullptr && params.mode == ScoringMode::kLmEval;
    return std::vector<bool>(one_a_seed ? params.language_seeds.size() : 1, false);
  }
  if (checker->judge == nullptr) return follows_language(instruction, response, tools, params);
  const bool is_strict_json =
      params.mode == ScoringMode::kFixed && instruction.id == "detectable_format:json_format";
  const auto judge = is_strict_json ? &strict_json_format : checker->judge;
  DOVETAIL_TRY(const bool followed, judge({instruction.arguments, response, tools}));
  return std::vector<bool>{followed};
}

}  // namespace dovetail::eval
