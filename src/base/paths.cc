#include "base/paths.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/config.h"
#include "base/durable_file.h"

namespace dovetail {
namespace {

// The value of an environment variable, empty if unset.
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// A file beside another one that is being written, locked as long as its writer lives.
struct Part {
  std::string name;
  int file = -1;
};

Result<Part> open_part(const std::string& path) {
  static std::atomic<int64_t> number = 0;
  Part part{.name = fmt::format("{}.part{}-{}", path, ::getpid(), ++number)};
  for (;;) {
    part.file = ::open(part.name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (part.file < 0) {
      return io_error(
          fmt::format("{}: opening for writing failed: {}", path, std::strerror(errno)));
    }
    // Another writer of the same file may have taken it for abandoned before it was locked.
    struct stat found = {};
    if (::flock(part.file, LOCK_EX) != 0 || ::fstat(part.file, &found) != 0 || found.st_nlink > 0) {
      return part;
    }
    ::close(part.file);
  }
}

}  // namespace

std::string data_folder() {
  const std::string home = environment("DOVETAIL_HOME");
  return (home.empty() ? std::string(DOVETAIL_SOURCE_DIR) : home) + "/data";
}

std::string cache_folder() {
  if (const std::string cache = environment("DOVETAIL_CACHE"); !cache.empty()) return cache;
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) return xdg + "/dovetail";
  return environment("HOME") + "/.cache/dovetail";
}

std::vector<std::string> data_names(const std::string& kind) {
  std::vector<std::string> names;
  std::error_code code;
  for (std::filesystem::directory_iterator it(data_folder() + "/" + kind, code), end;
       !code && it != end; it.increment(code)) {
    if (it->path().extension() == ".toml") names.push_back(it->path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> data_file(const std::string& kind, const std::string& name_or_path) {
  const bool is_path = name_or_path.find('/') != std::string::npos ||
                       std::filesystem::path(name_or_path).has_extension();
  if (is_path) return name_or_path;
  const std::vector<std::string> names = data_names(kind);
  if (std::find(names.begin(), names.end(), name_or_path) != names.end()) {
    return fmt::format("{}/{}/{}.toml", data_folder(), kind, name_or_path);
  }
  const auto near = nearest_name(name_or_path, names);
  const size_t plural = kind.ends_with("sses") ? 2 : 1;  // "chips", but "classes"
  return not_found(fmt::format("{} \"{}\" is not in data/{}, want a TOML file or one of {}{}",
                               kind.substr(0, kind.size() - plural), name_or_path, kind,
                               fmt::join(names, ", "),
                               near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

Result<std::string> read_text_file(const std::string& path, int64_t max_bytes) {
  std::error_code code;
  if (!std::filesystem::is_regular_file(path, code)) {
    return not_found(fmt::format("{}: not found, want a file", path));
  }
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return io_error(fmt::format("{}: cannot be opened for reading", path));
  const std::streamsize size = file.tellg();
  if (size < 0 || size > max_bytes) {
    return invalid_argument(fmt::format("{}: {} bytes, want at most {}", path, size, max_bytes));
  }
  std::string text(static_cast<size_t>(size), '\0');
  file.seekg(0);
  file.read(text.data(), size);
  if (!file) return io_error(fmt::format("{}: could not be read to its end", path));
  return text;
}

Status write_text_file(const std::string& path, const std::string& text) {
  const auto failed = [&](const char* step) {
    return io_error(fmt::format("{}: {} failed: {}", path, step, std::strerror(errno)));
  };
  remove_abandoned_parts(path);
  DOVETAIL_TRY(const Part part, open_part(path));
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(part.file, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const auto error = failed("writing");
      ::close(part.file);
      ::unlink(part.name.c_str());
      return error;
    }
    written += static_cast<size_t>(n);
  }
  Status published = publish_file(part.name, path);
  // Some file systems tell only now that the disk is full; the lock ends here, too.
  if (::close(part.file) != 0 && published.has_value()) published = failed("writing");
  if (!published.has_value()) ::unlink(part.name.c_str());
  return published;
}

}  // namespace dovetail
