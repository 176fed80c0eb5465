// Which language a text is in, as the Python package langdetect 1.0.9 answers.
//
// Naive Bayes over character n-grams (Shuyo, "Language Detection Library for Java", 2010): n-grams
// of the text are drawn at random until one language is all but certain, seven times, and the
// probabilities are averaged. The answer therefore depends on a seed; langdetect itself takes none,
// so that short texts are answered differently from run to run. The profiles are data of others
// (docs/evaluation.md, "dovetail pull ifeval").
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

struct LanguageFiles {
  std::map<std::string, std::string> profiles = {};  // JSON by file name: "en"
  std::string messages = {};                         // messages.properties
};

class LanguageDetector {
 public:
  // Languages are held in the order of their names; langdetect has the order of the folder, which
  // changes the rounding of sums and nothing else. Errors: kInvalidArgument naming the file that is
  // not in its form.
  [[nodiscard]] static Result<LanguageDetector> create(const LanguageFiles& files);

  // langdetect.detect(text) for each DetectorFactory.seed: a code as "en" or "zh-cn", "unknown"
  // where no language is above 0.1, nothing where langdetect raises for want of features.
  // Valid UTF-8. Errors: those of PythonRegex.
  [[nodiscard]] Result<std::vector<std::optional<std::string>>> detect(
      std::string_view text, const std::vector<uint64_t>& seeds) const;

 private:
  struct Model;
  std::shared_ptr<const Model> model_;
};

}  // namespace dovetail::eval
