#include "model/hub_questions.h"

#include <unistd.h>

#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "base/paths.h"
#include "base/subprocess.h"
#include "model/package_index.h"
#include "model/python_programs.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

// One version of each, so that a run today is a run tomorrow.
constexpr const char* kHubPackage = "huggingface_hub==2.4.0";
constexpr const char* kTablePackage = "pyarrow==26.0.1";

Status move_file(const std::string& from, const std::string& to) {
  std::error_code code;
  fs::create_directories(fs::path(to).parent_path(), code);
  if (!code) fs::rename(from, to, code);
  if (code) return io_error(fmt::format("{}: {}", to, code.message()));
  return {};
}

// The folder of the two packages, installed once.
Result<std::string> packages_folder(const ProgressSink& progress) {
  const std::string folder =
      fmt::format("{}/python/{}_{}", cache_folder(), kHubPackage, kTablePackage);
  std::error_code ignored;
  if (fs::is_directory(folder, ignored)) return folder;
  report_progress(progress, "installing the hub's client", 0);
  DOVETAIL_TRY(const TemporaryFolder part,
               TemporaryFolder::create(fmt::format("{}.part{}", folder, ::getpid())));
  DOVETAIL_TRY_STATUS(run_python(
      {"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
       "--only-binary=:all:", "--target", part.path(), kHubPackage, kTablePackage},
      "installing the hub's client"));
  // Another process may have been faster; its folder is as good.
  fs::rename(part.path(), folder, ignored);
  if (!fs::is_directory(folder, ignored)) return io_error(folder + ": cannot be written");
  return folder;
}

std::vector<std::string> fetch_arguments(const KnownBenchmark& benchmark,
                                         const std::string& packages, const std::string& part) {
  // Python is told of the packages in its own words: the environment stays as it is.
  const std::string program =
      fmt::format("import sys; sys.path.insert(0, {:?})\n{}", packages, kHubQuestions);
  std::vector<std::string> arguments = {"-I", "-W", "ignore", "-c", program, benchmark.hub, part};
  for (const KnownFile& file : benchmark.files) arguments.push_back(file.path);
  return arguments;
}

}  // namespace

Status pull_hub_questions(const KnownBenchmark& benchmark, const std::string& folder,
                          const ProgressSink& progress) {
  if (benchmark.hub.empty()) {
    return invalid_argument(benchmark.name + ": no data set of the hub is known for it");
  }
  DOVETAIL_TRY(const std::string packages, packages_folder(progress));
  DOVETAIL_TRY(const TemporaryFolder part,
               TemporaryFolder::create(fmt::format("{}.part{}", folder, ::getpid())));
  report_progress(progress,
                  fmt::format("fetching {} files of {}", benchmark.files.size(), benchmark.hub), 0);
  DOVETAIL_TRY_STATUS(
      run_python(fetch_arguments(benchmark, packages, part.path()), "fetching " + benchmark.hub));
  const Status known = check_benchmark(benchmark, part.path());
  if (!known.has_value()) {
    return make_error(ErrorCode::kInternal,
                      fmt::format("{}: the hub's questions are not those that are known: {}",
                                  benchmark.hub, known.error().message));
  }
  for (const KnownFile& file : benchmark.files) {
    DOVETAIL_TRY_STATUS(move_file(part.path() + "/" + file.path, folder + "/" + file.path));
  }
  return {};
}

}  // namespace dovetail::model
