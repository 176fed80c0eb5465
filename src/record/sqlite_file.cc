#include "record/sqlite_file.h"

#include <sqlite3.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace dovetail::record {
namespace {

constexpr const char* kDamaged = "the database is damaged";

// Writing to the log's index fails with an I/O error of its own when the disk is full.
bool disk_is_full(int code, int system_error) {
  return (code & 0xFF) == SQLITE_FULL ||
         ((code & 0xFF) == SQLITE_IOERR && (system_error == ENOSPC || system_error == EDQUOT));
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : file_(other.file_), handle_(std::exchange(other.handle_, nullptr)) {}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

Statement& Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(handle_, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(handle_, index, value);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return file_->error(code);
}

Status Statement::run() {
  for (;;) {
    DOVETAIL_TRY(const bool row, step());
    if (!row) return {};
  }
}

void Statement::reset() {
  sqlite3_reset(handle_);
}

std::string Statement::text(int column) const {
  const auto* text = sqlite3_column_text(handle_, column);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(handle_, column));
  return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), size);
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_, column);
}

void SqliteFile::Close::operator()(sqlite3* db) const {
  sqlite3_close(db);
}

SqliteFile::SqliteFile(std::unique_ptr<sqlite3, Close> db, std::string path)
    : db_(std::move(db)), path_(std::move(path)) {}
SqliteFile::SqliteFile(SqliteFile&&) noexcept = default;
SqliteFile& SqliteFile::operator=(SqliteFile&&) noexcept = default;
SqliteFile::~SqliteFile() = default;

Result<SqliteFile> SqliteFile::open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  SqliteFile file(std::unique_ptr<sqlite3, Close>(raw), path);
  if (code != SQLITE_OK) return file.error(code);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  if (sqlite3_db_readonly(raw, "main") == 1) return file.error(SQLITE_READONLY);
  return file;
}

Result<SqliteFile> SqliteFile::open_for_reading(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr);
  SqliteFile file(std::unique_ptr<sqlite3, Close>(raw), path);
  if (code != SQLITE_OK) return file.error(code);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  // The rows that are still in the log belong to the file, but it stays as it is.
  DOVETAIL_TRY_STATUS(file.execute("PRAGMA query_only = ON"));
  return file;
}

Status SqliteFile::use_log(Durability durability) {
  // Two processes that open a new file at once collide here, and SQLite does not wait by itself.
  constexpr int kAttempts = 200;
  constexpr auto kPause = std::chrono::milliseconds(20);
  Status status;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    status = execute("PRAGMA journal_mode = WAL");
    const int code = sqlite3_errcode(db_.get());
    if (status.has_value() || (code != SQLITE_BUSY && code != SQLITE_LOCKED)) break;
    std::this_thread::sleep_for(kPause);
  }
  DOVETAIL_TRY_STATUS(status);
  return execute(durability == Durability::kEveryRow ? "PRAGMA synchronous = FULL"
                                                     : "PRAGMA synchronous = NORMAL");
}

Status SqliteFile::execute(const std::string& sql) const {
  const int code = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

Result<Statement> SqliteFile::prepare(std::string_view sql) const {
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
  Statement statement(*this, handle);
  if (code != SQLITE_OK) return error(code);
  return statement;
}

int64_t SqliteFile::num_changed() const {
  return sqlite3_changes(db_.get());
}

std::unexpected<Error> SqliteFile::error(int code) const {
  static_assert(kDamage == SQLITE_CORRUPT);
  sqlite3* db = db_.get();
  const bool described = db != nullptr && (sqlite3_errcode(db) & 0xFF) == (code & 0xFF);
  const std::string words = described ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  const int extended = described ? sqlite3_extended_errcode(db) : code;
  const int system_error = db != nullptr ? sqlite3_system_errno(db) : 0;
  switch (code & 0xFF) {
    case SQLITE_NOTADB:
      return invalid_argument(
          fmt::format("{}: {}, want a study database; move the file away to start the study anew",
                      path_, words));
    case SQLITE_CORRUPT:
      return invalid_argument(fmt::format("{}: {} ({}); run again, opening it keeps the good rows",
                                          path_, kDamaged, words));
    case SQLITE_READONLY:
      return io_error(fmt::format(
          "{}: cannot be written; make the file and its folder writable, or choose another folder",
          path_));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return io_error(
          fmt::format("{}: another process has been writing to it for {} s; is it stopped?", path_,
                      kBusyTimeoutMs / 1000));
    default:
      break;
  }
  if (disk_is_full(extended, system_error)) {
    return io_error(fmt::format(
        "{}: no space left on the disk; free some and run again, all that was stored is kept",
        path_));
  }
  const std::string cause =
      system_error == 0 ? "" : fmt::format(": {}", std::strerror(system_error));
  return io_error(fmt::format("{}: {}{}", path_, words, cause));
}

bool is_damage(const Error& error) {
  return error.message.find(kDamaged) != std::string::npos;
}

Result<Transaction> Transaction::begin(const SqliteFile& file) {
  DOVETAIL_TRY_STATUS(file.execute("BEGIN IMMEDIATE"));
  return Transaction(file);
}

Transaction::~Transaction() {
  if (file_ != nullptr) (void)file_->execute("ROLLBACK");
}

Status Transaction::commit() {
  const Status status = file_->execute("COMMIT");
  if (!status.has_value()) return status;  // the destructor rolls back
  file_ = nullptr;
  return {};
}

}  // namespace dovetail::record
