#include "eval/punkt.h"

#include <charconv>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "eval/python_regex.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr size_t kAll = std::numeric_limits<size_t>::max();

// Where a word was seen in training: flags of ortho_context.
constexpr int kMidUpper = 4;
constexpr int kBeginLower = 16;
constexpr int kAnyUpper = 2 + 4 + 8;
constexpr int kAnyLower = 16 + 32 + 64;

constexpr std::string_view kNonWord = R"x((?:[)";}\]*:@'({\[‘’“”«»?!]))x";
constexpr std::string_view kMultiPunctuation = R"((?:-{2,}|\.{2,}|(?:\.\s){2,}\.))";
constexpr std::string_view kWordStart = R"([^("`{\[:;&#*@)}\]\-,])";

struct Token {
  std::string text;
  std::string type = {};  // lower case, numbers as ##number##
  bool is_break = false;
  bool is_abbreviation = false;
  bool is_ellipsis = false;
  bool is_initial = false;

  bool ends_with_period() const { return text.ends_with('.'); }
  std::string type_without_period() const {
    return type.size() > 1 && type.ends_with('.') ? type.substr(0, type.size() - 1) : type;
  }
  std::string type_without_break() const { return is_break ? type_without_period() : type; }
  std::string first() const { return from_code_points(code_points(text).substr(0, 1)); }
};

// Begin and end in bytes; the end may lie before the begin, and the text is empty then.
struct Slice {
  size_t begin = 0;
  size_t end = 0;
  std::string_view of(std::string_view text) const {
    return begin < end ? text.substr(begin, end - begin) : std::string_view();
  }
};

struct Candidate {
  Slice mark;                       // the . ? or ! itself
  std::string context = {};         // word before, mark, what follows
  std::optional<size_t> next = {};  // where the next word begins, behind white space
};

Status for_each_line(std::string_view text, const std::string& name,
                     const std::function<bool(std::string_view)>& take) {
  int64_t line = 0;
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (const std::string_view row : split_at(text, "\n")) {
    ++line;
    if (!take(row)) return invalid_argument(fmt::format("{}:{}: not in its form", name, line));
  }
  return {};
}

}  // namespace

struct Punkt::Model {
  std::unordered_set<std::string> abbreviations = {};
  std::set<std::pair<std::string, std::string>> collocations = {};
  std::unordered_map<std::string, int> contexts = {};
  std::unordered_set<std::string> starters = {};
  PythonRegex period_context, word, realignment, number, initial, ellipsis;

  int context_of(const std::string& type) const {
    const auto found = contexts.find(type);
    return found == contexts.end() ? 0 : found->second;
  }

  Result<Token> make_token(std::string text) const {
    Token token{.text = std::move(text)};
    token.type = lower(token.text);
    DOVETAIL_TRY(const bool is_number, number.is_in(token.type));
    if (is_number) token.type = "##number##";
    DOVETAIL_TRY(token.is_initial, initial.is_in(token.text));
    DOVETAIL_TRY(const bool only_dots, ellipsis.is_in(token.text));
    if (token.text == "." || token.text == "?" || token.text == "!") {
      token.is_break = true;
    } else if (only_dots) {
      token.is_ellipsis = true;
    } else if (token.ends_with_period() && !token.text.ends_with("..")) {
      const std::string word_before = lower(token.text.substr(0, token.text.size() - 1));
      const std::string last_part(split_at(word_before, "-").back());
      token.is_abbreviation =
          abbreviations.contains(word_before) || abbreviations.contains(last_part);
      token.is_break = !token.is_abbreviation;
    }
    return token;
  }

  Result<std::vector<Token>> tokens(std::string_view text) const {
    std::vector<Token> made;
    for (const std::string_view line : split_at(text, "\n")) {
      if (strip(line).empty()) continue;
      DOVETAIL_TRY(const auto found, word.matches(line, kAll));
      for (const PythonRegex::Match& match : found) {
        DOVETAIL_TRY(
            Token token,
            make_token(std::string(line.substr(match[0].begin, match[0].end - match[0].begin))));
        made.push_back(std::move(token));
      }
    }
    return made;
  }

  // Does a sentence begin with this word? Nothing: not known.
  std::optional<bool> begins_sentence(const Token& token) const {
    if (token.text.size() == 1 &&
        std::string_view(";:,.!?").find(token.text) != std::string::npos) {
      return false;
    }
    const int context = context_of(token.type_without_break());
    const std::string first = token.first();
    if (is_upper(first) && (context & kAnyLower) != 0 && (context & kMidUpper) == 0) return true;
    if (is_lower(first) && ((context & kAnyUpper) != 0 || (context & kBeginLower) == 0)) {
      return false;
    }
    return std::nullopt;
  }

  // Decides a word that ends in a period anew, from the word behind it.
  void reconsider(Token& token, const Token& next) const {
    if (!token.ends_with_period()) return;
    const std::string type = token.type_without_period();
    const std::string next_type = next.type_without_break();
    const auto is_no_break = [&] {
      token.is_break = false;
      token.is_abbreviation = true;
    };
    if (collocations.contains({type, next_type})) return is_no_break();
    const std::optional<bool> begins = begins_sentence(next);
    const bool next_is_upper = is_upper(next.first());
    if ((token.is_abbreviation || token.is_ellipsis) && !token.is_initial) {
      if (begins == true || (next_is_upper && starters.contains(next_type))) {
        token.is_break = true;
        return;
      }
    }
    if (!token.is_initial && type != "##number##") return;
    if (begins == false) return is_no_break();
    if (!begins.has_value() && token.is_initial && next_is_upper &&
        (context_of(next_type) & kAnyLower) == 0) {
      is_no_break();
    }
  }

  Result<bool> holds_break(std::string_view context) const {
    DOVETAIL_TRY(std::vector<Token> list, tokens(context));
    for (size_t i = 0; i + 1 < list.size(); ++i) {
      reconsider(list[i], list[i + 1]);
      if (list[i].is_break) return true;
    }
    return false;
  }

  // Marks that may end a sentence, each with the word before it; of several marks behind one word
  // the last.
  Result<std::vector<Candidate>> candidates(std::string_view text) const {
    DOVETAIL_TRY(const auto found, period_context.matches(text, kAll));
    std::vector<Candidate> made;
    Slice word_before;
    for (size_t i = 0; i < found.size(); ++i) {
      const size_t mark = found[i][0].begin;
      const std::string_view between = text.substr(word_before.end, mark - word_before.end);
      const size_t space = between.find_last_of(" \t\n\r\x0b\x0c");
      // A space right behind the mark before counts as none, as in NLTK.
      const bool has_space = space != std::string_view::npos && space != 0;
      const Slice word_here{.begin = has_space ? word_before.end + space + 1 : word_before.begin,
                            .end = mark};
      if (i > 0 && word_before.end > word_here.begin) made.pop_back();
      word_before = word_here;
      const PythonRegex::Span& after = found[i][1];
      Candidate candidate{.mark = {found[i][0].begin, found[i][0].end}};
      candidate.context = std::string(word_here.of(text)) + std::string(candidate.mark.of(text)) +
                          std::string(text.substr(after.begin, after.end - after.begin));
      if (found[i][2].end > found[i][2].begin) candidate.next = found[i][2].begin;
      made.push_back(std::move(candidate));
    }
    return made;
  }

  Result<std::vector<Slice>> slices(std::string_view text) const {
    DOVETAIL_TRY(const std::vector<Candidate> marks, candidates(text));
    std::vector<Slice> made;
    size_t begin = 0;
    for (const Candidate& candidate : marks) {
      DOVETAIL_TRY(const bool is_end, holds_break(candidate.context));
      if (!is_end) continue;
      made.push_back({begin, candidate.mark.end});
      begin = candidate.next.value_or(candidate.mark.end);
    }
    made.push_back({begin, strip_right(text).size()});
    return made;
  }
};

Result<Punkt> Punkt::create(const PunktFiles& files) {
  const RegexFlags flags{.dialect = RegexDialect::kRegex};
  const auto compile = [&](const std::string& pattern) {
    return PythonRegex::compile(pattern, flags);
  };
  DOVETAIL_TRY(PythonRegex period_context,
               compile(fmt::format(R"([.?!](?=({}|\s+(\S+))))", kNonWord)));
  DOVETAIL_TRY(PythonRegex word,
               compile(fmt::format(R"({1}|(?={2})\S+?(?=\s|$|{0}|{1}|,(?=$|\s|{0}|{1}))|\S)",
                                   kNonWord, kMultiPunctuation, kWordStart)));
  DOVETAIL_TRY(PythonRegex realignment,
               PythonRegex::compile(R"(\A["')\]}‘’“”«»]+?(?:\s+|(?=--)|$))",
                                    {.multi_line = true, .dialect = RegexDialect::kRegex}));
  DOVETAIL_TRY(PythonRegex number, compile(R"(^-?[.,]?\d[\d,.-]*\.?$)"));
  DOVETAIL_TRY(PythonRegex initial, compile(R"(^(?!\d)\w\.$)"));
  DOVETAIL_TRY(PythonRegex ellipsis, compile(R"(^\.\.+$)"));
  Model model{.period_context = std::move(period_context),
              .word = std::move(word),
              .realignment = std::move(realignment),
              .number = std::move(number),
              .initial = std::move(initial),
              .ellipsis = std::move(ellipsis)};
  DOVETAIL_TRY_STATUS(for_each_line(files.abbrev_types, "abbrev_types.txt", [&](auto row) {
    model.abbreviations.emplace(row);
    return true;
  }));
  DOVETAIL_TRY_STATUS(for_each_line(files.sent_starters, "sent_starters.txt", [&](auto row) {
    model.starters.emplace(row);
    return true;
  }));
  DOVETAIL_TRY_STATUS(for_each_line(files.collocations, "collocations.tab", [&](auto row) {
    const auto pair = split_at(row, "\t");
    if (pair.size() == 2) model.collocations.emplace(pair[0], pair[1]);
    return pair.size() == 2;
  }));
  DOVETAIL_TRY_STATUS(for_each_line(files.ortho_context, "ortho_context.tab", [&](auto row) {
    const auto pair = split_at(row, "\t");
    int flags_of_word = 0;
    if (pair.size() != 2 ||
        std::from_chars(pair[1].data(), pair[1].data() + pair[1].size(), flags_of_word).ec !=
            std::errc{}) {
      return false;
    }
    model.contexts[std::string(pair[0])] = flags_of_word;
    return true;
  }));
  Punkt punkt;
  punkt.model_ = std::make_shared<const Model>(std::move(model));
  return punkt;
}

Result<std::vector<std::string>> Punkt::sentences(std::string_view text) const {
  DOVETAIL_TRY(const std::vector<Slice> slices, model_->slices(text));
  std::vector<std::string> made;
  size_t moved = 0;  // bytes of the slice that went to the sentence before it
  for (size_t i = 0; i < slices.size(); ++i) {
    const Slice slice{slices[i].begin + moved, slices[i].end};
    moved = 0;
    if (i + 1 < slices.size()) {
      const std::string_view next = slices[i + 1].of(text);
      DOVETAIL_TRY(const auto quotes, model_->realignment.matches(next, 1));
      if (!quotes.empty()) {
        const std::string_view taken = next.substr(0, quotes[0][0].end);
        made.emplace_back(
            Slice{slice.begin, slices[i + 1].begin + strip_right(taken).size()}.of(text));
        moved = quotes[0][0].end;
        continue;
      }
    }
    if (!slice.of(text).empty()) made.emplace_back(slice.of(text));
  }
  return made;
}

}  // namespace dovetail::eval
