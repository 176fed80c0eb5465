#include "serve/json_fields.h"

#include <gtest/gtest.h>

#include "base/json_text.h"

namespace dovetail::serve {
namespace {

struct Read {
  int64_t count = 7;
  double heat = 0.5;
  bool is_on = false;
  std::string name;
};

ApiResult<Read> read(const std::string& text) {
  const Json json = parse_json(text, "test").value();
  JsonFields fields(json);
  Read read;
  fields.integer("count", 1, 100, read.count);
  fields.number("heat", 0, 2, read.heat);
  fields.flag("is_on", read.is_on);
  fields.text("name", read.name);
  fields.only("n", 1, "1");
  fields.ignore("user");
  DOVETAIL_TRY_STATUS(fields.finish());
  return read;
}

TEST(JsonFields, ReadsTypesAndKeepsDefaults) {
  const auto all =
      read(R"({"count": 3.0, "heat": 1, "is_on": true, "name": "x", "n": 1, "user": 3})");
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->count, 3);
  EXPECT_EQ(all->heat, 1.0);
  EXPECT_TRUE(all->is_on);
  EXPECT_EQ(all->name, "x");
  const auto none = read(R"({"count": null, "n": null})");
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->count, 7);
}

TEST(JsonFields, ErrorsNameKeyValueAndWhatWasWanted) {
  const auto message = [](const std::string& text) { return read(text).error().message; };
  EXPECT_EQ(message(R"({"count": 0})"), "count = 0, want a whole number in 1..100");
  EXPECT_EQ(message(R"({"count": 1.5})"), "count = 1.5, want a whole number in 1..100");
  EXPECT_EQ(message(R"({"count": "3"})"), "count = \"3\", want a whole number in 1..100");
  EXPECT_EQ(message(R"({"count": 18446744073709551615})"),
            "count = 18446744073709551615, want a whole number in 1..100");
  EXPECT_EQ(message(R"({"count": 1e300})"), "count = 1e+300, want a whole number in 1..100");
  EXPECT_EQ(message(R"({"heat": 2.5})"), "heat = 2.5, want a number in 0..2");
  EXPECT_EQ(message(R"({"heat": [1, 2]})"), "heat = an array of 2, want a number in 0..2");
  EXPECT_EQ(message(R"({"is_on": 1})"), "is_on = 1, want true or false");
  EXPECT_EQ(message(R"({"name": {}})"), "name = an object of 0, want a text");
  EXPECT_EQ(message(R"({"n": 2})"), "n = 2 is not offered, want 1");
  EXPECT_EQ(message(R"({"heart": 1})"), "heart = 1 is not known, did you mean heat?");
  EXPECT_EQ(message("[1]"), "the body = an array of 1, want a JSON object");
  EXPECT_EQ(read(R"({"heat": 2.5})").error().param, "heat");
}

TEST(JsonFields, LongValuesAreShortened) {
  EXPECT_LT(shown(Json(std::string(10'000, 'x'))).size(), 80U);
}

TEST(ApiError, HasTheFormOfOpenAis) {
  EXPECT_EQ(dump_json(to_json(ApiError{.message = "m", .param = "p"})),
            R"({"error":{"message":"m","type":"invalid_request_error","param":"p","code":null}})");
  EXPECT_EQ(dump_json(to_json(ApiError{.status = 503, .message = "m", .code = "c"})),
            R"({"error":{"message":"m","type":"server_error","param":null,"code":"c"}})");
  EXPECT_EQ(dump_json(Json("a\xff")), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(api_error(Error{ErrorCode::kInternal, "x"}).status, 500);
  EXPECT_EQ(api_error(Error{ErrorCode::kUnavailable, "x"}).status, 503);
  EXPECT_EQ(api_error(Error{ErrorCode::kInvalidArgument, "x"}).status, 400);
}

}  // namespace
}  // namespace dovetail::serve
