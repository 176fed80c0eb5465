// The questions of MMLU, GSM8K, HumanEval and IFEval and the text of WikiText-2, from local files
// that are known byte for byte (data/benchmarks/files.toml).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::eval {

struct MmluRow {
  std::string question;
  std::array<std::string, 4> choices = {};
  int64_t answer = 0;  // 0..3
};

struct Gsm8kRow {
  std::string question;
  std::string answer;  // rationale, "#### " and the number
};

struct HumanEvalRow {
  std::string task_id;  // "HumanEval/0"
  std::string prompt;
  std::string entry_point;
  std::string canonical_solution;
  std::string test;
};

// One demand of an IFEval prompt, as "length_constraints:number_words", and its arguments.
struct IfevalInstruction {
  std::string id;
  Json arguments = Json::object();  // those that Python calls false (0, "", [], null) left out
};

struct IfevalRow {
  int64_t key = 0;
  std::string prompt;
  std::vector<IfevalInstruction> instructions;
};

// Readers of the files' text; `name` stands in front of every message, with the line. Errors:
// kInvalidArgument (an unfinished row, another header or number of columns, an answer outside 0..3,
// a missing key, text that is not UTF-8).
[[nodiscard]] Result<std::vector<MmluRow>> parse_mmlu_csv(std::string_view text,
                                                          const std::string& name);
[[nodiscard]] Result<std::vector<Gsm8kRow>> parse_gsm8k_jsonl(std::string_view text,
                                                              const std::string& name);
[[nodiscard]] Result<std::vector<HumanEvalRow>> parse_humaneval_jsonl(std::string_view text,
                                                                      const std::string& name);
[[nodiscard]] Result<std::vector<IfevalRow>> parse_ifeval_jsonl(std::string_view text,
                                                                const std::string& name);
// Pages of a WikiText file: a line "= Title =" begins one, deeper headings do not. Pages keep their
// line ends; what is blank between two is dropped, unless it ends the file.
[[nodiscard]] std::vector<std::string> split_wikitext_pages(std::string_view text);

// $DOVETAIL_DATA/eval, else `eval` below the cache folder.
[[nodiscard]] std::string benchmark_folder();

// Reads files below a folder and refuses those whose sum differs from the one that is known.
class BenchmarkFiles {
 public:
  // `folder` as of benchmark_folder(). Errors: those of reading data/benchmarks/files.toml.
  [[nodiscard]] static Result<BenchmarkFiles> open(const std::string& folder);

  // The text of "gsm8k/test.jsonl". Errors: kNotFound (with where it was looked for),
  // kInvalidArgument (truncated or altered: both sums are named; unknown name).
  [[nodiscard]] Result<std::string> read(const std::string& name) const;

  // split: "test" or "dev".
  [[nodiscard]] Result<std::vector<MmluRow>> mmlu(const std::string& subject,
                                                  const std::string& split) const;
  // split: "test" or "train".
  [[nodiscard]] Result<std::vector<Gsm8kRow>> gsm8k(const std::string& split) const;
  [[nodiscard]] Result<std::vector<HumanEvalRow>> humaneval() const;
  [[nodiscard]] Result<std::vector<IfevalRow>> ifeval() const;
  [[nodiscard]] Result<std::vector<std::string>> wikitext_pages() const;

 private:
  struct Known {
    std::string sha256;
    int64_t bytes = 0;
  };
  std::string folder_;
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace dovetail::eval
