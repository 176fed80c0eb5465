#include "report/record_view.h"

#include <gtest/gtest.h>

#include "report/page_test_record.h"

namespace dovetail::report {
namespace {

TEST(RecordView, ReadsDottedPathsAndFallsBack) {
  const Json json = {{"a", {{"b", 2.5}}}, {"s", "text"}};
  EXPECT_EQ(number_at(json, "a.b"), 2.5);
  EXPECT_EQ(number_at(json, "a.c", -1), -1);
  EXPECT_EQ(number_at(json, "s", -1), -1);
  EXPECT_EQ(text_at(json, "s"), "text");
  EXPECT_TRUE(list_at(json, "a").empty());
}

TEST(RecordView, DescribesAChipAndARecipeInOneLine) {
  const Json record = page_test_record();
  const Json& point = record["scenarios"][0]["recommendation"];
  EXPECT_EQ(describe_chip(point["chip"]),
            "n7, 1 core of 8x16x16 w4a8 at 1000 MHz, 32 lanes, 4 MiB SRAM, 4 x lpddr5");
  EXPECT_EQ(describe_recipe(point["products"][0]),
            "4.30 bits/weight: bf16 x1, fp8_e4m3fn x1, int4_g32 x1, int8 x1 and 2 more");
}

TEST(RecordView, DurationsReadWell) {
  EXPECT_EQ(show_ns(2.5e9), "2.5 s");
  EXPECT_EQ(show_ns(1.83e7), "18.3 ms");
  EXPECT_EQ(show_ns(1500), "1.5 us");
}

}  // namespace
}  // namespace dovetail::report
