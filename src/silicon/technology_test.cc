#include "silicon/technology.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"
#include "silicon/constants.h"

namespace dovetail::silicon {
namespace {

namespace fs = std::filesystem;

// Loads one file with the given text as technology folder.
Result<Technology> load_text(const std::string& text) {
  const fs::path folder = test_folder() / "technology";
  fs::create_directories(folder);
  std::ofstream(folder / "nodes.toml") << text;
  auto result = Technology::load(folder.string());
  fs::remove_all(folder);
  return result;
}

std::string message(const std::string& text) {
  const auto result = load_text(text);
  EXPECT_FALSE(result.has_value());
  if (result.has_value()) return "";
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  const std::string& full = result.error().message;
  return full.substr(full.find("nodes.toml"));
}

TEST(Technology, ShippedConstantsLoadAndResolve) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value()) << technology.error().message;
  EXPECT_GT(technology->constants().size(), 180U);
  const auto constants = resolve_constants(*technology);
  ASSERT_TRUE(constants.has_value()) << constants.error().message;
  EXPECT_EQ(constants->nodes.size(), 7U);
  EXPECT_EQ(constants->dram.size(), 8U);
  EXPECT_DOUBLE_EQ(constants->nodes.at("n7").logic_area_rel, 1.0);
}

TEST(Technology, RefusesAConstantWithoutItsProvenance) {
  EXPECT_TRUE(load_text("[n7]\na = {value = 1, low = 0, high = 2, unit = '1', source = 's', date = "
                        "'2026'}")
                  .has_value());
  EXPECT_EQ(message("[n7]\na = {value = 1, low = 0, high = 2, unit = '1', date = '2026'}"),
            "nodes.toml: nodes.n7.a: source is missing, want a text");
  EXPECT_EQ(message("[n7]\na = {value = 1, low = 0, high = 2, unit = '1', source = 's'}"),
            "nodes.toml: nodes.n7.a: date is missing, want a text");
  EXPECT_EQ(message("[n7]\na = {value = 1, low = 0, high = 2, source = 's', date = '2026'}"),
            "nodes.toml: nodes.n7.a: unit is missing, want a text");
  EXPECT_EQ(
      message("[n7]\na = {value = 3, low = 0, high = 2, unit = '1', source = 's', date = '2'}"),
      "nodes.toml: nodes.n7.a: value = 3, want low..high = 0..2");
  EXPECT_EQ(
      message("[n7]\na = {value = 1, low = 2, high = 0, unit = '1', source = 's', date = '2'}"),
      "nodes.toml: nodes.n7.a: value = 1, want low..high = 2..0");
  EXPECT_EQ(
      message("[n7]\na = {value = 1, low = 0, hgih = 2, unit = '1', source = 's', date = '2'}"),
      "nodes.toml: nodes.n7.a: unknown key 'hgih', nearest 'high'");
  EXPECT_EQ(
      message("[n7]\na = {value = nan, low = 0, high = 2, unit = '1', source = 's', date = '2'}"),
      "nodes.toml: nodes.n7.a: value = nan, want a finite number");
  EXPECT_EQ(message("[n7]\na = 3"),
            "nodes.toml: nodes.n7.a is no table, want a constant {value, low, high, unit, source, "
            "date}");
  EXPECT_FALSE(load_text("[n7").has_value());
}

TEST(Technology, NamesTheNearestKeyAndMissingFolders) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value());
  EXPECT_EQ(technology->value("nodes.n7.logic_area_re").error().message,
            "data/technology/nodes.toml: nodes.n7.logic_area_re is missing, did you mean "
            "nodes.n7.logic_area_rel?");
  EXPECT_EQ(Technology::load("no/such/folder").error().code, ErrorCode::kNotFound);
}

TEST(Technology, WithMovesOneConstantAndTheDigest) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value());
  const Technology moved = technology->with("units.rule.shared_frac", 1.0);
  EXPECT_DOUBLE_EQ(*moved.value("units.rule.shared_frac"), 1.0);
  EXPECT_NE(moved.digest(), technology->digest());
  EXPECT_EQ(
      moved.with("units.rule.shared_frac", *technology->value("units.rule.shared_frac")).digest(),
      technology->digest());
  EXPECT_FALSE(resolve_constants(technology->with("system.fill_cycles", -1)).has_value());
}

TEST(ConcernsPairs, TellsSetsAndEnergiesOfOtherPairs) {
  const std::vector<chip::NativePair> pairs = {{"int9", "int8"}, {"bf16", "bf16", 0.5}};
  for (const char* key :
       {"units.set.int9_int8.lane_um2", "units.set.bf16_bf16@half+int9_int8.lane_um2",
        "units.set.separate:bf16_bf16+int9_int8.register_bits", "units.mac_energy_rel.bf16_bf16",
        "units.shared_energy_rel.bf16_bf16@half+int9_int8.int9_int8", "units.scale.add_um2",
        "arith.mac.x"}) {
    EXPECT_TRUE(concerns_pairs(key, pairs)) << key;
  }
  for (const char* key : {"units.set.int4_int8.lane_um2", "units.set.bf16_bf16+int5_int8.lane_um2",
                          "units.set.composed:int4_int8@twice+int9_int8.lane_um2",
                          "units.shared_energy_rel.bf16_bf16@half+int9_int8.int4_int8",
                          "units.shared_energy_rel.bf16_bf16+int5_int8.bf16_bf16",
                          "units.mac_energy_rel.int4_int8"}) {
    EXPECT_FALSE(concerns_pairs(key, pairs)) << key;
  }
}

}  // namespace
}  // namespace dovetail::silicon
