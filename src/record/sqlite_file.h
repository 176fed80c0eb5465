// One connection to one SQLite file, with errors as values. Private to this folder.
//
// Readers and writers of many processes share the file: the journal is a write-ahead log, and who
// finds it locked waits up to kBusyTimeoutMs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace dovetail::record {

inline constexpr int kBusyTimeoutMs = 60000;

// When a committed row is on the disk (docs/robustness.md).
enum class Durability : uint8_t {
  kEveryRow,    // synchronous = FULL: at commit; a power loss loses nothing that was stored
  kCheckpoint,  // synchronous = NORMAL: a power loss may lose the last rows, never damage the file
};

class SqliteFile;

// A prepared statement. Parameters and columns count from 1 and 0, as SQLite's do.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t value);
  // True: a row is there. False: done.
  [[nodiscard]] Result<bool> step();
  // Runs to the end; rows are ignored.
  [[nodiscard]] Status run();
  // For another run with other parameters.
  void reset();
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] int64_t integer(int column) const;

 private:
  friend class SqliteFile;
  Statement(const SqliteFile& file, sqlite3_stmt* handle) : file_(&file), handle_(handle) {}
  const SqliteFile* file_;
  sqlite3_stmt* handle_;
};

class SqliteFile {
 public:
  // Opens or creates; sets neither journal nor schema. Errors: kIo naming the file.
  [[nodiscard]] static Result<SqliteFile> open(const std::string& path);
  // For looking at a damaged file: nothing is written, its log included.
  [[nodiscard]] static Result<SqliteFile> open_for_reading(const std::string& path);
  SqliteFile(SqliteFile&&) noexcept;
  SqliteFile& operator=(SqliteFile&&) noexcept;
  ~SqliteFile();

  // Write-ahead log. Errors: kIo (read-only file or folder, full disk), damage.
  [[nodiscard]] Status use_log(Durability durability);
  [[nodiscard]] Status execute(const std::string& sql) const;
  [[nodiscard]] Result<Statement> prepare(std::string_view sql) const;
  // Rows that the last statement changed.
  [[nodiscard]] int64_t num_changed() const;
  static constexpr int kDamage = 11;  // SQLITE_CORRUPT, for error()
  // SQLite's words about the last failure, with what to do. kInvalidArgument: not a database, or
  // damaged; kIo: the machine's.
  [[nodiscard]] std::unexpected<Error> error(int code) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  SqliteFile(std::unique_ptr<sqlite3, Close> db, std::string path);
  std::unique_ptr<sqlite3, Close> db_;
  std::string path_;
};

// True for the errors that say that pages of the file make no sense, so that salvage may help.
[[nodiscard]] bool is_damage(const Error& error);

// A transaction that is rolled back unless it was committed.
class Transaction {
 public:
  // BEGIN IMMEDIATE: the one writer from here on. Errors: kIo when another process writes too long.
  [[nodiscard]] static Result<Transaction> begin(const SqliteFile& file);
  Transaction(Transaction&& other) noexcept : file_(other.file_) { other.file_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  [[nodiscard]] Status commit();

 private:
  explicit Transaction(const SqliteFile& file) : file_(&file) {}
  const SqliteFile* file_;
};

}  // namespace dovetail::record
