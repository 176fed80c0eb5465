#include "base/result.h"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

Result<int> half(int value) {
  if (value % 2 != 0) return invalid_argument("value is odd");
  return value / 2;
}

Result<int> quarter(int value) {
  DOVETAIL_TRY(const int once, half(value));
  DOVETAIL_TRY(const int twice, half(once));
  return twice;
}

TEST(Result, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(quarter(12).value(), 3);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(failed.error().message, "value is odd");
}

TEST(Result, ContextNamesTheFileFirst) {
  const Result<int> failed = with_context(half(3).error(), "chip.toml");
  EXPECT_EQ(failed.error().message, "chip.toml: value is odd");
}

}  // namespace
}  // namespace dovetail
