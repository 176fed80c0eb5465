// What all fuzz targets share: the table of targets, a folder for the file under test, and the
// promises that hold for any bytes. A broken promise aborts, which the fuzzer reports as a crash.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::fuzz {

// How inputs are changed beside libFuzzer's own mutations of bytes.
enum class Shape : uint8_t {
  kBytes,        // not at all
  kJson,         // as a tree: members and elements are dropped, doubled, exchanged, retyped
  kSafetensors,  // the same for the JSON behind the length of the header
  kGguf,         // a length, count or number of the directory takes another value
};

struct Target {
  std::string_view name;
  void (*run)(std::string_view input);
  Shape shape = Shape::kBytes;
};

[[nodiscard]] const std::vector<Target>& all_targets();

// One function for each target, each in a file of its name.
void fuzz_chip(std::string_view input);
void fuzz_gguf(std::string_view input);
void fuzz_gguf_tokenizer(std::string_view input);
void fuzz_hf_config(std::string_view input);
void fuzz_measurements(std::string_view input);
void fuzz_recipe_file(std::string_view input);
void fuzz_record(std::string_view input);
void fuzz_safetensors(std::string_view input);
void fuzz_safetensors_index(std::string_view input);
void fuzz_study(std::string_view input);
void fuzz_study_db(std::string_view input);
void fuzz_technology(std::string_view input);
void fuzz_tokenizer_files(std::string_view input);
void fuzz_tokenizer_json(std::string_view input);
void fuzz_treatment(std::string_view input);
void fuzz_workload(std::string_view input);
void fuzz_zoo(std::string_view input);

// Aborts, with the promise in words, if it does not hold.
void require(bool holds, std::string_view promise,
             const std::source_location& where = std::source_location::current());

// What every error about a file promises: it names the file, it is one line that a terminal can
// show, it is short whatever the file held, and it never blames the program itself.
void require_good_error(const Error& error, std::string_view file);
// The same without a file.
void require_good_error(const Error& error);

// Targets call it when a reader accepted the input, so that a replay of sound seeds can tell.
void note_accepted();
// How often since the start.
[[nodiscard]] int64_t num_accepted();

// A folder of this process for files under test, in memory where the system has such a place.
// Removed at exit.
[[nodiscard]] const std::string& scratch_folder();
// Writes scratch_folder()/name and returns its path. `name` may lie in a subfolder.
std::string write_scratch(const std::string& name, std::string_view bytes);

}  // namespace dovetail::fuzz
