#include "silicon/calibration_table.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/config.h"
#include "base/paths.h"

namespace dovetail::silicon {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{64} << 20;

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// Cells of one line. A cell in double quotes may hold commas; a doubled quote stands for one.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += '"';
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  for (std::string& cell : cells) cell = trimmed(cell);
  return cells;
}

Result<Table> read_rows(const std::string& path) {
  DOVETAIL_TRY(std::string text, read_text_file(path, kMaxFileBytes));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // byte order mark
  Table table;
  table.file = path;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    const std::string line = text.substr(begin, end - begin);
    if (!trimmed(line).empty()) table.rows.push_back({number, cells_of(line)});
    begin = end + 1;
  }
  if (table.rows.empty()) return invalid_argument(fmt::format("{}: empty, want rows", path));
  return table;
}

Status check_lengths(const Table& table, size_t wanted) {
  for (const TableRow& row : table.rows) {
    if (row.cells.size() != wanted) {
      return invalid_argument(fmt::format("{}: line {} has {} cells, want {}; is the file cut?",
                                          table.file, row.line, row.cells.size(), wanted));
    }
  }
  return {};
}

std::string column_name(const Table& table, size_t column) {
  return column < table.columns.size() ? table.columns[column]
                                       : fmt::format("column {}", column + 1);
}

}  // namespace

Result<Table> read_table(const std::string& path) {
  DOVETAIL_TRY(Table table, read_rows(path));
  table.columns = table.rows.front().cells;
  table.rows.erase(table.rows.begin());
  if (table.rows.empty()) {
    return invalid_argument(fmt::format("{}: a header and no rows, want rows", path));
  }
  std::set<std::string> seen;
  for (const std::string& column : table.columns) {
    if (!seen.insert(column).second) {
      return invalid_argument(fmt::format("{}: column '{}' stands twice", path, column));
    }
  }
  DOVETAIL_TRY_STATUS(check_lengths(table, table.columns.size()));
  return table;
}

Result<Table> read_plain_table(const std::string& path, size_t num_columns) {
  DOVETAIL_TRY(Table table, read_rows(path));
  DOVETAIL_TRY_STATUS(check_lengths(table, num_columns));
  return table;
}

Result<size_t> column_index(const Table& table, const std::string& name) {
  const auto it = std::find(table.columns.begin(), table.columns.end(), name);
  if (it != table.columns.end()) return static_cast<size_t>(it - table.columns.begin());
  const auto nearest = nearest_name(name, table.columns);
  return invalid_argument(fmt::format("{}: column '{}' is missing{}", table.file, name,
                                      nearest ? fmt::format(", nearest '{}'", *nearest) : ""));
}

Result<double> number_cell(const Table& table, const TableRow& row, size_t column, double low,
                           double high, const std::string& unit) {
  std::string cell = row.cells[column];
  if (!unit.empty() && cell.ends_with(unit))
    cell = trimmed(cell.substr(0, cell.size() - unit.size()));
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  const bool whole = error == std::errc() && end == cell.data() + cell.size();
  if (!whole || !std::isfinite(value) || value < low || value > high) {
    return invalid_argument(fmt::format(
        "{}: line {}, {} = '{}', want a number in {:g}..{:g}{}", table.file, row.line,
        column_name(table, column), row.cells[column], low, high, unit.empty() ? "" : " " + unit));
  }
  return value;
}

Result<int64_t> integer_cell(const Table& table, const TableRow& row, size_t column, int64_t low,
                             int64_t high) {
  DOVETAIL_TRY(const double value, number_cell(table, row, column, static_cast<double>(low),
                                               static_cast<double>(high)));
  if (value != std::floor(value)) {
    return invalid_argument(fmt::format("{}: line {}, {} = {}, want a whole number", table.file,
                                        row.line, column_name(table, column), value));
  }
  return static_cast<int64_t>(value);
}

Result<std::vector<std::string>> csv_files(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> files;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".csv") files.push_back(it->path().string());
  }
  if (error) return not_found(fmt::format("folder {}: not there", folder));
  if (files.empty()) return not_found(fmt::format("folder {}: no *.csv file in it", folder));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace dovetail::silicon
