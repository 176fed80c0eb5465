#include "eval/result_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/hash.h"

namespace dovetail::eval {
namespace {

constexpr std::string_view kIdentityKey = "identity";
constexpr size_t kSumDigits = 16;

std::string line_of(std::string_view key, std::string_view value) {
  const std::string text = fmt::format("{} {}", key, value);
  return fmt::format("{} {}\n", text, sha256_hex(text).substr(0, kSumDigits));
}

// Key and value of a line without its end, or nothing if it is damaged.
std::optional<ResultJournal::Entry> parse_line(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const std::string_view text = line.substr(0, last);
  if (line.substr(last + 1) != sha256_hex(text).substr(0, kSumDigits)) return std::nullopt;
  return ResultJournal::Entry{line.substr(0, first), text.substr(first + 1)};
}

// Held while a process reads or appends.
class FileLock {
 public:
  explicit FileLock(int file) : file_(file) {
    while (::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FileLock() { ::flock(file_, LOCK_UN); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int file_;
};

}  // namespace

ResultJournal::ResultJournal(ResultJournal&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      damaged_lines_(other.damaged_lines_),
      entries_(std::move(other.entries_)) {}

ResultJournal& ResultJournal::operator=(ResultJournal&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(damaged_lines_, other.damaged_lines_);
  std::swap(entries_, other.entries_);
  return *this;
}

ResultJournal::~ResultJournal() {
  if (file_ >= 0) ::close(file_);
}

Result<ResultJournal> ResultJournal::open(const std::string& folder, const std::string& identity) {
  ResultJournal journal;
  journal.path_ = fmt::format("{}/{}.journal", folder, sha256_hex(identity).substr(0, 32));
  std::error_code ignored;  // opening says what is wrong
  std::filesystem::create_directories(folder, ignored);
  journal.file_ = ::open(journal.path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (journal.file_ < 0)
    return io_error(fmt::format("{}: {}", journal.path_, std::strerror(errno)));
  const FileLock lock(journal.file_);
  DOVETAIL_TRY_STATUS(journal.read(identity));
  return journal;
}

Status ResultJournal::read(const std::string& identity) {
  std::string text;
  std::string buffer(size_t{1} << 20, '\0');
  for (;;) {
    const ssize_t count =
        ::pread(file_, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(fmt::format("{}: {}", path_, std::strerror(errno)));
    if (count == 0) break;
    text.append(buffer, 0, static_cast<size_t>(count));
  }
  const std::string wanted = sha256_hex(identity);
  bool is_known = false;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    auto entry = parse_line(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    if (!entry.has_value()) {
      ++damaged_lines_;
    } else if (entry->first == kIdentityKey) {
      is_known = true;
      if (entry->second == wanted) continue;
      return invalid_argument(
          fmt::format("{}: answers of {}, want {}", path_, entry->second, wanted));
    } else {
      entries_.insert(*std::move(entry));
    }
  }
  return is_known ? Status{} : write(line_of(kIdentityKey, wanted));
}

Status ResultJournal::write(const std::string& text) {
  // A process that was killed in the middle of a line left it without an end.
  const off_t size = ::lseek(file_, 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(file_, &last, 1, size - 1) != 1)
    return io_error(fmt::format("{}: {}", path_, std::strerror(errno)));
  const std::string whole = (last == '\n' ? "" : "\n") + text;
  for (size_t done = 0; done < whole.size();) {
    const ssize_t count = ::write(file_, whole.data() + done, whole.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error(fmt::format("{}: {}", path_, std::strerror(errno)));
    done += static_cast<size_t>(count);
  }
  if (::fdatasync(file_) == 0) return {};
  return io_error(fmt::format("{}: {}", path_, std::strerror(errno)));
}

const std::string* ResultJournal::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

Status ResultJournal::append(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries) text += line_of(entry.first, entry.second);
  if (text.empty()) return {};
  const FileLock lock(file_);
  DOVETAIL_TRY_STATUS(write(text));
  for (const Entry& entry : entries) entries_.insert_or_assign(entry.first, entry.second);
  return {};
}

}  // namespace dovetail::eval
