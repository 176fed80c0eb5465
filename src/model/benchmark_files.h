// Which files hold the questions of benchmarks, known byte for byte (data/benchmarks/files.toml),
// and whether they are there.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

struct KnownFile {
  std::string path;  // below the folder of benchmarks
  std::string sha256;
  int64_t bytes = 0;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("path", s.path, {.required = true, .help = "below the folder of benchmarks"});
    v.text("sha256", s.sha256, {.required = true, .help = "of the whole file"});
    v.number("bytes", s.bytes, {.min = 1, .required = true, .help = "size of the file"});
  }
};

struct KnownBenchmark {
  std::string name;
  std::string source;
  std::string license;
  std::string hub = {};  // data set of the Hugging Face hub with these questions; "": none known
  std::vector<KnownFile> files;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "benchmark"});
    v.text("source", s.source, {.required = true, .help = "where the files are from"});
    v.text("license", s.license, {.required = true, .help = "of the questions"});
    v.text("hub", s.hub, {.help = "data set of the Hugging Face hub with these questions"});
    v.list("files", s.files, {.required = true, .help = "each file of it"});
  }
};

[[nodiscard]] Result<std::vector<KnownBenchmark>> load_known_benchmarks();

// $DOVETAIL_DATA/eval, else `eval` below the cache folder.
[[nodiscard]] std::string benchmark_folder();

// Whether every file of it is below `folder` with its sum. Errors: kNotFound saying how many are
// missing, where they are from and where they belong; kInvalidArgument (altered: both sums).
[[nodiscard]] Status check_benchmark(const KnownBenchmark& benchmark, const std::string& folder);

}  // namespace dovetail::model
