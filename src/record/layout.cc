#include "record/layout.h"

#include <charconv>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/hash.h"

namespace dovetail::record {
namespace {

// The layout that stands in the file; 0 for a file without tables.
Result<int> layout_of(const SqliteFile& file) {
  DOVETAIL_TRY(Statement tables, file.prepare("SELECT count(*), sum(name IN ('meta', 'results'))"
                                              " FROM sqlite_master WHERE type = 'table'"));
  DOVETAIL_TRY([[maybe_unused]] const bool counted, tables.step());
  if (tables.integer(0) == 0) return 0;
  if (tables.integer(1) != 2) {
    return invalid_argument(fmt::format(
        "{}: an SQLite database of something else, want a study database; choose another folder",
        file.path()));
  }
  DOVETAIL_TRY(Statement version,
               file.prepare("SELECT value FROM meta WHERE key = 'schema_version'"));
  DOVETAIL_TRY(const bool found, version.step());
  const std::string text = found ? version.text(0) : "nothing";
  int layout = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), layout);
  const bool known = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() &&
                     layout >= 1 && layout <= kLayoutVersion;
  if (!known) {
    return invalid_argument(fmt::format(
        "{}: schema_version = {}, want 1..{}; use the release that wrote it, or move the file away "
        "to start anew (nothing in it is touched)",
        file.path(), text, kLayoutVersion));
  }
  return layout;
}

Status create_tables(const SqliteFile& file) {
  return file.execute(
      "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
      "CREATE TABLE IF NOT EXISTS results (kind TEXT NOT NULL, key TEXT NOT NULL,"
      " input TEXT NOT NULL, value TEXT NOT NULL, sum TEXT NOT NULL, PRIMARY KEY (kind, key));"
      "CREATE TABLE IF NOT EXISTS damaged (kind TEXT NOT NULL, key TEXT NOT NULL,"
      " input TEXT NOT NULL, value TEXT NOT NULL);"
      "CREATE TABLE IF NOT EXISTS leases (kind TEXT NOT NULL, key TEXT NOT NULL,"
      " worker TEXT NOT NULL, beat INTEGER NOT NULL, PRIMARY KEY (kind, key));");
}

Status add_sums(const SqliteFile& file) {
  DOVETAIL_TRY_STATUS(file.execute("ALTER TABLE results ADD COLUMN sum TEXT NOT NULL DEFAULT ''"));
  DOVETAIL_TRY(Statement rows, file.prepare("SELECT rowid, kind, key, value FROM results"));
  std::vector<std::pair<int64_t, std::string>> sums;
  for (;;) {
    DOVETAIL_TRY(const bool row, rows.step());
    if (!row) break;
    sums.emplace_back(rows.integer(0), row_sum(rows.text(1), rows.text(2), rows.text(3)));
  }
  DOVETAIL_TRY(Statement update, file.prepare("UPDATE results SET sum = ? WHERE rowid = ?"));
  for (const auto& [rowid, sum] : sums) {
    DOVETAIL_TRY_STATUS(update.bind(1, sum).bind(2, rowid).run());
    update.reset();
  }
  return {};
}

}  // namespace

Status prepare_layout(const SqliteFile& file) {
  // Most openings change nothing, and need not wait for whoever writes.
  DOVETAIL_TRY(const int seen, layout_of(file));
  if (seen == kLayoutVersion) return {};
  DOVETAIL_TRY(Transaction transaction, Transaction::begin(file));
  DOVETAIL_TRY(const int layout, layout_of(file));
  if (layout == 1) DOVETAIL_TRY_STATUS(add_sums(file));
  if (layout == 2) DOVETAIL_TRY_STATUS(file.execute("DROP TABLE leases"));
  DOVETAIL_TRY_STATUS(create_tables(file));
  DOVETAIL_TRY_STATUS(file.execute(
      fmt::format("INSERT OR REPLACE INTO meta VALUES ('schema_version', '{}')", kLayoutVersion)));
  return transaction.commit();
}

std::string row_sum(std::string_view kind, std::string_view key, std::string_view value) {
  Sha256 sum;
  for (const std::string_view part : {kind, key, value}) {
    sum.update(part);
    sum.update("\n");
  }
  return sum.hex();
}

}  // namespace dovetail::record
