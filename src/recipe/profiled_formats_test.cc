#include "recipe/profiled_formats.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dovetail::recipe {
namespace {

TEST(ProfiledFormats, AreDistinctLegalAndBf16First) {
  const auto& profiled = profiled_weight_formats();
  EXPECT_EQ(formats::format_name(profiled.front()), "bf16");
  for (size_t i = 0; i < profiled.size(); ++i) {
    EXPECT_TRUE(formats::is_legal(profiled[i]));
    EXPECT_EQ(std::ranges::count(profiled, profiled[i]), 1) << formats::format_name(profiled[i]);
  }
  // Each family that a chip's format sets name is there.
  for (const char* name : {"int4_g128", "int3_asym_g32", "int8", "fp8_e4m3fn", "mxfp4", "nvfp4"})
    EXPECT_EQ(std::ranges::count(profiled, formats::parse_weight_format(name).value()), 1) << name;
}

}  // namespace
}  // namespace dovetail::recipe
