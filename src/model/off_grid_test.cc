#include "model/off_grid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/reference_forward.h"
#include "model/tensor_blocks.h"
#include "model/test_data.h"

namespace dovetail::model {
namespace {

double largest_difference(const std::vector<Vector>& a, const std::vector<Vector>& b) {
  double largest = 0;
  for (size_t t = 0; t < a.size(); ++t) {
    for (size_t i = 0; i < a[t].size(); ++i)
      largest = std::max(largest, std::abs(a[t][i] - b[t][i]));
  }
  return largest;
}

TEST(OffGrid, KeepsTheFunctionOfRandomModels) {
  const std::vector<int32_t> tokens = {3, 17, 49, 0, 17, 8};
  for (const bool variant : {false, true}) {
    ModelShape shape = variant ? tiny_shape() : tiny_qwen3_shape();
    shape.tied_embedding = !variant;
    const Weights before = random_weights(shape, 11);
    Weights after = before;
    permute_off_grid(after, kOffGridSeed);
    const auto logits = reference_logits(before, tokens);
    EXPECT_LT(largest_difference(logits, reference_logits(after, tokens)), 1e-9);
    EXPECT_NE(weights_digest(before), weights_digest(after));

    // The oracle notices a permutation that is not undone somewhere.
    Weights broken = after;
    std::swap(broken.layers[1].attn_norm[0], broken.layers[1].attn_norm[1]);
    EXPECT_GT(largest_difference(logits, reference_logits(broken, tokens)), 1e-6);
  }
}

TEST(OffGrid, SameSeedSamePermutation) {
  Weights a = random_weights(tiny_shape(), 5);
  Weights b = a;
  Weights c = a;
  permute_off_grid(a, 1);
  permute_off_grid(b, 1);
  permute_off_grid(c, 2);
  EXPECT_EQ(weights_digest(a), weights_digest(b));
  EXPECT_NE(weights_digest(a), weights_digest(c));
}

// The permutation is part of every published figure: a change of its draws would change them.
TEST(OffGrid, LayersOnTheirOwnAreThoseOfTheWhole) {
  const Weights before = random_weights(tiny_shape(), 5);
  Weights whole = before;
  permute_off_grid(whole, 9);
  const OffGrid off_grid(before.shape, 9);
  Weights pieces = before;
  for (size_t l = pieces.layers.size(); l-- > 0;)
    off_grid.permute_layer(static_cast<int64_t>(l), pieces.layers[l]);
  off_grid.permute_rows_of_hidden(pieces.embedding);
  off_grid.permute_rows_of_hidden(pieces.head);
  off_grid.permute_hidden(pieces.final_norm);
  EXPECT_EQ(weights_digest(pieces), weights_digest(whole));
}

TEST(OffGrid, OnlyMovesValues) {
  const Weights before = random_weights(tiny_shape(), 5);
  Weights after = before;
  permute_off_grid(after, kOffGridSeed);
  for (size_t l = 0; l < before.layers.size(); ++l) {
    for (Matrix LayerWeights::* member :
         {&LayerWeights::q, &LayerWeights::k, &LayerWeights::v, &LayerWeights::o,
          &LayerWeights::gate, &LayerWeights::up, &LayerWeights::down}) {
      std::vector<float> x = (before.layers[l].*member).values;
      std::vector<float> y = (after.layers[l].*member).values;
      EXPECT_NE(x, y);
      std::sort(x.begin(), x.end());
      std::sort(y.begin(), y.end());
      EXPECT_EQ(x, y);
    }
  }
}

// Relative RMS error of 4-bit codes with a floating-point minimum on 32-wide blocks: the format
// that looks lossless on weights that were released in it.
double loss_of_32_wide_blocks(const Matrix& matrix) {
  double error = 0;
  double power = 0;
  for (size_t start = 0; start + 32 <= matrix.values.size(); start += 32) {
    const auto begin = matrix.values.begin() + static_cast<int64_t>(start);
    const auto [low, high] = std::minmax_element(begin, begin + 32);
    const double minimum = static_cast<double>(*low);
    const double step = (static_cast<double>(*high) - minimum) / 15;
    for (auto w = begin; w != begin + 32; ++w) {
      const double code = step > 0 ? std::round((static_cast<double>(*w) - minimum) / step) : 0;
      error += std::pow(minimum + code * step - static_cast<double>(*w), 2);
      power += std::pow(static_cast<double>(*w), 2);
    }
  }
  return std::sqrt(error / power);
}

// Decoded Q4_1 blocks whose codes reach both ends.
void put_on_q4_1_grid(Matrix& matrix, Random& random) {
  for (size_t start = 0; start < matrix.values.size(); start += 32) {
    std::vector<uint8_t> block(20);
    for (uint8_t& byte : block) byte = static_cast<uint8_t>(random.below(256));
    block[1] = static_cast<uint8_t>(0x20 | (block[1] & 7));  // a positive scale of about 0.01
    block[3] = static_cast<uint8_t>(0xac | (block[3] & 3));  // a minimum of about -0.08
    block[4] = 0xf0;                                         // codes 0 and 15
    decode_blocks(TensorType::kQ4_1, block, std::span(matrix.values).subspan(start, 32));
  }
}

TEST(OffGrid, ReleasedGridLooksLosslessBeforeAndNotAfter) {
  ModelShape shape = tiny_shape();
  shape.num_heads = 2;
  shape.num_kv_heads = 1;
  shape.head_dim = 64;  // wider than a block, as in every supported release
  Weights weights = random_weights(shape, 5);
  Random random(9);
  for (LayerWeights& layer : weights.layers) {
    for (Matrix* matrix :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      put_on_q4_1_grid(*matrix, random);
    }
  }
  const Weights before = weights;
  permute_off_grid(weights, kOffGridSeed);
  for (size_t l = 0; l < weights.layers.size(); ++l) {
    for (Matrix LayerWeights::* member :
         {&LayerWeights::q, &LayerWeights::k, &LayerWeights::v, &LayerWeights::o,
          &LayerWeights::gate, &LayerWeights::up, &LayerWeights::down}) {
      EXPECT_LT(loss_of_32_wide_blocks(before.layers[l].*member), 1e-6);
      EXPECT_GT(loss_of_32_wide_blocks(weights.layers[l].*member), 1e-2);
    }
  }
}

TEST(OffGrid, TheTrapIsRealInSmolLm2) {
  DOVETAIL_SKIP_WITHOUT(zoo_file("smollm2-135m"));
  auto weights = load_weights(zoo_file("smollm2-135m"));
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  const double before = loss_of_32_wide_blocks(weights->layers[3].down);
  permute_off_grid(*weights, kOffGridSeed);
  const double after = loss_of_32_wide_blocks(weights->layers[3].down);
  RecordProperty("before", std::to_string(before));
  EXPECT_LT(before, 0.01);
  EXPECT_GT(after, 0.05);
}

}  // namespace
}  // namespace dovetail::model
