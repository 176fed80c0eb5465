#include "eval/benchmark_data.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/json_text.h"
#include "base/paths.h"
#include "eval/python_text.h"
#include "model/benchmark_files.h"
#include "model/pre_tokenizer.h"

namespace dovetail::eval {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;
constexpr std::string_view kMmluHeader = "question,choice0,choice1,choice2,choice3,answer";

// One record of comma-separated values as RFC 4180 has it: quoted fields may hold commas, line ends
// and doubled quotes.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] int64_t line() const { return record_line_; }

  Result<std::vector<std::string>> next() {
    record_line_ = line_;
    std::vector<std::string> fields;
    for (;;) {
      DOVETAIL_TRY(std::string field, next_field());
      fields.push_back(std::move(field));
      if (at_end()) return fields;
      const char end = text_[at_++];
      if (end == ',') continue;
      if (end == '\r' && !at_end() && text_[at_] == '\n') ++at_;
      ++line_;
      return fields;
    }
  }

 private:
  Result<std::string> next_field() {
    std::string field;
    if (at_end() || text_[at_] != '"') {
      const size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
      field = text_.substr(at_, end - at_);
      at_ = end;
      return field;
    }
    for (++at_; !at_end(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (c != '"') {
        field += c;
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        field += text_[++at_];
      } else {
        ++at_;
        if (at_end() || std::string_view(",\r\n").find(text_[at_]) != std::string_view::npos) {
          return field;
        }
        return invalid_argument(fmt::format(
            "{}:{}: text behind a closing quote, want a comma or a line end", name_, line_));
      }
    }
    return invalid_argument(fmt::format("{}:{}: a quote that is not closed, the file is truncated",
                                        name_, record_line_));
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int64_t line_ = 1;
  int64_t record_line_ = 1;
};

Status check_utf8(std::string_view text, const std::string& name) {
  const size_t valid = model::valid_utf8_prefix(text);
  if (valid == text.size()) return {};
  return invalid_argument(fmt::format("{}: byte {} is not UTF-8", name, valid));
}

Result<MmluRow> mmlu_row(const std::vector<std::string>& fields, const std::string& where) {
  if (fields.size() != 6) {
    return invalid_argument(
        fmt::format("{}: {} columns, want 6 ({})", where, fields.size(), kMmluHeader));
  }
  const std::string& answer = fields[5];
  if (answer.size() != 1 || answer[0] < '0' || answer[0] > '3') {
    return invalid_argument(fmt::format("{}: answer = {}, want 0..3", where, one_line(answer)));
  }
  return MmluRow{.question = fields[0],
                 .choices = {fields[1], fields[2], fields[3], fields[4]},
                 .answer = answer[0] - '0'};
}

// Calls `take` for each line that is an object; every line must be one.
Status for_each_object(std::string_view text, const std::string& name,
                       const std::function<Status(const Json&, const std::string&)>& take) {
  DOVETAIL_TRY_STATUS(check_utf8(text, name));
  int64_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string where = fmt::format("{}:{}", name, ++line);
    DOVETAIL_TRY(const Json object, parse_json(text.substr(at, end - at), where));
    if (!object.is_object()) return invalid_argument(fmt::format("{}: no JSON object", where));
    DOVETAIL_TRY_STATUS(take(object, where));
    at = end + 1;
  }
  if (line == 0) return invalid_argument(fmt::format("{}: no line, want one a question", name));
  return {};
}

Result<std::string> text_of(const Json& object, const std::string& key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    return invalid_argument(fmt::format("{}: {} is missing or no text", where, key));
  }
  return found->get<std::string>();
}

// What Python calls false.
bool is_false(const Json& value) {
  if (value.is_number()) return value.get<double>() == 0;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  if (value.is_boolean()) return !value.get<bool>();
  return value.empty();  // null and empty containers
}

}  // namespace

Result<std::vector<MmluRow>> parse_mmlu_csv(std::string_view text, const std::string& name) {
  DOVETAIL_TRY_STATUS(check_utf8(text, name));
  CsvReader reader(text, name);
  DOVETAIL_TRY(const std::vector<std::string> header, reader.next());
  if (fmt::format("{}", fmt::join(header, ",")) != kMmluHeader) {
    return invalid_argument(fmt::format("{}:1: header {}, want {}", name,
                                        one_line(fmt::format("{}", fmt::join(header, ","))),
                                        kMmluHeader));
  }
  std::vector<MmluRow> rows;
  while (!reader.at_end()) {
    DOVETAIL_TRY(const std::vector<std::string> fields, reader.next());
    DOVETAIL_TRY(MmluRow row, mmlu_row(fields, fmt::format("{}:{}", name, reader.line())));
    rows.push_back(std::move(row));
  }
  if (rows.empty()) return invalid_argument(fmt::format("{}: no question", name));
  return rows;
}

Result<std::vector<Gsm8kRow>> parse_gsm8k_jsonl(std::string_view text, const std::string& name) {
  std::vector<Gsm8kRow> rows;
  DOVETAIL_TRY_STATUS(
      for_each_object(text, name, [&](const Json& object, const std::string& where) -> Status {
        Gsm8kRow row;
        DOVETAIL_TRY(row.question, text_of(object, "question", where));
        DOVETAIL_TRY(row.answer, text_of(object, "answer", where));
        if (row.answer.find("#### ") == std::string::npos) {
          return invalid_argument(fmt::format("{}: answer has no \"#### \"", where));
        }
        rows.push_back(std::move(row));
        return {};
      }));
  return rows;
}

Result<std::vector<HumanEvalRow>> parse_humaneval_jsonl(std::string_view text,
                                                        const std::string& name) {
  std::vector<HumanEvalRow> rows;
  DOVETAIL_TRY_STATUS(
      for_each_object(text, name, [&](const Json& object, const std::string& where) -> Status {
        HumanEvalRow row;
        DOVETAIL_TRY(row.task_id, text_of(object, "task_id", where));
        DOVETAIL_TRY(row.prompt, text_of(object, "prompt", where));
        DOVETAIL_TRY(row.entry_point, text_of(object, "entry_point", where));
        DOVETAIL_TRY(row.canonical_solution, text_of(object, "canonical_solution", where));
        DOVETAIL_TRY(row.test, text_of(object, "test", where));
        rows.push_back(std::move(row));
        return {};
      }));
  return rows;
}

Result<std::vector<IfevalRow>> parse_ifeval_jsonl(std::string_view text, const std::string& name) {
  std::vector<IfevalRow> rows;
  DOVETAIL_TRY_STATUS(
      for_each_object(text, name, [&](const Json& object, const std::string& where) -> Status {
        IfevalRow row;
        DOVETAIL_TRY(row.prompt, text_of(object, "prompt", where));
        const Json ids = object.value("instruction_id_list", Json());
        const Json arguments = object.value("kwargs", Json());
        if (!object.value("key", Json()).is_number_integer() || !ids.is_array() ||
            !arguments.is_array() || ids.size() != arguments.size() || ids.empty()) {
          return invalid_argument(fmt::format(
              "{}: want key, and as many kwargs as instruction_id_list, at least one", where));
        }
        row.key = object["key"].get<int64_t>();
        for (size_t i = 0; i < ids.size(); ++i) {
          if (!ids[i].is_string() || !arguments[i].is_object()) {
            return invalid_argument(
                fmt::format("{}: instruction {}: no name or no arguments", where, i));
          }
          IfevalInstruction instruction{.id = ids[i].get<std::string>()};
          for (const auto& [key, value] : arguments[i].items()) {
            if (!is_false(value)) instruction.arguments[key] = value;
          }
          row.instructions.push_back(std::move(instruction));
        }
        rows.push_back(std::move(row));
        return {};
      }));
  return rows;
}

std::vector<std::string> split_wikitext_pages(std::string_view text) {
  std::vector<std::string> pages;
  std::string page;
  bool is_first_line = true;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const std::string marked = replace_all(replace_all(line, "= = =", "==="), "= =", "==");
    const std::string_view heading = strip(marked);
    if (heading.starts_with("= ") && heading.ends_with(" =")) {
      if (!strip(page).empty()) pages.push_back(page);
      page.clear();
      is_first_line = true;
    }
    if (!is_first_line) page += '\n';
    page += line;
    is_first_line = false;
    at = end + 1;
  }
  pages.push_back(page);
  return pages;
}

std::string benchmark_folder() {
  return model::benchmark_folder();
}

Result<BenchmarkFiles> BenchmarkFiles::open(const std::string& folder) {
  DOVETAIL_TRY(const std::vector<model::KnownBenchmark> benchmarks, model::load_known_benchmarks());
  BenchmarkFiles files;
  files.folder_ = folder;
  for (const model::KnownBenchmark& benchmark : benchmarks) {
    for (const model::KnownFile& file : benchmark.files) {
      files.known_[file.path] = {.sha256 = file.sha256, .bytes = file.bytes};
    }
  }
  return files;
}

Result<std::string> BenchmarkFiles::read(const std::string& name) const {
  const auto known = known_.find(name);
  if (known == known_.end()) return not_found(fmt::format("{}: no known benchmark file", name));
  const std::string path = folder_ + "/" + name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return not_found(
        fmt::format("{}: no such file; set DOVETAIL_DATA to a folder that holds eval/{} (dovetail "
                    "pull says where "
                    "it is from)",
                    path, name));
  }
  DOVETAIL_TRY(std::string text, read_text_file(path, kMaxFileBytes));
  if (static_cast<int64_t>(text.size()) < known->second.bytes) {
    return invalid_argument(fmt::format("{}: truncated, {} bytes, want {} (sha256 {})", path,
                                        text.size(), known->second.bytes, known->second.sha256));
  }
  const std::string sum = sha256_hex(text);
  if (sum != known->second.sha256) {
    return invalid_argument(
        fmt::format("{}: altered, sha256 {}, want {}", path, sum, known->second.sha256));
  }
  return text;
}

Result<std::vector<MmluRow>> BenchmarkFiles::mmlu(const std::string& subject,
                                                  const std::string& split) const {
  const std::string name = fmt::format("mmlu/{}/{}_{}.csv", split, subject, split);
  DOVETAIL_TRY(const std::string text, read(name));
  return parse_mmlu_csv(text, name);
}

Result<std::vector<Gsm8kRow>> BenchmarkFiles::gsm8k(const std::string& split) const {
  const std::string name = fmt::format("gsm8k/{}.jsonl", split);
  DOVETAIL_TRY(const std::string text, read(name));
  return parse_gsm8k_jsonl(text, name);
}

Result<std::vector<HumanEvalRow>> BenchmarkFiles::humaneval() const {
  const std::string name = "humaneval/HumanEval.jsonl";
  DOVETAIL_TRY(const std::string text, read(name));
  return parse_humaneval_jsonl(text, name);
}

Result<std::vector<IfevalRow>> BenchmarkFiles::ifeval() const {
  const std::string name = "ifeval/input_data.jsonl";
  DOVETAIL_TRY(const std::string text, read(name));
  return parse_ifeval_jsonl(text, name);
}

Result<std::vector<std::string>> BenchmarkFiles::wikitext_pages() const {
  const std::string name = "text/wikitext-2-raw.wiki.test.raw";
  DOVETAIL_TRY(const std::string text, read(name));
  DOVETAIL_TRY_STATUS(check_utf8(text, name));
  return split_wikitext_pages(text);
}

}  // namespace dovetail::eval
