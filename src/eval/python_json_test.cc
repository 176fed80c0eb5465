#include "eval/python_json.h"

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(PythonJson, TakesWhatPythonTakes) {
  const Json cases = fixture("ifeval.json")["json"];
  ASSERT_GT(cases.size(), 100U);
  int64_t taken = 0;
  for (const Json& row : cases) {
    EXPECT_EQ(is_python_json(row[0].get<std::string>()), row[1].get<bool>()) << row[0];
    taken += row[1].get<bool>() ? 1 : 0;
  }
  EXPECT_GT(taken, 20);
}

TEST(PythonJson, ConstantsCanBeRefused) {
  for (const char* text : {"NaN", "[Infinity]", "{\"a\": -Infinity}"}) {
    EXPECT_TRUE(is_python_json(text)) << text;
    EXPECT_FALSE(is_python_json(text, JsonConstants::kRefused)) << text;
  }
  EXPECT_TRUE(is_python_json("\"NaN\"", JsonConstants::kRefused));
}

TEST(PythonJson, AnyDepth) {
  const std::string open(100000, '[');
  EXPECT_FALSE(is_python_json(open));
  EXPECT_TRUE(is_python_json(open + std::string(100000, ']')));
}

}  // namespace
}  // namespace dovetail::eval
