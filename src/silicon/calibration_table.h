// Comma-separated measurements: rows of cells with the file and line that they came from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::silicon {

struct TableRow {
  int64_t line = 0;  // in the file, 1 the first
  std::vector<std::string> cells;
};

struct Table {
  std::string file;
  std::vector<std::string> columns;  // empty for a table without a header
  std::vector<TableRow> rows;        // at least one
};

// Reads a file whose first line names the columns; every row has as many cells. Cells are trimmed;
// a cell in double quotes may hold commas. Errors: kNotFound; kInvalidArgument naming file and
// line: empty, no rows, a name twice, a row of another length (a cut file), larger than 64 MiB.
[[nodiscard]] Result<Table> read_table(const std::string& path);

// The same without a header: every row has `num_columns` cells.
[[nodiscard]] Result<Table> read_plain_table(const std::string& path, size_t num_columns);

// Index of a column. Errors: kInvalidArgument naming file, column and the nearest one.
[[nodiscard]] Result<size_t> column_index(const Table& table, const std::string& name);

// A whole number or a decimal in [low, high]. `unit` is a suffix that the cell may carry ("ms").
// Errors: kInvalidArgument naming file, line, column and value.
[[nodiscard]] Result<int64_t> integer_cell(const Table& table, const TableRow& row, size_t column,
                                           int64_t low, int64_t high);
[[nodiscard]] Result<double> number_cell(const Table& table, const TableRow& row, size_t column,
                                         double low, double high, const std::string& unit = "");

// All *.csv files of a folder, sorted. Errors: kNotFound if there is no such folder or no such
// file.
[[nodiscard]] Result<std::vector<std::string>> csv_files(const std::string& folder);

}  // namespace dovetail::silicon
