#include "host/chip_products.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "arith/dot.h"
#include "base/random.h"
#include "formats/quantize.h"
#include "recipe/site.h"

namespace dovetail::host {
namespace {

arith::Operand bf16_operand(float value) {
  const arith::OperandType bf16 = *arith::parse_operand_type("bf16");
  return arith::operand_of_code(bf16, static_cast<int32_t>(std::bit_cast<uint32_t>(value) >> 16));
}

float to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000U);
}

// Activations over many powers of two, with zeros: what alignment is about.
std::vector<float> activations(Random& random, int64_t count) {
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) {
    const double scale = std::exp2(static_cast<double>(random.below(24)) - 16);
    value = random.below(9) == 0 ? 0.0F : static_cast<float>((2 * random.uniform() - 1) * scale);
  }
  return x;
}

model::Matrix rounded(Random& random, int64_t rows, int64_t cols, const char* format) {
  model::Matrix w = {.rows = rows, .cols = cols, .values = {}};
  for (int64_t i = 0; i < rows * cols; ++i) {
    w.values.push_back(static_cast<float>((2 * random.uniform() - 1) * 0.05));
  }
  const auto treatment = *recipe::parse_linear_treatment(format);
  if (treatment.weight.element == formats::Element::kBf16) return w;
  formats::quantize_rows(treatment.weight, {}, rows, cols, w.values.data(), w.values.data());
  return w;
}

// The definition in arith/, one output at a time.
float slow_output(const AlignedSums& sums, const CodedMatrix& w, const std::string& element,
                  int64_t row, const float* x, float output) {
  const arith::DotUnit unit = {
      .pair = {*arith::parse_operand_type(element), *arith::parse_operand_type("bf16")},
      .depth = sums.depth,
      .granule = w.granule,
      .align_bits = sums.align_bits};
  std::vector<arith::Operand> weights;
  std::vector<arith::Operand> inputs;
  for (int64_t k = 0; k < w.cols; ++k) {
    const float value = w.elements[static_cast<size_t>(row * w.cols + k)];
    weights.push_back(w.is_bf16
                          ? bf16_operand(value)
                          : arith::operand_of_code(unit.pair.weight, static_cast<int32_t>(value)));
    inputs.push_back(bf16_operand(to_bf16(x[k])));
  }
  const int64_t granules = (w.cols + w.granule - 1) / w.granule;
  const std::vector<float> weight_scales(w.scales.begin() + row * granules,
                                         w.scales.begin() + (row + 1) * granules);
  const std::vector<float> input_scales(static_cast<size_t>(granules), 1.0F);
  return arith::dot(unit, weights, inputs, weight_scales, input_scales, output);
}

struct Pairing {
  const char* format;
  const char* element;  // of arith, as wide as the codes
};

TEST(ChipProducts, AreTheDefinitionBitForBit) {
  Random random(1);
  constexpr int64_t kRows = 3;
  constexpr int64_t kOutputs = 21;  // no multiple of the lanes
  for (const Pairing pair :
       {Pairing{"int4_g32", "int4"}, Pairing{"int4_asym_g64", "int5"}, Pairing{"int8", "int8"},
        Pairing{"int2_g16", "int2"}, Pairing{"bf16", "bf16"}}) {
    for (const int64_t cols : {64, 144}) {
      for (const AlignedSums sums :
           {AlignedSums{16, 24}, AlignedSums{8, 16}, AlignedSums{64, 20}}) {
        const model::Matrix w = rounded(random, kOutputs, cols, pair.format);
        const auto coded = elements_of(w, recipe::parse_linear_treatment(pair.format)->weight);
        ASSERT_TRUE(coded.has_value()) << coded.error().message;
        const std::vector<float> x = activations(random, kRows * cols);
        for (const bool accumulate : {false, true}) {
          std::vector<float> y(kRows * kOutputs, 0.5F);
          aligned_products(sums, *coded, kRows, x.data(), y.data(), accumulate);
          for (int64_t r = 0; r < kRows; ++r) {
            for (int64_t n = 0; n < kOutputs; ++n) {
              const float wanted = slow_output(sums, *coded, pair.element, n, x.data() + r * cols,
                                               accumulate ? 0.5F : 0.0F);
              ASSERT_EQ(std::bit_cast<uint32_t>(wanted),
                        std::bit_cast<uint32_t>(y[static_cast<size_t>(r * kOutputs + n)]))
                  << pair.format << " depth " << sums.depth << " bits " << sums.align_bits;
            }
          }
        }
      }
    }
  }
}

TEST(ChipProducts, ElementsTimesScalesAreTheValues) {
  Random random(2);
  for (const char* format : {"int4_g64", "int3_asym_g32", "int8", "ternary_g64", "int2_g16"}) {
    const model::Matrix w = rounded(random, 7, 128, format);
    const auto coded = elements_of(w, recipe::parse_linear_treatment(format)->weight);
    ASSERT_TRUE(coded.has_value()) << format << coded.error().message;
    const int64_t granules = (w.cols + coded->granule - 1) / coded->granule;
    for (int64_t i = 0; i < w.rows * w.cols; ++i) {
      const int64_t group = i / w.cols * granules + i % w.cols / coded->granule;
      ASSERT_EQ(coded->elements[static_cast<size_t>(i)] * coded->scales[static_cast<size_t>(group)],
                w.values[static_cast<size_t>(i)]);
    }
  }
}

TEST(ChipProducts, FewerBitsLoseMore) {
  Random random(3);
  const model::Matrix w = rounded(random, 16, 256, "int4_g64");
  const auto coded = *elements_of(w, recipe::parse_linear_treatment("int4_g64")->weight);
  const std::vector<float> x = activations(random, 256);
  const auto error = [&](int64_t bits) {
    std::vector<float> y(16);
    aligned_products({16, bits}, coded, 1, x.data(), y.data(), false);
    double sum = 0;
    for (int64_t n = 0; n < 16; ++n) {
      double exact = 0;
      for (int64_t k = 0; k < 256; ++k) {
        exact += static_cast<double>(to_bf16(x[static_cast<size_t>(k)])) *
                 static_cast<double>(w.values[static_cast<size_t>(n * 256 + k)]);
      }
      sum += std::abs(exact - static_cast<double>(y[static_cast<size_t>(n)]));
    }
    return sum;
  };
  EXPECT_GT(error(16), 4 * error(20));
  EXPECT_GT(error(20), 2 * error(24));
}

TEST(ChipProducts, SaysWhatItCannotDo) {
  EXPECT_EQ(check_sums({0, 24}).error().message, "depth = 0, want 1..128");
  EXPECT_EQ(check_sums({16, 25}).error().message, "align_bits = 25, want 16..24");
  model::Matrix w = {1, 4, {1.0F, 0.5F, 0.3F, 0.7123F}};
  EXPECT_EQ(elements_of(w, recipe::parse_linear_treatment("int2")->weight).error().message,
            "row 0: values that are no codes of int2");
  EXPECT_EQ(elements_of(w, recipe::parse_linear_treatment("nvfp4")->weight).error().message,
            "nvfp4: chip sums are there for integer and bf16 weights");
}

}  // namespace
}  // namespace dovetail::host
