// The tables of a study database and how older ones become today's. Private to this folder.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "record/sqlite_file.h"

namespace dovetail::record {

// Of the tables, stored in `meta` under schema_version. What stands inside a row has versions of
// its own (schema.h).
//   1  results without a sum
//   2  results.sum, damaged, leases with a deadline
//   3  leases with a beat; those of layout 2 are dropped, nobody kept any
inline constexpr int kLayoutVersion = 3;

// Creates the tables of a new file, or brings an older layout to today's in one transaction; no
// result is dropped. Errors: kInvalidArgument (a newer layout, a database of something else; the
// message says what to do), kIo, damage.
[[nodiscard]] Status prepare_layout(const SqliteFile& file);

// What a row's sum covers: SQLite notices damaged pages, but no changed letter inside a row.
[[nodiscard]] std::string row_sum(std::string_view kind, std::string_view key,
                                  std::string_view value);

}  // namespace dovetail::record
