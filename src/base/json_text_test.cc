#include "base/json_text.h"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

std::string nested(int depth) {
  return std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']');
}

TEST(JsonText, NestsAsDeepAsTheLimitAndNoDeeper) {
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth), "x.json").has_value());
  const auto deeper = parse_json(nested(kMaxJsonDepth + 1), "x.json");
  ASSERT_FALSE(deeper.has_value());
  EXPECT_EQ(deeper.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(deeper.error().message, "x.json: JSON nested more than 64 deep");
}

TEST(JsonText, BracketsInsideTextsDoNotNest) {
  EXPECT_EQ(json_depth(R"({"a[[[[": "\"[[[["})", 8), 1);
  EXPECT_EQ(json_depth(nested(20), 8), 9);  // counts no further than needed
}

TEST(JsonText, NamesTheFileOfWhatIsNoJson) {
  const auto wrong = parse_json("{\"a\": nan}", "x.json");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_TRUE(wrong.error().message.starts_with("x.json: ")) << wrong.error().message;
}

}  // namespace
}  // namespace dovetail
