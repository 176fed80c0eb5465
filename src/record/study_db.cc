#include "record/study_db.h"

#include <sqlite3.h>

#include <fmt/format.h>

#include "base/hash.h"

namespace dovetail::record {

struct StudyDb::Impl {
  sqlite3* db = nullptr;
  std::string path;
  ~Impl() { sqlite3_close(db); }
};

namespace {

constexpr int kBusyTimeoutMs = 10000;

struct Statement {
  sqlite3_stmt* handle = nullptr;
  ~Statement() { sqlite3_finalize(handle); }
};

// SQLite's own words, as an error that names the file. A file that is no database is wrong input;
// everything else is the machine's.
std::unexpected<Error> sqlite_error(sqlite3* db, int code, const std::string& path) {
  const char* words = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
    return invalid_argument(fmt::format(
        "{}: {}, want a study database; move the file away to start the study anew", path, words));
  }
  return io_error(fmt::format("{}: {}", path, words));
}

Status execute(sqlite3* db, const std::string& path, const char* sql) {
  const int code = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return sqlite_error(db, code, path);
  return {};
}

Status prepare(sqlite3* db, const std::string& path, const char* sql, Statement& statement) {
  const int code = sqlite3_prepare_v2(db, sql, -1, &statement.handle, nullptr);
  if (code != SQLITE_OK) return sqlite_error(db, code, path);
  return {};
}

void bind_text(const Statement& statement, int index, std::string_view text) {
  sqlite3_bind_text(statement.handle, index, text.data(), static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
}

std::string column(const Statement& statement, int index) {
  const auto* text = sqlite3_column_text(statement.handle, index);
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement.handle, index));
  return text == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(text), size);
}

Result<Json> parse_row(const std::string& text, const std::string& path, std::string_view kind) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    return invalid_argument(fmt::format("{}: a row of kind {} is damaged, want JSON", path, kind));
  }
  return value;
}

Status check_schema(sqlite3* db, const std::string& path) {
  Statement statement;
  DOVETAIL_TRY_STATUS(
      prepare(db, path, "SELECT value FROM meta WHERE key = 'schema_version'", statement));
  const int code = sqlite3_step(statement.handle);
  if (code != SQLITE_ROW) return sqlite_error(db, code, path);
  const std::string version = column(statement, 0);
  if (version != std::to_string(kSchemaVersion)) {
    return invalid_argument(
        fmt::format("{}: schema_version = {}, want {}; move the file away or "
                    "use the release that wrote it",
                    path, version, kSchemaVersion));
  }
  return {};
}

}  // namespace

std::string key_of(const Json& input) {
  return sha256_hex(input.dump());
}

StudyDb::StudyDb(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StudyDb::StudyDb(StudyDb&&) noexcept = default;
StudyDb& StudyDb::operator=(StudyDb&&) noexcept = default;
StudyDb::~StudyDb() = default;

Result<StudyDb> StudyDb::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  const int code =
      sqlite3_open_v2(path.c_str(), &impl->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (code != SQLITE_OK) return sqlite_error(impl->db, code, path);
  sqlite3_busy_timeout(impl->db, kBusyTimeoutMs);
  DOVETAIL_TRY_STATUS(execute(impl->db, path, "PRAGMA journal_mode = WAL"));
  DOVETAIL_TRY_STATUS(execute(impl->db, path, "PRAGMA synchronous = FULL"));
  DOVETAIL_TRY_STATUS(
      execute(impl->db, path,
              "BEGIN IMMEDIATE;"
              "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
              "CREATE TABLE IF NOT EXISTS results (kind TEXT NOT NULL, key TEXT NOT NULL,"
              " input TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key));"
              "INSERT OR IGNORE INTO meta VALUES ('schema_version', '1');"
              "COMMIT"));
  static_assert(kSchemaVersion == 1);
  DOVETAIL_TRY_STATUS(check_schema(impl->db, path));
  return StudyDb(std::move(impl));
}

Result<std::optional<Json>> StudyDb::get(std::string_view kind, const Json& input) const {
  Statement statement;
  DOVETAIL_TRY_STATUS(prepare(impl_->db, impl_->path,
                              "SELECT value FROM results WHERE kind = ? AND key = ?", statement));
  bind_text(statement, 1, kind);
  bind_text(statement, 2, key_of(input));
  const int code = sqlite3_step(statement.handle);
  if (code == SQLITE_DONE) return std::optional<Json>();
  if (code != SQLITE_ROW) return sqlite_error(impl_->db, code, impl_->path);
  DOVETAIL_TRY(Json value, parse_row(column(statement, 0), impl_->path, kind));
  return std::optional<Json>(std::move(value));
}

Status StudyDb::put(std::string_view kind, const Json& input, const Json& value) {
  Statement statement;
  DOVETAIL_TRY_STATUS(prepare(impl_->db, impl_->path,
                              "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", statement));
  bind_text(statement, 1, kind);
  bind_text(statement, 2, key_of(input));
  bind_text(statement, 3, input.dump());
  bind_text(statement, 4, value.dump());
  const int code = sqlite3_step(statement.handle);
  if (code != SQLITE_DONE) return sqlite_error(impl_->db, code, impl_->path);
  return {};
}

Result<std::vector<Json>> StudyDb::all(std::string_view kind) const {
  Statement statement;
  DOVETAIL_TRY_STATUS(prepare(impl_->db, impl_->path,
                              "SELECT value FROM results WHERE kind = ? ORDER BY key", statement));
  bind_text(statement, 1, kind);
  std::vector<Json> values;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement.handle)) == SQLITE_ROW) {
    DOVETAIL_TRY(Json value, parse_row(column(statement, 0), impl_->path, kind));
    values.push_back(std::move(value));
  }
  if (code != SQLITE_DONE) return sqlite_error(impl_->db, code, impl_->path);
  return values;
}

}  // namespace dovetail::record
