#include "chip/chip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace dovetail::chip {
namespace {

MatrixUnit unit_with(std::vector<NativePair> pairs) {
  MatrixUnit unit;
  unit.pairs = std::move(pairs);
  return unit;
}

Chip small_chip() {
  Chip chip;
  chip.name = "small";
  chip.units = {unit_with({{"int8", "int8"}, {"bf16", "bf16"}})};
  return chip;
}

formats::WeightFormat weight(const char* name) {
  const auto format = formats::parse_weight_format(name);
  EXPECT_TRUE(format.has_value()) << name;
  return *format;
}

constexpr auto kBf16 = formats::ActivationFormat::kBf16;
constexpr auto kInt8 = formats::ActivationFormat::kInt8Token;
constexpr auto kFp8 = formats::ActivationFormat::kFp8Token;

TEST(NativePair, WidensIntegersExactlyAndNoFurtherThanNeeded) {
  const MatrixUnit unit =
      unit_with({{"int8", "int8"}, {"int4", "int8"}, {"int5", "int8"}, {"bf16", "bf16"}});
  EXPECT_EQ(native_pair(unit, weight("int4_g128"), kInt8), 1);
  EXPECT_EQ(native_pair(unit, weight("int3_g32"), kInt8), 1);
  EXPECT_EQ(native_pair(unit, weight("int4_asym_g128"), kInt8), 2);  // w - z has five bits
  EXPECT_EQ(native_pair(unit, weight("int6"), kInt8), 0);
  EXPECT_EQ(native_pair(unit, weight("int8_asym"), kInt8), -1);  // nine bits
  EXPECT_EQ(native_pair(unit, weight("mxfp4"), kInt8), 2);       // twice e2m1 fits five bits
  EXPECT_EQ(native_pair(unit, weight("bf16"), kInt8), -1);
  EXPECT_EQ(native_pair(unit, weight("int4_g128"), kBf16), 3);  // W4A16 through the decoder
  EXPECT_EQ(native_pair(unit, weight("int8_asym"), kBf16), 3);
  EXPECT_EQ(native_pair(unit, weight("int4_g128"), kFp8), -1);
}

TEST(NativePair, EqualWidthTakesTheHigherThroughput) {
  const MatrixUnit unit = unit_with({{"int4", "int8", 1.0}, {"fp4_e2m1", "int8", 2.0}});
  EXPECT_EQ(native_pair(unit, weight("int3"), kInt8), 1);
  EXPECT_EQ(native_pair(unit, weight("int4"), kInt8), 0);
}

// Oracle for holds_codes: lists the values of the element and of the stored codes.
std::set<double> values_of_float(int exponent_bits, int mantissa_bits, int bias, double max) {
  std::set<double> values = {0};
  for (int e = 0; e < (1 << exponent_bits); ++e) {
    for (int m = 0; m < (1 << mantissa_bits); ++m) {
      const double fraction = std::ldexp(m, -mantissa_bits) + (e == 0 ? 0 : 1);
      const double value = std::ldexp(fraction, (e == 0 ? 1 : e) - bias);
      if (value <= max) values.insert({value, -value});
    }
  }
  return values;
}

std::set<double> integers(int64_t low, int64_t high) {
  std::set<double> values;
  for (int64_t i = low; i <= high; ++i) values.insert(static_cast<double>(i));
  return values;
}

std::set<double> element_values(const std::string& element) {
  if (element == "fp4_e2m1") return values_of_float(2, 1, 1, 6);
  if (element == "fp8_e4m3fn") return values_of_float(4, 3, 7, 448);
  if (element == "bf16") return values_of_float(5, 7, 15, 65536);  // a subset is enough here
  const int64_t bits = element[3] - '0';
  return integers(-(int64_t{1} << (bits - 1)), (int64_t{1} << (bits - 1)) - 1);
}

std::set<double> stored_values(const formats::WeightFormat& format) {
  using formats::Element;
  const int64_t count = int64_t{1} << format.bits;
  switch (format.element) {
    case Element::kFp4E2m1:
      return element_values("fp4_e2m1");
    case Element::kFp6E2m3:
      return values_of_float(2, 3, 1, 7.5);
    case Element::kFp6E3m2:
      return values_of_float(3, 2, 3, 28);
    case Element::kFp8E4m3Fn:
      return element_values("fp8_e4m3fn");
    case Element::kFp8E5m2:
      return values_of_float(5, 2, 15, 57344);
    case Element::kTernary:
      return integers(-1, 1);
    case Element::kNormalFloat:
    case Element::kTable:
      return integers(-127, 127);  // any may be a level
    default:
      return format.asymmetric ? integers(1 - count, count - 1)
                               : integers(-count / 2, count / 2 - 1);
  }
}

TEST(HoldsCodes, AgreesWithListedValuesForAllFormats) {
  for (const char* element :
       {"int2", "int3", "int4", "int5", "int6", "int8", "int9", "fp4_e2m1", "fp8_e4m3fn", "bf16"}) {
    const std::set<double> held = element_values(element);
    for (const formats::WeightFormat& format : formats::all_weight_formats()) {
      if (format.element == formats::Element::kBf16) {
        EXPECT_EQ(holds_codes(element, format), std::string(element) == "bf16");
        continue;
      }
      const auto fits = [&](double factor) {
        for (const double value : stored_values(format)) {
          if (!held.contains(value * factor)) return false;
        }
        return true;
      };
      const bool integer = std::string(element).starts_with("int");
      const bool scaled = integer && (fits(2) || fits(4) || fits(8) || fits(16));
      EXPECT_EQ(holds_codes(element, format), fits(1) || scaled)
          << element << " " << formats::format_name(format);
    }
  }
}

TEST(StoredNatively, OnlyTheSameElement) {
  EXPECT_TRUE(stored_natively("int4", weight("int4_g32")));
  EXPECT_FALSE(stored_natively("int4", weight("int3_g32")));
  EXPECT_FALSE(stored_natively("int5", weight("int4_asym_g32")));
  EXPECT_TRUE(stored_natively("fp4_e2m1", weight("nvfp4")));
  EXPECT_FALSE(stored_natively("bf16", weight("fp8_e4m3fn")));
}

TEST(CheckChip, AcceptsADefaultAndNamesWhatIsWrong) {
  EXPECT_TRUE(check_chip(small_chip()).has_value());
  Chip chip = small_chip();
  chip.units[0].pairs.clear();
  EXPECT_EQ(check_chip(chip).error().message, "units[0].pairs: empty, want at least one pair");
  chip = small_chip();
  chip.units[0].pairs.push_back({"int8", "int8"});
  EXPECT_EQ(check_chip(chip).error().message, "units[0].pairs[2]: int8 x int8 stands twice");
  chip = small_chip();
  chip.units[0].pairs.push_back({"bf16", "int8"});
  EXPECT_FALSE(check_chip(chip).has_value());
  chip = small_chip();
  chip.units[0].depth = 12;
  EXPECT_EQ(check_chip(chip).error().message, "units[0].depth = 12, want a power of two");
  chip = small_chip();
  chip.units[0].rows = 128;
  chip.units[0].cols = 64;
  EXPECT_EQ(check_chip(chip).error().message,
            "accumulator_kib = 16, want at least 32 KiB for units[0] (128 x 64, depth 16)");
  chip = small_chip();
  chip.units.clear();
  EXPECT_FALSE(check_chip(chip).has_value());
}

TEST(CheckChip, ScaleGranulesArePowersOfTwoOfScaledPairs) {
  EXPECT_EQ(finest_granule({"int4", "int8"}), 32);
  EXPECT_EQ(finest_granule({"fp4_e2m1", "int8"}), 16);
  EXPECT_EQ(finest_granule({"fp4_e2m1", "int8", 1, 64}), 64);
  Chip chip = small_chip();
  chip.units[0].pairs = {{"int4", "int8", 1, 128}, {"bf16", "bf16"}};
  EXPECT_TRUE(check_chip(chip).has_value());
  chip.units[0].pairs[0].scale_granule = 48;
  EXPECT_EQ(check_chip(chip).error().message,
            "units[0].pairs[0]: scale_granule = 48 of int4 x int8, want a power of two, 8..128");
  chip.units[0].pairs[0].scale_granule = 4;
  EXPECT_FALSE(check_chip(chip).has_value());
  chip.units[0].pairs = {{"bf16", "bf16", 1, 32}};
  EXPECT_EQ(check_chip(chip).error().message,
            "units[0].pairs[0]: scale_granule = 32 of bf16 x bf16, want none: it has no scales");
}

TEST(CheckChip, SeveralChipsWantLinksAndMicroBatchesAPipeline) {
  Chip chip = small_chip();
  chip.scale_up.tensor_parallel = 8;
  EXPECT_EQ(check_chip(chip).error().message, "scale_up.links = 0, want at least 1 for 8 chips");
  chip.scale_up.links = 18;
  EXPECT_TRUE(check_chip(chip).has_value());
  EXPECT_EQ(num_chips(chip.scale_up), 8);
  chip.scale_up.pipeline_parallel = 2;
  chip.scale_up.micro_batches = 4;
  EXPECT_TRUE(check_chip(chip).has_value());
  EXPECT_EQ(num_chips(chip.scale_up), 16);
  chip.scale_up = {.pipeline_parallel = 2};
  EXPECT_EQ(check_chip(chip).error().message, "scale_up.links = 0, want at least 1 for 2 chips");
  chip.scale_up = {.pipeline_parallel = 65, .links = 1};
  EXPECT_EQ(check_chip(chip).error().message, "scale_up.pipeline_parallel = 65, want 1..64");
  chip.scale_up = {.micro_batches = 4};
  EXPECT_EQ(check_chip(chip).error().message,
            "scale_up.micro_batches = 4, want 0 or 1 without a pipeline of stages");
  chip.scale_up = {.pipeline_parallel = 2, .micro_batches = -1, .links = 1};
  EXPECT_EQ(check_chip(chip).error().message, "scale_up.micro_batches = -1, want at least 0");
  chip.scale_up = {.tensor_parallel = 65, .links = 1};
  EXPECT_EQ(check_chip(chip).error().message, "scale_up.tensor_parallel = 65, want 1..64");
}

TEST(LoadChip, NamesFileAndKey) {
  EXPECT_EQ(load_chip("no_such_chip.toml").error().code, ErrorCode::kNotFound);
}

TEST(CheckPriced, RefusesByNameWhatTheCostModelDoesNotKnow) {
  const auto kv = [](const char* name) {
    const Status status = check_priced(recipe::parse_kv_treatment(name).value());
    return status.has_value() ? std::string() : status.error().message;
  };
  for (const char* name :
       {"bf16", "int8", "int4+q:int8_token", "int3", "nvfp4", "k:int8+v:int4", "int4+qkh:64"})
    EXPECT_EQ(kv(name), "");
  EXPECT_EQ(kv("k:int4_c32+v:int4"), "k:int4_c32+v:int4: chips have no price for keys per channel");
}

TEST(CheckPriced, RefusesRotationsThatUntieAnEmbedding) {
  model::ModelShape shape;
  shape.name = "tied";
  recipe::Recipe recipe;
  recipe.rotation = recipe::Rotation::kR1;
  EXPECT_EQ(check_priced(shape, recipe).error().message,
            "rotation r1: chips have no price for the embedding of tied, which it unties");
  shape.tied_embedding = false;
  EXPECT_TRUE(check_priced(shape, recipe).has_value());
}

// Costs are of one shape: a recipe that leaves less of it would be priced as if it did not.
TEST(CheckPriced, RefusesPruningOfTheShapeThatIsPriced) {
  model::ModelShape shape;
  shape.intermediate_size = 1536;
  shape.num_heads = 9;
  shape.num_kv_heads = 3;
  recipe::Recipe recipe;
  recipe.pruning.mlp_width = 1344;
  EXPECT_EQ(check_priced(shape, recipe).error().message,
            "pruning to MLP width 1344, 9 query and 3 key heads: the model that is priced here is "
            "whole, want a recipe without pruning");
  EXPECT_TRUE(check_priced(recipe::pruned_shape(shape, recipe.pruning), recipe).has_value());
}

}  // namespace
}  // namespace dovetail::chip
