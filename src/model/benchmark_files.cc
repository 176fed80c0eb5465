#include "model/benchmark_files.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "base/config.h"
#include "base/hash.h"
#include "base/paths.h"

namespace dovetail::model {
namespace {

struct KnownBenchmarks {
  std::vector<KnownBenchmark> benchmarks;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.list("benchmarks", s.benchmarks, {.required = true, .help = "benchmarks"});
  }
};

}  // namespace

Result<std::vector<KnownBenchmark>> load_known_benchmarks() {
  DOVETAIL_TRY(KnownBenchmarks known,
               read_config<KnownBenchmarks>(data_folder() + "/benchmarks/files.toml"));
  return std::move(known.benchmarks);
}

std::string benchmark_folder() {
  const char* data = std::getenv("DOVETAIL_DATA");
  const bool given = data != nullptr && *data != '\0';
  return (given ? std::string(data) : cache_folder()) + "/eval";
}

Status check_benchmark(const KnownBenchmark& benchmark, const std::string& folder) {
  std::vector<std::string> missing;
  for (const KnownFile& file : benchmark.files) {
    const std::string path = folder + "/" + file.path;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      missing.push_back(file.path);
      continue;
    }
    DOVETAIL_TRY(const std::string sum, sha256_file(path));
    if (sum != file.sha256) {
      return invalid_argument(
          fmt::format("{}: altered, sha256 {}, want {}", path, sum, file.sha256));
    }
  }
  if (missing.empty()) return {};
  return not_found(fmt::format(
      "{}: {} of {} files of questions are missing in {}, the first is {}. {}Their source is "
      "{} ({}); their SHA-256 stand in data/benchmarks/files.toml and are checked",
      benchmark.name, missing.size(), benchmark.files.size(), folder, missing.front(),
      benchmark.hub.empty() ? "" : fmt::format("Run: dovetail pull {}. ", benchmark.name),
      benchmark.source, benchmark.license));
}

}  // namespace dovetail::model
