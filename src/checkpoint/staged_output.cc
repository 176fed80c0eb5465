#include "checkpoint/staged_output.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "base/durable_file.h"

namespace dovetail::checkpoint {
namespace {

namespace fs = std::filesystem;

// Without a slash at the end, so that "OUT/" has its partial folder beside it.
std::string plain_path(const std::string& out) {
  std::string path = out;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

Status check_absent(const std::string& out) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(out, ignored))) return {};
  return invalid_argument(fmt::format("{}: exists already; remove it or name another output", out));
}

bool sync_path(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return false;
  const bool synced = ::fsync(file) == 0 || errno == EINVAL;
  return ::close(file) == 0 && synced;
}

std::unexpected<Error> failed(const std::string& path) {
  return io_error(fmt::format("{}: writing failed: {}", path, std::strerror(errno)));
}

}  // namespace

StagedOutput::StagedOutput(StagedOutput&& other) noexcept
    : out_(std::move(other.out_)),
      staged_(std::move(other.staged_)),
      lock_(other.lock_),
      is_folder_(other.is_folder_) {
  other.lock_ = -1;
}

StagedOutput::~StagedOutput() {
  if (lock_ < 0) return;
  std::error_code ignored;
  fs::remove_all(staged_, ignored);
  if (is_folder_) fs::remove(staged_ + ".lock", ignored);
  ::close(lock_);
}

Result<StagedOutput> StagedOutput::create(const std::string& name, bool is_folder) {
  const std::string out = plain_path(name);
  DOVETAIL_TRY_STATUS(check_absent(out));
  const std::string staged = out + ".partial";
  // A folder cannot be locked everywhere; a file beside it can.
  const std::string locked = is_folder ? staged + ".lock" : staged;
  const std::string parent = fs::path(out).parent_path().string();
  std::error_code code;
  if (!parent.empty()) fs::create_directories(parent, code);
  const int lock = ::open(locked.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock < 0) {
    return io_error(fmt::format("{}: cannot be created: {}", locked, std::strerror(errno)));
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return invalid_argument(
        fmt::format("{}: another process is writing it ({} is locked)", out, locked));
  }
  StagedOutput made(out, staged, lock, is_folder);
  if (is_folder) {
    fs::remove_all(staged, code);
    if (!fs::create_directory(staged, code)) {
      return io_error(fmt::format("{}: cannot be created: {}", staged, code.message()));
    }
  } else if (::ftruncate(lock, 0) != 0) {
    return failed(staged);
  }
  return made;
}

Result<StagedOutput> StagedOutput::create_folder(const std::string& out) {
  return create(out, true);
}
Result<StagedOutput> StagedOutput::create_file(const std::string& out) {
  return create(out, false);
}

Status StagedOutput::publish() {
  DOVETAIL_TRY_STATUS(check_absent(out_));
  if (!is_folder_) {
    DOVETAIL_TRY_STATUS(publish_file(staged_, out_));
    ::close(lock_);
    lock_ = -1;
    return {};
  }
  std::error_code code;
  for (fs::recursive_directory_iterator it(staged_, code), end; !code && it != end;
       it.increment(code)) {
    if (!sync_path(it->path().string(), it->is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY))
      return failed(it->path().string());
  }
  if (code || !sync_path(staged_, O_RDONLY | O_DIRECTORY)) return failed(staged_);
  const std::string parent = fs::path(out_).parent_path().string();
  if (::rename(staged_.c_str(), out_.c_str()) != 0 ||
      !sync_path(parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY))
    return failed(out_);
  std::error_code ignored;
  fs::remove(staged_ + ".lock", ignored);
  ::close(lock_);
  lock_ = -1;
  return {};
}

}  // namespace dovetail::checkpoint
