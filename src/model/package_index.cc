#include "model/package_index.h"

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/paths.h"
#include "base/subprocess.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of("\r\n \t");
  if (end == std::string::npos) return "no output";
  const size_t start = text.find_last_of('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1,
                     end - (start == std::string::npos ? 0 : start + 1) + 1);
}

}  // namespace

Status run_python(const std::vector<std::string>& arguments, const std::string& what) {
  std::vector<std::string> argv = {"python3"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  DOVETAIL_TRY(const SubprocessResult result, run_subprocess(argv));
  if (result.exit_code == 0) return {};
  return unavailable(fmt::format("{} failed: {}; want network access and python3 with pip", what,
                                 last_line(result.output)));
}

Result<TemporaryFolder> TemporaryFolder::create(const std::string& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) return io_error(fmt::format("{}: cannot be created: {}", path, code.message()));
  return TemporaryFolder(path);
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, "")) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code code;
  if (!path_.empty()) fs::remove_all(path_, code);
}

Status unpack_package(const PackageRequest& request, const std::string& folder) {
  const std::string package = fmt::format("{}=={}", request.package, request.version);
  std::vector<std::string> argv = {"-m",      "pip",       "download",
                                   "--quiet", "--no-deps", "--disable-pip-version-check",
                                   "--dest",  folder,      "--no-cache-dir"};
  argv.push_back(request.is_wheel ? "--only-binary=:all:" : "--no-binary=" + request.package);
  if (request.sha256.empty()) {
    argv.push_back(package);
  } else {
    const std::string list = folder + "/requirements.txt";
    DOVETAIL_TRY_STATUS(
        write_text_file(list, fmt::format("{} --hash=sha256:{}\n", package, request.sha256)));
    argv.insert(argv.end(), {"--require-hashes", "--requirement", list});
  }
  DOVETAIL_TRY_STATUS(run_python(argv, "downloading " + package));
  std::string archive;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    if (extension == (request.is_wheel ? ".whl" : ".gz")) archive = entry.path().string();
  }
  if (archive.empty()) {
    return unavailable(
        fmt::format("{}: no {} arrived", package, request.is_wheel ? "wheel" : "source archive"));
  }
  return run_python({"-m", request.is_wheel ? "zipfile" : "tarfile", "-e", archive, folder},
                    "unpacking " + archive);
}

}  // namespace dovetail::model
