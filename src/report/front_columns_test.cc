#include "report/front_columns.h"

#include <gtest/gtest.h>

#include <string_view>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(FrontToColumns, KeepsEveryLeafOfEveryPoint) {
  const Json packed = front_to_columns(page_test_record()["front"]);
  EXPECT_EQ(packed["num_points"], 2);
  const Json& columns = packed["columns"];
  EXPECT_EQ(columns["limits/area_mm2"]["numbers"], "10.123,14");
  EXPECT_EQ(columns["metric"]["rows"], "0,0");
  EXPECT_EQ(columns["chip/name"]["values"], Json::parse(R"(["c1", "c2"])"));
  EXPECT_EQ(columns["chip/cores"]["numbers"], "1,2");
  EXPECT_EQ(columns["products/0/treatments"]["letters"], "2011");
  EXPECT_EQ(columns["products/0/treatments"]["length"], 2);
  EXPECT_EQ(columns["products/0/resident_frac"]["values"][1]["layers.0.kv"], 0.5);
}

TEST(FrontToColumns, GroupsHaveThreeDigitsAndGaps) {
  const Json columns = front_to_columns(page_test_record()["front"])["columns"];
  EXPECT_EQ(columns["products/0/groups/prefill head/latency_ns"]["numbers"], "1.23e+06,7");
  EXPECT_EQ(columns["products/0/groups/decode head/dram_bytes"]["numbers"], "6,");
  EXPECT_EQ(columns["products/0/groups/decode head/binding"]["rows"], "0,");
}

TEST(FrontToColumns, RecipesOfUnequalLengthStayLists) {
  Json front = page_test_record()["front"];
  front[0]["products"][0]["treatments"] = {1};
  const Json columns = front_to_columns(front)["columns"];
  EXPECT_EQ(columns["products/0/treatments"]["values"][0], Json::parse("[1]"));
}

TEST(FrontToColumns, LettersNeedNoEscapeInJson) {
  const std::string_view letters = kMenuLetters;
  EXPECT_EQ(Json(std::string(letters)).dump().size(), letters.size() + 2);
  for (size_t i = 0; i < letters.size(); ++i) EXPECT_EQ(letters.find(letters[i]), i);
}

TEST(FrontToColumns, HostileEntriesAreSkipped) {
  EXPECT_EQ(front_to_columns(Json::parse(
                R"([3, null, {"products": [4], "chip": "x"}])"))["columns"]["chip"]["rows"],
            ",,0");
  EXPECT_EQ(front_to_columns(Json::array())["num_points"], 0);
}

}  // namespace
}  // namespace dovetail::report
