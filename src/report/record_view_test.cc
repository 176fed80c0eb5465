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
            "7 nm, 1 core of 8x16x16 w4a8 at 1000 MHz, 32 lanes, 4 MiB SRAM, 4 x lpddr5");
  EXPECT_EQ(describe_recipe(point["products"][0]),
            "4.30 bits/weight: bf16 x1, fp8_e4m3fn x1, int4_g32 x1, int8 x1 and 2 more");
}

TEST(RecordView, ARotatedProductSaysSoAndHasItsOwnLosses) {
  Json record = page_test_record();
  Json product = record["scenarios"][0]["recommendation"]["products"][0];
  record["loss_table"] = {{{"product", "other"}},
                          {{"product", "chat"}, {"rotation", "none"}, {"mark", 1}},
                          {{"product", "chat"}, {"rotation", "r1r2"}, {"mark", 2}}};
  EXPECT_EQ(loss_table_of(record, product)->at("mark"), 1);  // as records from before name none
  product["rotation"] = "r1r2";
  EXPECT_EQ(loss_table_of(record, product)->at("mark"), 2);
  EXPECT_EQ(describe_recipe(product),
            "4.30 bits/weight, rotated by r1r2: bf16 x1, fp8_e4m3fn x1, int4_g32 x1, int8 x1 and 2 "
            "more");
  product["rotation"] = "r1";
  EXPECT_EQ(loss_table_of(record, product), nullptr);
}

TEST(RecordView, DurationsReadWell) {
  EXPECT_EQ(show_ns(2.5e9), "2.5 s");
  EXPECT_EQ(show_ns(1.83e7), "18.3 ms");
  EXPECT_EQ(show_ns(1500), "1.5 us");
  EXPECT_EQ(show_pj(3.6e9), "3.6 mJ");
}

TEST(RecordView, CountsHaveSeparators) {
  EXPECT_EQ(show_count(7), "7");
  EXPECT_EQ(show_count(1234), "1,234");
  EXPECT_EQ(show_count(9797760), "9,797,760");
}

TEST(RecordViewError, NamesWhatIsMissing) {
  Json record = page_test_record();
  record["scenarios"][0].erase("feasible");
  EXPECT_EQ(check_record(record).error().message,
            "record: scenarios[0].feasible is missing, want true or false");
  record = page_test_record();
  record["scenarios"][0]["recommendation"]["products"] = Json::array();
  EXPECT_EQ(check_record(record).error().message,
            "record: scenarios[0].recommendation lacks chip or products, want a point");
  record = page_test_record();
  record["front"] = 3;
  EXPECT_EQ(check_record(record).error().message, "record: front is number, want an array");
}

// Each was an exception out of the JSON library before.
TEST(RecordViewError, NamesWhatHasTheWrongKind) {
  const auto message_with = [](const char* pointer, const Json& value) {
    Json record = page_test_record();
    record[Json::json_pointer(pointer)] = value;
    const Status status = check_record(record);
    return status.has_value() ? "accepted" : status.error().message;
  };
  EXPECT_EQ(message_with("/scenarios/0/recommendation/products/0/recipe/head", 8),
            "record: scenarios[0].recommendation.products[0].recipe.head is number, want a text");
  EXPECT_EQ(message_with("/scenarios/0/recommendation/products/0/recipe", Json::array()),
            "record: scenarios[0].recommendation.products[0].recipe is array, want an object");
  EXPECT_EQ(message_with("/scenarios/0/shadow_prices/1", "more"),
            "record: scenarios[0].shadow_prices[1] is string, want an object");
  EXPECT_EQ(message_with("/scenarios/0/tornado/0/winner_changes", 1),
            "record: scenarios[0].tornado[0].winner_changes is number, want true or false");
  EXPECT_EQ(message_with("/search/exact", "yes"),
            "record: search.exact is string, want true or false");
  EXPECT_EQ(message_with("/loss_table/0/loss_nats", 3),
            "record: loss_table[0].loss_nats is number, want an array");
  EXPECT_EQ(message_with("/loss_table/0/loss_nats", nullptr), "accepted");
}

TEST(ReadingRecord, AValueOfAnotherKindIsAnError) {
  const Json json = {{"name", nullptr}};
  const auto read =
      reading_record([&]() -> Result<std::string> { return json.at("name").get<std::string>(); });
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(
      read.error().message.starts_with("record: a value is not of the kind that the page wants: "))
      << read.error().message;
  const auto sound = reading_record([]() -> Result<int> { return 3; });
  EXPECT_EQ(sound.value(), 3);
}

TEST(FlagAt, AbsentNullAndOtherKindsFallBack) {
  const Json json = {{"yes", true}, {"no", false}, {"null", nullptr}, {"text", "true"}};
  EXPECT_TRUE(flag_at(json, "yes", false));
  EXPECT_FALSE(flag_at(json, "no", true));
  for (const char* key : {"null", "text", "absent"}) {
    EXPECT_TRUE(flag_at(json, key, true)) << key;
    EXPECT_FALSE(flag_at(json, key, false)) << key;
  }
  EXPECT_TRUE(flag_at(Json(), "yes", true));
}

}  // namespace
}  // namespace dovetail::report
