#include "eval/wikitext.h"

#include <array>
#include <utility>

#include "eval/python_regex.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

using Replacement = std::pair<std::string_view, std::string_view>;

// The steps of lm_eval/tasks/wikitext/preprocess_wikitext.py, lm-eval 0.4.13, in its order. Its
// pattern /' [0-9]/ has slashes that no page holds, and replaces what it finds by other slashes.
constexpr Replacement kContractions = {"s '", "s'"};
constexpr Replacement kSlashes = {"/' [0-9]/", "/'[0-9]/"};
constexpr std::array<Replacement, 9> kPunctuation = {{{" @-@ ", "-"},
                                                      {" @,@ ", ","},
                                                      {" @.@ ", "."},
                                                      {" : ", ": "},
                                                      {" ; ", "; "},
                                                      {" . ", ". "},
                                                      {" ! ", "! "},
                                                      {" ? ", "? "},
                                                      {" , ", ", "}}};
constexpr std::array<Replacement, 5> kBrackets = {{{R"(\(\s*([^\)]*?)\s*\))", R"((\1))"},
                                                   {R"(\[\s*([^\]]*?)\s*\])", R"([\1])"},
                                                   {R"({\s*([^}]*?)\s*})", R"({\1})"},
                                                   {R"("\s*([^"]*?)\s*")", R"("\1")"},
                                                   {R"('\s*([^']*?)\s*')", R"('\1')"}}};
constexpr std::array<Replacement, 8> kRest = {{{"= = = =", "===="},
                                               {"= = =", "==="},
                                               {"= =", "=="},
                                               {" \u00b0 ", "\u00b0"},
                                               {" \n", "\n"},
                                               {"\n ", "\n"},
                                               {" N ", " 1 "},
                                               {" 's", "'s"}}};

Status substitute(const Replacement& step, std::string& text) {
  DOVETAIL_TRY(const PythonRegex regex, PythonRegex::compile(step.first));
  DOVETAIL_TRY(text, regex.substitute(text, step.second));
  return {};
}

}  // namespace

Result<std::string> detokenized_page(std::string_view page) {
  std::string text = replace_all(page, kContractions.first, kContractions.second);
  DOVETAIL_TRY_STATUS(substitute(kSlashes, text));
  for (const auto& [from, to] : kPunctuation) text = replace_all(text, from, to);
  for (const Replacement& step : kBrackets) DOVETAIL_TRY_STATUS(substitute(step, text));
  for (const auto& [from, to] : kRest) text = replace_all(text, from, to);
  return text;
}

Result<PageSize> page_size(std::string_view page, ScoringMode mode) {
  DOVETAIL_TRY(const PythonRegex spaces, PythonRegex::compile(R"(\s+)"));
  const std::string_view counted = mode == ScoringMode::kFixed ? strip(page) : page;
  DOVETAIL_TRY(const std::vector<std::string> words, spaces.split(counted));
  return PageSize{.num_words = std::ssize(words), .num_bytes = std::ssize(page)};
}

Result<Task> wikitext_task(const std::vector<std::string>& pages, const TaskParams& params) {
  Task task{.name = "wikitext",
            .kind = RequestKind::kRolling,
            .metric = "word_perplexity",
            .mode = params.mode};
  DOVETAIL_TRY(task.num_fewshot, fewshot_of(task.name, params, 0, 0));
  if (params.chat.render) return invalid_argument("wikitext: a chat template, want plain text");
  DOVETAIL_TRY(const int64_t count, limited(std::ssize(pages), params));
  for (int64_t i = 0; i < count; ++i) {
    const std::string& page = pages[static_cast<size_t>(i)];
    Question question{.doc_id = i, .target = page};
    DOVETAIL_TRY(question.prompt, detokenized_page(page));
    task.questions.push_back(std::move(question));
  }
  return task;
}

}  // namespace dovetail::eval
