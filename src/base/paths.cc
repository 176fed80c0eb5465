#include "base/paths.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "base/config.h"

namespace dovetail {
namespace {

// The value of an environment variable, empty if unset.
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
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
  const std::string part = fmt::format("{}.part{}", path, ::getpid());
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return failed("opening for writing");
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = ::write(file, text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const auto error = failed("writing");
      ::close(file);
      ::unlink(part.c_str());
      return error;
    }
    written += static_cast<size_t>(n);
  }
  const bool synced = ::fsync(file) == 0;
  if (::close(file) != 0 || !synced || ::rename(part.c_str(), path.c_str()) != 0) {
    const auto error = failed("writing");
    ::unlink(part.c_str());
    return error;
  }
  return {};
}

}  // namespace dovetail
