#include "roadmap/config_from_json.h"

#include <gtest/gtest.h>

#include "chip/chip.h"
#include "search/space.h"

namespace dovetail::roadmap {
namespace {

TEST(ConfigFromJson, AChipSurvivesTheRoundTrip) {
  chip::Chip chip;
  chip.name = "a \"quoted\" \\ name\n";
  chip.clock_mhz = 812.5;
  chip.units.push_back({.format_set = "s", .rows = 4, .pairs = {{"int5", "int8", 2.0}}});
  chip.dram.capacity_gib = 0.125;
  const auto read = config_from_json<chip::Chip>(to_json(chip), "chip");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(to_json(*read), to_json(chip));
}

TEST(ConfigFromJson, AWrongValueIsNamedWithItsPlace) {
  Json json = to_json(search::Budget{});
  json["max_area_mm2"] = -1;
  const auto read = config_from_json<search::Budget>(json, "record: budget");
  ASSERT_FALSE(read.has_value());
  EXPECT_TRUE(read.error().message.starts_with("record: budget: max_area_mm2"))
      << read.error().message;
}

TEST(ConfigFromJson, NoObjectIsAMissingKey) {
  EXPECT_FALSE(config_from_json<search::Budget>(Json(3), "budget").has_value());
}

}  // namespace
}  // namespace dovetail::roadmap
