#include "model/rope_scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

namespace dovetail::model {
namespace {

using nlohmann::json;

ModelShape shape_of(int64_t head_dim, double theta) {
  ModelShape shape;
  shape.head_dim = head_dim;
  shape.rope_theta = theta;
  return shape;
}

// Written the other way round: frequencies, three cases, as the published code has them.
double scaled_frequency(const Llama3Scaling& s, double frequency) {
  const double wave = 2 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(s.original_positions);
  if (wave < original / s.high_freq_factor) return frequency;
  if (wave > original / s.low_freq_factor) return frequency / s.factor;
  const double smooth =
      (original / wave - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return (1 - smooth) * frequency / s.factor + smooth * frequency;
}

TEST(RopeScaling, Llama31HasThreeKindsOfFrequencies) {
  const Llama3Scaling llama31{.factor = 8};
  const std::vector<float> divisors = llama3_divisors(llama31, 500000, 128);
  ASSERT_EQ(divisors.size(), 64U);
  int64_t kept = 0;
  int64_t mixed = 0;
  for (size_t i = 0; i < 64; ++i) {
    const double frequency = std::pow(500000.0, -static_cast<double>(i) / 64);
    EXPECT_NEAR(static_cast<double>(divisors[i]), frequency / scaled_frequency(llama31, frequency),
                1e-6);
    kept += divisors[i] == 1 ? 1 : 0;
    mixed += divisors[i] > 1 && divisors[i] < 8 ? 1 : 0;
  }
  // Waves of 2 pi 500000^(i / 64) positions: the first of at least 2,048 is i = 29, the last of at
  // most 8,192 is i = 34.
  EXPECT_EQ(kept, 29);
  EXPECT_EQ(mixed, 6);
  EXPECT_EQ(divisors.back(), 8);
}

TEST(RopeScaling, ReadsBothKeysAndBothSpellings) {
  const ModelShape shape = shape_of(16, 1e4);
  const json linear = {{"rope_scaling", {{"type", "linear"}, {"factor", 4}}}};
  EXPECT_EQ(read_rope_divisors(linear, "c", shape).value(), std::vector<float>(8, 4.0F));
  const json llama3 = {{"rope_parameters",
                        {{"rope_type", "llama3"},
                         {"factor", 8},
                         {"low_freq_factor", 1},
                         {"high_freq_factor", 4},
                         {"original_max_position_embeddings", 64}}}};
  EXPECT_EQ(read_rope_divisors(llama3, "c", shape).value(),
            llama3_divisors({.factor = 8, .original_positions = 64}, 1e4, 16));
  for (const json& none : {json{{"rope_scaling", nullptr}}, json::object(),
                           json{{"rope_parameters", {{"rope_type", "default"}}}}})
    EXPECT_TRUE(read_rope_divisors(none, "c", shape).value().empty());
}

TEST(RopeScalingError, NamesWhatIsNotComputedAndWhatIsWrong) {
  const json good = {{"rope_type", "llama3"},
                     {"factor", 8},
                     {"low_freq_factor", 1},
                     {"high_freq_factor", 4},
                     {"original_max_position_embeddings", 64}};
  const auto error_of = [&](const char* key, const json& value) {
    json scaling = good;
    scaling[key] = value;
    const auto read =
        read_rope_divisors({{"rope_scaling", scaling}}, "config.json", shape_of(16, 1e4));
    return read.has_value() ? std::string("(no error)") : read.error().message;
  };
  for (const char* type : {"yarn", "dynamic", "longrope"})
    EXPECT_EQ(error_of("rope_type", type), std::string("config.json: rope_scaling.rope_type = ") +
                                               type + ", want default, linear or llama3");
  EXPECT_EQ(error_of("factor", nullptr), "config.json: rope_scaling.factor is missing");
  EXPECT_EQ(error_of("factor", 0.5), "config.json: rope_scaling.factor = 0.5, want at least 1");
  EXPECT_EQ(error_of("low_freq_factor", -1),
            "config.json: rope_scaling.low_freq_factor = -1, want a positive number");
  EXPECT_EQ(error_of("high_freq_factor", 1),
            "config.json: rope_scaling.high_freq_factor = 1, want more than the low one, 1");
  EXPECT_EQ(error_of("original_max_position_embeddings", 0),
            "config.json: rope_scaling.original_max_position_embeddings is missing or below 1");
  EXPECT_EQ(error_of("factor", 8), "(no error)");
}

TEST(RopeScaling, OneFactorForAllIsLinear) {
  EXPECT_EQ(linear_factor({}), 1);
  EXPECT_EQ(linear_factor({4, 4}), 4);
  EXPECT_EQ(linear_factor({4, 1}), 0);
}

}  // namespace
}  // namespace dovetail::model
