#include "record/study_db.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/json_text.h"
#include "record/layout.h"
#include "record/salvage.h"

namespace dovetail::record {

struct StudyDb::Impl {
  FolderLock lock;
  SqliteFile file;
  std::vector<std::string> notices;
};

namespace {

// Shared with everyone; damage is found here rather than hours later.
Result<SqliteFile> open_checked(const std::string& path, Durability durability) {
  DOVETAIL_TRY(SqliteFile file, SqliteFile::open(path));
  DOVETAIL_TRY_STATUS(file.use_log(durability));
  DOVETAIL_TRY(const bool sound, is_sound(file));
  if (!sound) return file.error(SqliteFile::kDamage);
  DOVETAIL_TRY_STATUS(prepare_layout(file));
  return file;
}

std::string describe(const std::string& path, const Salvaged& salvaged) {
  return fmt::format("{} was damaged: {} rows kept, {} unreadable; the damaged file is {}", path,
                     salvaged.num_kept, salvaged.num_lost, salvaged.set_aside_at);
}

// One row of `results` with its sum, as the statements below select it.
struct Row {
  std::string key;
  std::string value;
  std::string sum;
};

// The value, or nothing after the row was moved to `damaged`.
Result<std::optional<Json>> read_row(const SqliteFile& file, std::string_view kind, const Row& row,
                                     std::vector<std::string>& notices) {
  if (row.sum == row_sum(kind, row.key, row.value)) {
    Result<Json> value = parse_json(row.value, file.path());
    if (value.has_value()) return std::optional<Json>(*std::move(value));
  }
  DOVETAIL_TRY(Transaction transaction, Transaction::begin(file));
  for (const char* sql : {"INSERT INTO damaged SELECT kind, key, input, value FROM results"
                          " WHERE kind = ? AND key = ? AND sum = ?",
                          "DELETE FROM results WHERE kind = ? AND key = ? AND sum = ?"}) {
    DOVETAIL_TRY(Statement statement, file.prepare(sql));
    DOVETAIL_TRY_STATUS(statement.bind(1, kind).bind(2, row.key).bind(3, row.sum).run());
  }
  DOVETAIL_TRY_STATUS(transaction.commit());
  notices.push_back(fmt::format(
      "{}: a row of kind {} was damaged and is computed again; it is kept in the table `damaged`",
      file.path(), kind));
  return std::optional<Json>();
}

Result<bool> insert(const SqliteFile& file, const char* verb, std::string_view kind,
                    const Json& input, const Json& value) {
  DOVETAIL_TRY(Statement statement,
               file.prepare(fmt::format("{} INTO results VALUES (?, ?, ?, ?, ?)", verb)));
  const std::string input_text = input.dump();
  const std::string value_text = value.dump();
  const std::string key = sha256_hex(input_text);
  statement.bind(1, kind).bind(2, key).bind(3, input_text).bind(4, value_text);
  DOVETAIL_TRY_STATUS(statement.bind(5, row_sum(kind, key, value_text)).run());
  return file.num_changed() > 0;
}

}  // namespace

std::string key_of(const Json& input) {
  return sha256_hex(input.dump());
}

std::string row_name(std::string_view kind, const Json& input) {
  return std::string(kind) + "/" + key_of(input);
}

StudyDb::StudyDb(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StudyDb::StudyDb(StudyDb&&) noexcept = default;
StudyDb& StudyDb::operator=(StudyDb&&) noexcept = default;
StudyDb::~StudyDb() = default;

Result<StudyDb> StudyDb::open(const std::string& path, Durability durability) {
  DOVETAIL_TRY_STATUS(end_interrupted_salvage(path));
  FolderLock lock = FolderLock::shared(path);
  auto file = open_checked(path, durability);
  std::vector<std::string> notices;
  if (!file.has_value() && is_damage(file.error())) {
    lock = FolderLock::none();
    DOVETAIL_TRY(const Salvaged salvaged, salvage(path));
    if (!salvaged.set_aside_at.empty()) notices.push_back(describe(path, salvaged));
    lock = FolderLock::shared(path);
    file = open_checked(path, durability);
  }
  if (!file.has_value()) return std::unexpected(file.error());
  return StudyDb(
      std::make_unique<Impl>(Impl{std::move(lock), std::move(file).value(), std::move(notices)}));
}

Result<std::optional<Json>> StudyDb::get(std::string_view kind, const Json& input) const {
  Row row{.key = key_of(input), .value = {}, .sum = {}};
  {
    DOVETAIL_TRY(Statement statement, impl_->file.prepare("SELECT value, sum FROM results"
                                                          " WHERE kind = ? AND key = ?"));
    DOVETAIL_TRY(const bool found, statement.bind(1, kind).bind(2, row.key).step());
    if (!found) return std::optional<Json>();
    row.value = statement.text(0);
    row.sum = statement.text(1);
  }
  return read_row(impl_->file, kind, row, impl_->notices);
}

Status StudyDb::put(std::string_view kind, const Json& input, const Json& value) {
  const auto stored = insert(impl_->file, "INSERT OR REPLACE", kind, input, value);
  if (!stored.has_value()) return std::unexpected(stored.error());
  return {};
}

Result<Json> StudyDb::add(std::string_view kind, const Json& input, Json value) {
  DOVETAIL_TRY(const bool stored, insert(impl_->file, "INSERT OR IGNORE", kind, input, value));
  if (stored) return value;
  DOVETAIL_TRY(std::optional<Json> first, get(kind, input));
  if (first.has_value()) return *std::move(first);
  DOVETAIL_TRY_STATUS(put(kind, input, value));  // the first one was damaged
  return value;
}

Result<Json> StudyDb::finish(std::string_view kind, const Json& input, Json value,
                             const std::string& worker) {
  bool stored = false;
  {
    DOVETAIL_TRY(Transaction transaction, Transaction::begin(impl_->file));
    DOVETAIL_TRY(stored, insert(impl_->file, "INSERT OR IGNORE", kind, input, value));
    DOVETAIL_TRY(Statement lease, impl_->file.prepare("DELETE FROM leases WHERE kind = ? AND"
                                                      " key = ? AND worker = ?"));
    DOVETAIL_TRY_STATUS(lease.bind(1, kind).bind(2, key_of(input)).bind(3, worker).run());
    DOVETAIL_TRY_STATUS(transaction.commit());
  }
  return stored ? std::move(value) : add(kind, input, std::move(value));
}

Result<std::vector<Json>> StudyDb::all(std::string_view kind) const {
  std::vector<Row> rows;
  {
    DOVETAIL_TRY(Statement statement, impl_->file.prepare("SELECT key, value, sum FROM results"
                                                          " WHERE kind = ? ORDER BY key"));
    statement.bind(1, kind);
    for (;;) {
      DOVETAIL_TRY(const bool found, statement.step());
      if (!found) break;
      rows.push_back({statement.text(0), statement.text(1), statement.text(2)});
    }
  }
  std::vector<Json> values;
  for (const Row& row : rows) {
    DOVETAIL_TRY(std::optional<Json> value, read_row(impl_->file, kind, row, impl_->notices));
    if (value.has_value()) values.push_back(*std::move(value));
  }
  return values;
}

Result<std::optional<std::string>> StudyDb::meta(std::string_view key) const {
  DOVETAIL_TRY(Statement statement, impl_->file.prepare("SELECT value FROM meta WHERE key = ?"));
  DOVETAIL_TRY(const bool found, statement.bind(1, key).step());
  if (!found) return std::optional<std::string>();
  return std::optional<std::string>(statement.text(0));
}

Status StudyDb::set_meta(std::string_view key, std::string_view value) {
  DOVETAIL_TRY(Statement statement,
               impl_->file.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)"));
  return statement.bind(1, key).bind(2, value).run();
}

const std::vector<std::string>& StudyDb::notices() const {
  return impl_->notices;
}

}  // namespace dovetail::record
