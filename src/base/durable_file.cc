#include "base/durable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace dovetail {
namespace {

namespace fs = std::filesystem;

bool sync(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return false;
  // Some file systems cannot sync a folder and say so; there is nothing more to do then.
  const bool synced = ::fsync(file) == 0 || errno == EINVAL;
  return ::close(file) == 0 && synced;
}

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

Status publish_file(const std::string& part, const std::string& path) {
  const bool done = sync(part, O_RDONLY) && ::rename(part.c_str(), path.c_str()) == 0 &&
                    sync(folder_of(path), O_RDONLY | O_DIRECTORY);
  if (done) return {};
  return io_error(fmt::format("{}: writing failed: {}", path, std::strerror(errno)));
}

void remove_abandoned_parts(const std::string& path) {
  const std::string prefix = fs::path(path).filename().string() + ".part";
  std::error_code code;
  for (fs::directory_iterator it(folder_of(path), code), end; !code && it != end;
       it.increment(code)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const int file = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(file);
  }
}

}  // namespace dovetail
