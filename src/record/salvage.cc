#include "record/salvage.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/config.h"
#include "record/layout.h"
#include "record/sqlite_file.h"

namespace dovetail::record {
namespace {

namespace fs = std::filesystem;

// Complete whenever the database itself is not there.
constexpr const char* kFreshSuffix = ".salvaged";
constexpr const char* kLogSuffixes[] = {"", "-wal", "-shm"};

int open_folder(const std::string& file_path) {
  const fs::path folder = fs::absolute(file_path).parent_path();
  return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// "<path>.damaged-<n>", the first that is free.
std::string free_name(const std::string& path) {
  for (int n = 1;; ++n) {
    std::string name = fmt::format("{}.damaged-{}", path, n);
    if (!fs::exists(name)) return name;
  }
}

// Rows up to this number are asked for one by one: as many as the file can hold, and gaps that
// replaced rows left. A damaged page may claim any number, so no number read bounds a loop.
int64_t num_likely_rows(const std::string& path) {
  constexpr int64_t kSmallestRowBytes = 64;  // its key alone
  constexpr int64_t kReplacements = 4;
  std::error_code code;
  const auto bytes = static_cast<int64_t>(fs::file_size(path, code));
  return code ? 0 : kReplacements * bytes / kSmallestRowBytes;
}

// The next row that SQLite finds behind `rowid`; nothing at the end or where a page is unreadable.
std::optional<int64_t> next_row(Statement& query, int64_t rowid) {
  query.reset();
  const auto found = query.bind(1, rowid).step();
  if (!found.has_value() || !*found || query.integer(0) <= rowid) return std::nullopt;
  return query.integer(0);
}

bool is_good(bool has_sums, const Statement& row) {
  if (has_sums) return row.text(4) == row_sum(row.text(0), row.text(1), row.text(3));
  return Json::accept(row.text(3));
}

// Moves one row if it is there and good.
Status copy_row(int64_t rowid, bool has_sums, Statement& row, Statement& insert, Salvaged& result) {
  row.reset();
  const auto found = row.bind(1, rowid).step();
  if (found.has_value() && !*found) return {};
  if (!found.has_value() || !is_good(has_sums, row)) {
    ++result.num_lost;
    return {};
  }
  insert.reset();
  const std::string sum = row_sum(row.text(0), row.text(1), row.text(3));
  insert.bind(1, row.text(0)).bind(2, row.text(1)).bind(3, row.text(2));
  DOVETAIL_TRY_STATUS(insert.bind(4, row.text(3)).bind(5, sum).run());
  ++result.num_kept;
  return {};
}

// Row by row through the numbers, so that a damaged page costs its own rows alone.
Status copy_rows(const SqliteFile& damaged, const SqliteFile& fresh, Salvaged& result) {
  const bool has_sums = damaged.prepare("SELECT sum FROM results").has_value();
  auto row =
      damaged.prepare(fmt::format("SELECT kind, key, input, value{} FROM results"
                                  " NOT INDEXED WHERE rowid = ?",
                                  has_sums ? ", sum" : ""));
  if (!row.has_value()) return {};  // the table itself cannot be found
  DOVETAIL_TRY(Statement next, damaged.prepare("SELECT rowid FROM results NOT INDEXED"
                                               " WHERE rowid > ? ORDER BY rowid LIMIT 1"));
  DOVETAIL_TRY(Transaction transaction, Transaction::begin(fresh));
  DOVETAIL_TRY(Statement insert,
               fresh.prepare("INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?, ?)"));
  const int64_t last = num_likely_rows(damaged.path());
  for (int64_t rowid = 1; rowid <= last; ++rowid) {
    DOVETAIL_TRY_STATUS(copy_row(rowid, has_sums, *row, insert, result));
  }
  for (auto rowid = next_row(next, last); rowid.has_value(); rowid = next_row(next, *rowid)) {
    DOVETAIL_TRY_STATUS(copy_row(*rowid, has_sums, *row, insert, result));
  }
  return transaction.commit();
}

// A complete new database beside the damaged one, closed and without a log.
Status write_fresh(const std::string& path, const std::string& fresh_path, Salvaged& result) {
  DOVETAIL_TRY(const SqliteFile damaged, SqliteFile::open_for_reading(path));
  DOVETAIL_TRY(const SqliteFile fresh, SqliteFile::open(fresh_path));
  DOVETAIL_TRY_STATUS(fresh.execute("PRAGMA synchronous = FULL"));
  DOVETAIL_TRY_STATUS(prepare_layout(fresh));
  return copy_rows(damaged, fresh, result);
}

void remove_unfinished(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::error_code code;
    fs::remove(path + suffix, code);
  }
}

// The database's own file first: it is the mark of what was done (end_interrupted_salvage).
Status rename_with_log(const std::string& from, const std::string& to) {
  for (const char* suffix : kLogSuffixes) {
    std::error_code code;
    if (!fs::exists(from + suffix)) continue;
    fs::rename(from + suffix, to + suffix, code);
    if (code) return io_error(fmt::format("{}: {}", from + suffix, code.message()));
  }
  // In this order on the disk, too.
  const int folder = open_folder(to);
  if (folder >= 0) {
    (void)::fsync(folder);
    ::close(folder);
  }
  return {};
}

}  // namespace

FolderLock FolderLock::shared(const std::string& file_path) {
  const int descriptor = open_folder(file_path);
  if (descriptor >= 0) (void)::flock(descriptor, LOCK_SH);
  return FolderLock(descriptor);
}

Result<FolderLock> FolderLock::exclusive(const std::string& file_path) {
  constexpr int kAttempts = 100;
  constexpr auto kPause = std::chrono::milliseconds(50);
  const int descriptor = open_folder(file_path);
  if (descriptor >= 0) {
    FolderLock lock(descriptor);
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
      std::this_thread::sleep_for(kPause);
    }
  }
  return io_error(fmt::format(
      "{}: damaged, and another process has it open; stop that one and run again", file_path));
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}
FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<bool> is_sound(const SqliteFile& file) {
  const auto answer = [&]() -> Result<std::string> {
    DOVETAIL_TRY(Statement check, file.prepare("PRAGMA quick_check(1)"));
    DOVETAIL_TRY([[maybe_unused]] const bool row, check.step());
    return check.text(0);
  }();
  if (answer.has_value()) return *answer == "ok";
  if (is_damage(answer.error())) return false;
  return std::unexpected(answer.error());
}

Result<Salvaged> salvage(const std::string& path) {
  DOVETAIL_TRY(const FolderLock lock, FolderLock::exclusive(path));
  Salvaged result;
  {
    DOVETAIL_TRY(const SqliteFile file, SqliteFile::open_for_reading(path));
    DOVETAIL_TRY(const bool sound, is_sound(file));
    if (sound) return result;
  }
  const std::string fresh_path = path + kFreshSuffix;
  remove_unfinished(fresh_path);
  const Status written = write_fresh(path, fresh_path, result);
  if (!written.has_value()) {
    remove_unfinished(fresh_path);
    return std::unexpected(written.error());
  }
  result.set_aside_at = free_name(path);
  DOVETAIL_TRY_STATUS(rename_with_log(path, result.set_aside_at));
  DOVETAIL_TRY_STATUS(rename_with_log(fresh_path, path));
  return result;
}

Status end_interrupted_salvage(const std::string& path) {
  const std::string fresh_path = path + kFreshSuffix;
  if (fs::exists(path) || !fs::exists(fresh_path)) return {};
  DOVETAIL_TRY(const FolderLock lock, FolderLock::exclusive(path));
  if (fs::exists(path)) return {};
  // A log that stayed behind belongs to the damaged file and would be played into the fresh one.
  const std::string set_aside_at = free_name(path);
  DOVETAIL_TRY_STATUS(rename_with_log(path, set_aside_at));
  return rename_with_log(fresh_path, path);
}

}  // namespace dovetail::record
