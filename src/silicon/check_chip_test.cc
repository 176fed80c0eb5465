#include "silicon/check_chip.h"

#include <gtest/gtest.h>

namespace dovetail::silicon {
namespace {

TEST(ChipError, NamesFileKeyAndNearestOfAnUnknownNodeOrDramKind) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value());
  chip::Chip chip = *chip::load_chip("data/chips/reference_edge.toml");
  EXPECT_TRUE(check_known(chip, *technology, "a.toml").has_value());
  chip.dram.kind = "lpddr55";
  const auto dram = check_known(chip, *technology, "a.toml");
  ASSERT_FALSE(dram.has_value());
  EXPECT_TRUE(dram.error().message.starts_with("a.toml: dram.kind = \"lpddr55\", want one of "));
  EXPECT_NE(dram.error().message.find("(did you mean lpddr5"), std::string::npos);
  chip.node = "n77";
  const auto node = check_known(chip, *technology, "a.toml");
  ASSERT_FALSE(node.has_value());
  EXPECT_TRUE(node.error().message.starts_with("a.toml: node = \"n77\", want one of "));
}

TEST(ChipError, NamesTheUnitThatCannotReachTheClock) {
  const auto technology = Technology::load("data/technology");
  chip::Chip chip = *chip::load_chip("data/chips/reference_edge.toml");
  chip.clock_mhz = 1400;
  EXPECT_TRUE(check_known(chip, *technology, "a.toml").has_value());
  chip.clock_mhz = 4000;
  const auto status = check_known(chip, *technology, "a.toml");
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(status.error().message.starts_with("a.toml: clock_mhz = 4000, want at most "));
  EXPECT_NE(status.error().message.find("units[0] reaches "), std::string::npos);
  // The same units in an older process are slower.
  chip.clock_mhz = 2000;
  EXPECT_TRUE(check_known(chip, *technology, "a.toml").has_value());
  chip.node = "n28";
  EXPECT_FALSE(check_known(chip, *technology, "a.toml").has_value());
}

}  // namespace
}  // namespace dovetail::silicon
