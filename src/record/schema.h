// Version of the record's JSON (docs/record.md). Independent of the database's layout: rows that
// hold parts of a record carry it in their key, so that a change of the record computes them anew
// and leaves measurements where they are.
#pragma once

namespace dovetail::record {

inline constexpr int kSchemaVersion = 2;

}  // namespace dovetail::record
