#include "model/bounded_json.h"

#include <gtest/gtest.h>

namespace dovetail::model {
namespace {

TEST(BoundedJson, BracketsInsideStringsDoNotCount) {
  const std::string text = "{\"a\":\"" + std::string(100, '[') + "\\\"[[\"}";
  const auto json = parse_bounded_json(text, "x");
  ASSERT_TRUE(json.has_value()) << json.error().message;
  EXPECT_EQ((*json)["a"].get<std::string>().size(), 103U);
}

TEST(BoundedJson, DepthIsLimitedAtTheStatedBound) {
  const auto nested = [](int depth) {
    const auto count = static_cast<size_t>(depth);
    return std::string(count, '[') + std::string(count, ']');
  };
  EXPECT_TRUE(parse_bounded_json(nested(kMaxModelJsonDepth), "x").has_value());
  EXPECT_EQ(parse_bounded_json(nested(kMaxModelJsonDepth + 1), "x").error().message,
            "x: JSON nested more than 32 deep");
}

TEST(BoundedJsonError, DamageIsAnErrorNotAnException) {
  for (const char* text :
       {"", "{", "[1,", "nul", "1e999", "\"\xff\"", "{\"a\":1}x", "\"\\ud800\"", "]"}) {
    const auto json = parse_bounded_json(text, "file.json");
    ASSERT_FALSE(json.has_value()) << text;
    EXPECT_EQ(json.error().message.rfind("file.json: ", 0), 0U) << json.error().message;
  }
}

TEST(BoundedJson, MembersAreTyped) {
  const auto json =
      parse_bounded_json(R"({"i":7,"d":1.5,"b":true,"t":"x","n":null,"u":18446744073709551615})",
                         "x")
          .value();
  EXPECT_EQ(json_integer(json, "i", "x").value(), 7);
  EXPECT_EQ(json_number(json, "i", "x").value(), 7.0);
  EXPECT_EQ(json_number(json, "d", "x").value(), 1.5);
  EXPECT_EQ(json_bool(json, "b", "x").value(), true);
  EXPECT_EQ(json_text(json, "t", "x").value(), "x");
  EXPECT_FALSE(json_text(json, "n", "x").value().has_value());
  EXPECT_FALSE(json_text(json, "absent", "x").value().has_value());
  EXPECT_EQ(json_integer(json, "d", "x").error().message, "x: d = 1.5, want an integer");
  EXPECT_EQ(json_integer(json, "u", "x").error().message,
            "x: u = 18446744073709551615, want an integer");
  EXPECT_EQ(json_bool(json, "t", "x").error().message, "x: t = \"x\", want true or false");
}

}  // namespace
}  // namespace dovetail::model
