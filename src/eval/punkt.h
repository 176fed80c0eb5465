// Splits English text into sentences as NLTK's Punkt tokenizer does.
//
// Follows NLTK 3.10.4 (3.9 knows no curly quotes). Source of the method: Kiss and Strunk,
// "Unsupervised Multilingual Sentence Boundary Detection", Computational Linguistics 32, 2006. The
// trained model is data of others (docs/evaluation.md, "dovetail pull ifeval").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

// The texts of punkt_tab's four files.
struct PunktFiles {
  std::string abbrev_types = {};   // a line a word
  std::string collocations = {};   // two words a line, separated by a tab
  std::string ortho_context = {};  // word, tab, flags
  std::string sent_starters = {};  // a line a word
};

class Punkt {
 public:
  // Errors: kInvalidArgument naming the file and line that is not in its form.
  [[nodiscard]] static Result<Punkt> create(const PunktFiles& files);

  // Valid UTF-8. Errors: those of PythonRegex.
  [[nodiscard]] Result<std::vector<std::string>> sentences(std::string_view text) const;

 private:
  struct Model;
  std::shared_ptr<const Model> model_;
};

}  // namespace dovetail::eval
