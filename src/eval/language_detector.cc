#include "eval/language_detector.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>

#include "base/json_text.h"
#include "eval/python_random.h"
#include "eval/python_regex.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr size_t kMaxNgram = 3;
constexpr size_t kMaxCharacters = 10000;
constexpr int kTrials = 7;
constexpr int kMostDraws = 1000;
constexpr double kConverged = 0.99999;
constexpr double kLeastProbability = 0.1;
constexpr double kAlpha = 0.5;
constexpr double kAlphaWidth = 0.05;
constexpr double kBaseFrequency = 10000;
constexpr std::array<std::string_view, 5> kMarkRows = {"0300", "0301", "0303", "0309", "0323"};

// An n-gram of at most three characters of 21 bits.
uint64_t ngram_key(std::u32string_view gram) {
  uint64_t key = 0;
  for (const char32_t c : gram) key = (key << 21) | c;
  return key;
}

// The value of a line of messages.properties: ASCII with \uXXXX.
Result<std::u32string> unescaped(std::string_view value, std::string_view key) {
  std::u32string text;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '\\') {
      text += static_cast<char32_t>(static_cast<unsigned char>(value[i]));
      continue;
    }
    char32_t point = 0;
    const std::string_view digits =
        value.substr(i).substr(std::min<size_t>(2, value.size() - i), 4);
    const size_t valid = digits.find_first_not_of("0123456789abcdefABCDEF");
    if (value.substr(i, 2) != "\\u" || digits.size() != 4 || valid != std::string_view::npos) {
      return invalid_argument(fmt::format("messages.properties: {}: want \\uXXXX", key));
    }
    point = static_cast<char32_t>(std::stoul(std::string(digits), nullptr, 16));
    text += point;
    i += 5;
  }
  return text;
}

using Messages = std::map<std::string, std::u32string, std::less<>>;

// How langdetect makes characters alike before it counts them.
class Normalizer {
 public:
  Status read(std::string_view properties) {
    Messages messages;
    for (const std::string_view row : split_at(properties, "\n")) {
      const std::string_view line = strip(row);
      if (line.empty()) continue;
      const std::string key(text_before(line, "="));
      DOVETAIL_TRY(const std::u32string value,
                   unescaped(line.substr(std::min(key.size() + 1, line.size())), key));
      messages[key] = value;
      if (!key.starts_with("NGram.KANJI_")) continue;
      for (const char32_t c : value) kanji_[c] = value[0];
    }
    std::vector<std::string> wanted = {"NGram.LATIN1_EXCLUDE", "TO_NORMALIZE_VI_CHARS",
                                       "DMARK_CLASS"};
    for (const std::string_view mark : kMarkRows) {
      wanted.push_back(fmt::format("NORMALIZED_VI_CHARS_{}", mark));
    }
    for (const std::string& key : wanted) {
      if (messages.contains(key)) continue;
      return invalid_argument(fmt::format("messages.properties: {} is missing", key));
    }
    latin1_excluded_ = messages["NGram.LATIN1_EXCLUDE"];
    vietnamese_ = messages["TO_NORMALIZE_VI_CHARS"];
    marks_ = messages["DMARK_CLASS"];
    for (size_t i = 0; i < kMarkRows.size(); ++i) {
      marked_[i] = messages[wanted[3 + i]];
      if (marked_[i].size() == vietnamese_.size() && marks_.size() == kMarkRows.size()) continue;
      return invalid_argument(fmt::format("messages.properties: {} has {} characters, want {}",
                                          wanted[3 + i], marked_[i].size(), vietnamese_.size()));
    }
    return {};
  }

  // Letters with a mark behind them become one letter, as in Vietnamese.
  [[nodiscard]] std::u32string compose(const std::u32string& text) const {
    std::u32string made;
    for (size_t i = 0; i < text.size(); ++i) {
      const size_t letter = vietnamese_.find(text[i]);
      const size_t mark = i + 1 < text.size() ? marks_.find(text[i + 1]) : std::u32string::npos;
      if (letter == std::u32string::npos || mark == std::u32string::npos) {
        made += text[i];
      } else {
        made += marked_[mark][letter];
        ++i;
      }
    }
    return made;
  }

  // One character of a block of Unicode stands for all of them, or a space for what is no letter.
  [[nodiscard]] char32_t normalize(char32_t c) const {
    const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
    if (c < 0x80) return within('A', 'Z') || within('a', 'z') ? c : U' ';
    if (c <= 0xff) return latin1_excluded_.find(c) != std::u32string::npos ? U' ' : c;
    if (c == 0x219) return 0x15f;  // Romanian: comma below becomes cedilla
    if (c == 0x21b) return 0x163;
    if (within(0x2000, 0x206f)) return U' ';
    if (c == 0x6cc) return 0x64a;  // Farsi yeh becomes the Arabic one
    if (within(0x1ea0, 0x1eff)) return 0x1ec3;
    if (within(0x3040, 0x309f)) return 0x3042;
    if (within(0x30a0, 0x30ff)) return 0x30a2;
    if (within(0x3100, 0x312f) || within(0x31a0, 0x31bf)) return 0x3105;
    if (within(0xac00, 0xd7af)) return 0xac00;
    if (!within(0x4e00, 0x9fff)) return c;
    const auto found = kanji_.find(c);
    return found == kanji_.end() ? c : found->second;
  }

 private:
  std::unordered_map<char32_t, char32_t> kanji_;
  std::u32string latin1_excluded_, vietnamese_, marks_;
  std::array<std::u32string, kMarkRows.size()> marked_;
};

// Runs of spaces become one; a text that is not Latin loses its Latin letters.
std::u32string cleaned(const std::u32string& text) {
  std::u32string made;
  char32_t before = 0;
  int64_t latin = 0;
  int64_t other = 0;
  for (const char32_t c : text.substr(0, kMaxCharacters)) {
    if (c != U' ' || before != U' ') {
      made += c;
      if (c >= U'A' && c <= U'z') ++latin;
      if (c >= 0x300) ++other;
    }
    before = c;
  }
  if (latin * 2 < other) std::erase_if(made, [](char32_t c) { return c >= U'A' && c <= U'z'; });
  return made;
}

// The last three characters of a text that is read from left to right.
class NgramWindow {
 public:
  void add(char32_t c) {
    const char32_t last = grams_.back();
    if (last == U' ') {
      grams_ = U" ";
      in_capitals_ = false;
      if (c == U' ') return;
    } else if (grams_.size() >= kMaxNgram) {
      grams_.erase(0, 1);
    }
    grams_ += c;
    if (!is_upper_character(c))
      in_capitals_ = false;
    else if (is_upper_character(last))
      in_capitals_ = true;
  }
  // Inside a word of capitals nothing is counted.
  [[nodiscard]] bool in_capitals() const { return in_capitals_; }
  [[nodiscard]] std::u32string_view grams() const { return grams_; }

 private:
  std::u32string grams_ = U" ";
  bool in_capitals_ = false;
};

// Makes the probabilities sum to 1; the largest.
double normalize(std::vector<double>& probabilities) {
  double sum = 0;
  for (const double p : probabilities) sum += p;
  double largest = 0;
  for (double& p : probabilities) {
    p /= sum;
    largest = std::max(largest, p);
  }
  return largest;
}

}  // namespace

struct LanguageDetector::Model {
  std::vector<std::string> languages = {};
  // By n-gram: p(n-gram | language) of each language.
  std::unordered_map<uint64_t, std::vector<double>> frequencies = {};
  Normalizer normalizer = {};
  PythonRegex url, mail;

  Status add_profile(const std::string& name, const std::string& text, size_t index, size_t count) {
    DOVETAIL_TRY(const Json profile, parse_json(text, "profile " + name));
    const auto is_profile = [&] {
      return profile.is_object() && profile.contains("freq") && profile["freq"].is_object() &&
             profile.contains("n_words") && profile["n_words"].is_array() &&
             profile["n_words"].size() == kMaxNgram && profile.contains("name") &&
             profile["name"].is_string();
    };
    if (!is_profile()) {
      return invalid_argument(fmt::format("profile {}: want name, n_words and freq", name));
    }
    languages.push_back(profile["name"].get<std::string>());
    for (const auto& [gram, seen] : profile["freq"].items()) {
      const std::u32string points = code_points(gram);
      if (points.empty() || points.size() > kMaxNgram || !seen.is_number()) continue;
      std::vector<double>& row = frequencies[ngram_key(points)];
      row.resize(count);
      const Json& total = profile["n_words"][points.size() - 1];
      if (!total.is_number()) return invalid_argument(fmt::format("profile {}: n_words", name));
      row[index] = seen.get<double>() / total.get<double>();
    }
    return {};
  }

  // What is known of the text: the rows of its n-grams.
  Result<std::vector<const std::vector<double>*>> features(std::string_view text) const {
    DOVETAIL_TRY(const std::string without_urls, url.substitute(text, " "));
    DOVETAIL_TRY(const std::string plain, mail.substitute(without_urls, " "));
    std::vector<const std::vector<double>*> found;
    NgramWindow window;
    for (const char32_t c : cleaned(normalizer.compose(code_points(plain)))) {
      window.add(normalizer.normalize(c));
      if (window.in_capitals()) continue;
      const std::u32string_view grams = window.grams();
      for (size_t n = 1; n <= std::min(kMaxNgram, grams.size()); ++n) {
        const std::u32string_view gram = grams.substr(grams.size() - n);
        if (gram == U" ") continue;
        const auto row = frequencies.find(ngram_key(gram));
        if (row != frequencies.end()) found.push_back(&row->second);
      }
    }
    return found;
  }

  std::string most_probable(const std::vector<const std::vector<double>*>& rows,
                            uint64_t seed) const {
    PythonRandom random(seed);
    const size_t count = languages.size();
    std::vector<double> mean(count, 0.0);
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<double> p(count, 1.0 / static_cast<double>(count));
      const double weight = (kAlpha + random.gauss() * kAlphaWidth) / kBaseFrequency;
      for (int draw = 0;; ++draw) {
        const std::vector<double>& row =
            *rows[static_cast<size_t>(random.below(static_cast<int64_t>(rows.size())))];
        for (size_t i = 0; i < count; ++i) p[i] *= weight + row[i];
        if (draw % 5 == 0 && (normalize(p) > kConverged || draw >= kMostDraws)) break;
      }
      for (size_t i = 0; i < count; ++i) mean[i] += p[i] / kTrials;
    }
    const auto best = std::max_element(mean.begin(), mean.end());  // the first of equals
    if (!(*best > kLeastProbability)) return "unknown";
    return languages[static_cast<size_t>(best - mean.begin())];
  }
};

Result<LanguageDetector> LanguageDetector::create(const LanguageFiles& files) {
  if (files.profiles.size() < 2) return invalid_argument("language profiles: want two or more");
  DOVETAIL_TRY(PythonRegex url, PythonRegex::compile(R"(https?://[-_.?&~;+=/#0-9A-Za-z]{1,2076})"));
  DOVETAIL_TRY(
      PythonRegex mail,
      PythonRegex::compile(R"([-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255})"));
  Model model{.url = std::move(url), .mail = std::move(mail)};
  DOVETAIL_TRY_STATUS(model.normalizer.read(files.messages));
  size_t index = 0;
  for (const auto& [name, text] : files.profiles) {
    DOVETAIL_TRY_STATUS(model.add_profile(name, text, index++, files.profiles.size()));
  }
  LanguageDetector detector;
  detector.model_ = std::make_shared<const Model>(std::move(model));
  return detector;
}

Result<std::vector<std::optional<std::string>>> LanguageDetector::detect(
    std::string_view text, const std::vector<uint64_t>& seeds) const {
  DOVETAIL_TRY(const auto rows, model_->features(text));
  std::vector<std::optional<std::string>> found(seeds.size());
  if (rows.empty()) return found;
  for (size_t i = 0; i < seeds.size(); ++i) found[i] = model_->most_probable(rows, seeds[i]);
  return found;
}

}  // namespace dovetail::eval
