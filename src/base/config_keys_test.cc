#include "base/config_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dovetail {
namespace {

using testing::HasSubstr;

struct Wheel {
  std::string name;
  double radius_mm = 300;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "where it sits"});
    v.number("radius_mm", s.radius_mm, {.min = 1, .max = 2000, .help = "radius"});
  }
};

struct Axle {
  std::vector<Wheel> wheels;
  std::vector<int64_t> gears;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.list("wheels", s.wheels, {.required = true, .help = "wheels of the axle"});
    v.numbers("gears", s.gears, {.min = 1, .help = "teeth"});
  }
};

struct Cart {
  std::string name;
  std::string colour = "red";
  bool brake = true;
  std::vector<Wheel> spares;
  std::optional<Axle> axle;
  std::vector<std::string> loads;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "name"});
    v.list("spares", s.spares, {.help = "spare wheels"});
    v.group("axle", s.axle, {.help = "the only axle"});
    v.text("colour", s.colour, {.choices = {"red", "blue"}, .help = "colour of the cart"});
    v.flag("brake", s.brake, {.help = "whether it stops"});
    v.texts("loads", s.loads, {.help = "what it carries"});
  }
};

Cart full_cart() {
  return {.name = "a \"quoted\" cart\\",
          .colour = "blue",
          .brake = false,
          .spares = {{"left", 300}, {"right", 250.5}},
          .axle = Axle{.wheels = {{"front", 400}, {"back", 300}}, .gears = {12, 24}},
          .loads = {"hay", "tea, \"green\""}};
}

Cart bare_cart() {
  Cart cart;
  cart.name = "bare";
  return cart;
}

std::string written(const Cart& cart) {
  return commented_toml(to_json(cart), describe_config<Cart>());
}

TEST(DescribeConfig, ListsEveryKeyOnceInTheOrderOfVisit) {
  std::vector<std::string> paths;
  for (const ConfigKey& key : describe_config<Cart>()) paths.push_back(key.path);
  EXPECT_THAT(paths,
              testing::ElementsAre("name", "spares", "spares[].name", "spares[].radius_mm", "axle",
                                   "axle.wheels", "axle.wheels[].name", "axle.wheels[].radius_mm",
                                   "axle.gears", "colour", "brake", "loads"));
}

TEST(DescribeConfig, KeepsKindRangeDefaultAndChoices) {
  const auto keys = describe_config<Cart>();
  EXPECT_EQ(keys[0].kind, "text");
  EXPECT_TRUE(keys[0].required);
  EXPECT_TRUE(keys[0].fallback.is_null());
  EXPECT_EQ(keys[3].kind, "number");
  EXPECT_EQ(keys[3].wanted, "1..2000");
  EXPECT_EQ(keys[3].fallback, 300.0);
  EXPECT_EQ(keys[8].kind, "list of whole numbers");
  EXPECT_EQ(keys[8].wanted, "a number >= 1");
  EXPECT_THAT(keys[9].choices, testing::ElementsAre("red", "blue"));
  EXPECT_EQ(explain_key(keys[9]), "colour of the cart (one of red, blue)");
}

TEST(CommentedToml, ReadsBackAsTheSameStruct) {
  for (const Cart& cart : {full_cart(), bare_cart()}) {
    const auto read = read_config_text<Cart>(written(cart), "cart.toml");
    ASSERT_TRUE(read.has_value()) << read.error().message << "\n" << written(cart);
    EXPECT_EQ(to_json(*read), to_json(cart)) << written(cart);
  }
}

TEST(CommentedToml, ExplainsEveryKeyThatItHoldsOnce) {
  const std::string text = written(full_cart());
  for (const ConfigKey& key : describe_config<Cart>()) {
    EXPECT_THAT(text, HasSubstr(key.help.substr(1))) << key.path;
  }
  EXPECT_EQ(text.find("Where it sits"), text.rfind("Where it sits"));
}

TEST(CommentedToml, AListOfTablesWithoutAnyShowsOneCommentedOut) {
  const std::string text = written(bare_cart());
  EXPECT_THAT(text, HasSubstr("\n# Spare wheels.\n# [[spares]]\n"));
  EXPECT_THAT(text, HasSubstr("\n# radius_mm = 300\n"));
  EXPECT_EQ(written(full_cart()).find("# [[spares]]"), std::string::npos);
}

TEST(CommentedToml, WhatAKeyIsAnywayStandsCommentedOut) {
  const std::string text = written(bare_cart());
  EXPECT_THAT(text, HasSubstr("\n# colour = \"red\"\n"));
  EXPECT_THAT(text, HasSubstr("\n# loads = []\n"));
  EXPECT_THAT(written(full_cart()), HasSubstr("\ncolour = \"blue\"\n"));
}

TEST(CommentedToml, NoLineIsTooLong) {
  const std::string text = written(full_cart());
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    EXPECT_LE(end - begin, 100u) << text.substr(begin, end - begin);
    begin = end + 1;
  }
}

TEST(JsonSchema, NestsAsTheFileDoes) {
  const Json schema = json_schema("cart", describe_config<Cart>());
  EXPECT_EQ(schema["required"], Json({"name"}));
  const Json& wheel = schema["properties"]["axle"]["properties"]["wheels"]["items"];
  EXPECT_EQ(wheel["required"], Json({"name"}));
  EXPECT_EQ(wheel["properties"]["radius_mm"]["maximum"], 2000);
  EXPECT_EQ(wheel["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["colour"]["enum"], Json({"red", "blue"}));
  EXPECT_EQ(schema["properties"]["axle"]["properties"]["gears"]["items"]["type"], "integer");
}

}  // namespace
}  // namespace dovetail
