// IFEval's 25 checkers: does a response follow an instruction that a program can judge?
//
// As lm-eval 0.4.13 judges, with NLTK 3.10.4 and langdetect 1.0.9 behind it. Source: Zhou et al.,
// "Instruction-Following Evaluation for Large Language Models", 2023.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "eval/benchmark_data.h"
#include "eval/language_detector.h"
#include "eval/punkt.h"
#include "eval/python_random.h"
#include "eval/task.h"
#include "eval/word_tokenize.h"

namespace dovetail::eval {

// What the checkers know of languages.
class IfevalTools {
 public:
  // `files`: those of the file set "ifeval" by name (model/file_set.h). Errors: kInvalidArgument
  // naming a file that is missing or not in its form.
  [[nodiscard]] static Result<IfevalTools> create(const std::map<std::string, std::string>& files);

  [[nodiscard]] const Punkt& punkt() const { return punkt_; }
  [[nodiscard]] const WordTokenizer& words() const { return words_; }
  [[nodiscard]] const LanguageDetector& languages() const { return languages_; }

 private:
  IfevalTools(Punkt punkt, WordTokenizer words, LanguageDetector languages)
      : punkt_(std::move(punkt)), words_(std::move(words)), languages_(std::move(languages)) {}
  Punkt punkt_;
  WordTokenizer words_;
  LanguageDetector languages_;
};

// Errors: kInvalidArgument for a name that no checker has, an argument that is missing (lm-eval
// draws one then; no prompt of IFEval lacks any) or of another type or value.
[[nodiscard]] Status check_instruction(const IfevalInstruction& instruction);

// Whether the instruction's verdict comes from langdetect.
[[nodiscard]] bool asks_for_language(const IfevalInstruction& instruction);

// The instruction with what lm-eval draws at random for it: a letter outside a..z (two prompts ask
// for # and !) is replaced by random.choice(string.ascii_letters). In kFixed it stays.
[[nodiscard]] IfevalInstruction with_drawn_letter(IfevalInstruction instruction, ScoringMode mode,
                                                  PythonRandom& random);

struct IfevalCheckParams {
  ScoringMode mode = ScoringMode::kLmEval;
  // Of langdetect. kLmEval: one seed for each verdict; kFixed: the language that most seeds find.
  std::vector<uint64_t> language_seeds = {0};
};

// One verdict a seed in kLmEval and for instructions that ask for a language, else a single one, as
// in kFixed. `instruction` has passed check_instruction. A blank response follows nothing. Valid
// UTF-8. Errors: those of PythonRegex.
[[nodiscard]] Result<std::vector<bool>> follows(const IfevalInstruction& instruction,
                                                const std::string& response,
                                                const IfevalTools& tools,
                                                const IfevalCheckParams& params);

}  // namespace dovetail::eval
