#include "silicon/calibration_table.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/test_folder.h"

namespace dovetail::silicon {
namespace {

std::string write(const std::string& text) {
  const auto path = test_folder() / "table.csv";
  std::ofstream(path, std::ios::binary) << text;
  return path.string();
}

std::string message_of(const std::string& text) {
  const auto table = read_table(write(text));
  EXPECT_FALSE(table.has_value());
  if (table.has_value()) return "";
  EXPECT_EQ(table.error().code, ErrorCode::kInvalidArgument);
  return table.error().message.substr(table.error().message.find("table.csv"));
}

TEST(ReadTable, ReadsCellsWithTheirLines) {
  const auto table =
      read_table(write("\xEF\xBB\xBF"
                       "a,b\r\n1, \"x, \"\"y\"\"\"\r\n\r\n2,z"));
  ASSERT_TRUE(table.has_value()) << table.error().message;
  EXPECT_EQ(table->columns, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(table->rows.size(), 2U);
  EXPECT_EQ(table->rows[0].cells[1], "x, \"y\"");
  EXPECT_EQ(table->rows[1].line, 4);
  EXPECT_EQ(integer_cell(*table, table->rows[1], 0, 1, 9).value(), 2);
}

TEST(ReadTable, RefusesWhatIsNoTable) {
  EXPECT_EQ(message_of(""), "table.csv: empty, want rows");
  EXPECT_EQ(message_of("a,b\n"), "table.csv: a header and no rows, want rows");
  EXPECT_EQ(message_of("a,a\n1,2\n"), "table.csv: column 'a' stands twice");
  EXPECT_EQ(message_of("a,b\n1,2\n3\n"), "table.csv: line 3 has 1 cells, want 2; is the file cut?");
  EXPECT_EQ(read_table("no/such.csv").error().code, ErrorCode::kNotFound);
}

TEST(ReadTable, NumbersSayFileLineColumnAndValue) {
  const auto table = read_table(write("size,time\n12,0.5ms\nx,-1\n1.5,nan\n1e9,2\n"));
  ASSERT_TRUE(table.has_value());
  const auto& rows = table->rows;
  EXPECT_EQ(number_cell(*table, rows[0], 1, 0, 10, "ms").value(), 0.5);
  const auto tail = [](const auto& result) {
    EXPECT_FALSE(result.has_value());
    return result.error().message.substr(result.error().message.find("line"));
  };
  EXPECT_EQ(tail(integer_cell(*table, rows[1], 0, 1, 9)),
            "line 3, size = 'x', want a number in 1..9");
  EXPECT_EQ(tail(number_cell(*table, rows[1], 1, 0, 10)),
            "line 3, time = '-1', want a number in 0..10");
  EXPECT_EQ(tail(integer_cell(*table, rows[2], 0, 1, 9)),
            "line 4, size = 1.5, want a whole number");
  EXPECT_EQ(tail(number_cell(*table, rows[2], 1, 0, 10)),
            "line 4, time = 'nan', want a number in 0..10");
  EXPECT_EQ(tail(integer_cell(*table, rows[3], 0, 1, 9)),
            "line 5, size = '1e9', want a number in 1..9");
}

TEST(ReadTable, AMissingColumnNamesTheNearest) {
  const auto table = read_table(write("target.cycle,prob.C\n1,2\n"));
  ASSERT_TRUE(table.has_value());
  EXPECT_EQ(column_index(*table, "prob.C").value(), 1U);
  const auto missing = column_index(*table, "target.cycles");
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(
      missing.error().message.find("column 'target.cycles' is missing, nearest 'target.cycle'"),
      std::string::npos);
}

TEST(ReadPlainTable, WantsTheSameNumberOfCellsInEveryRow) {
  EXPECT_TRUE(read_plain_table(write("1,2,3\n4,5,6"), 3).has_value());
  EXPECT_FALSE(read_plain_table(write("1,2,3\n4,5"), 3).has_value());
}

TEST(CsvFiles, AFolderWithoutAnyIsAnError) {
  EXPECT_EQ(csv_files("no/such/folder").error().code, ErrorCode::kNotFound);
  const auto folder = test_folder() / "none";
  std::filesystem::create_directories(folder);
  EXPECT_EQ(csv_files(folder.string()).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace dovetail::silicon
