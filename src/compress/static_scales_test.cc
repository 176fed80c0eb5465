#include "compress/static_scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "compress/tiny_model.h"
#include "formats/activation.h"
#include "model/reference_forward.h"

namespace dovetail::compress {
namespace {

using formats::ActivationFormat;

host::Numerics static_numerics(ActivationFormat format) {
  host::Numerics numerics;
  numerics.layers.resize(3);
  for (host::LayerNumerics& layer : numerics.layers)
    for (host::InputNumerics& input : layer.linear) input.format = format;
  numerics.head.format = format;
  return numerics;
}

// The largest input of the first layer's qkv, from the embedding alone, in double.
double largest_first_input(const model::Weights& weights, const host::TokenBatch& tokens) {
  double largest = 0;
  for (const int32_t id : tokens.ids) {
    const float* row = weights.embedding.values.data() + id * weights.shape.hidden_size;
    const model::Vector x =
        model::reference_norm({row, row + weights.shape.hidden_size}, weights.layers[0].attn_norm,
                              weights.shape.rms_norm_eps);
    for (const double value : x) largest = std::max(largest, std::fabs(value));
  }
  return largest;
}

TEST(StaticScales, MapTheLargestInputOfTheTextToTheLargestCode) {
  const auto weights = tiny_weights(1);
  const auto model = host::HostModel::create(weights);
  const host::TokenBatch tokens = random_tokens(3, 40, 101, 2);
  const auto filled =
      with_static_scales(*model, static_numerics(ActivationFormat::kInt8Static), tokens);
  ASSERT_TRUE(filled.has_value()) << filled.error().message;
  EXPECT_NEAR(filled->layers[0].linear[0].static_scale, largest_first_input(*weights, tokens) / 127,
              1e-7);
  for (const host::LayerNumerics& layer : filled->layers)
    for (const host::InputNumerics& input : layer.linear) EXPECT_GT(input.static_scale, 1e-4F);
  EXPECT_GT(filled->head.static_scale, 1e-4F);
  // Pieces of another size see the same text.
  EXPECT_EQ(with_static_scales(*model, static_numerics(ActivationFormat::kInt8Static), tokens, 40)
                .value(),
            *filled);
}

// No input of the text may exceed what the scale reaches: one more pass with these scales, looking
// at what clips, would; here by the loss: INT8 static stays close to the reference.
TEST(StaticScales, MakeAModelCloseToTheReference) {
  const auto weights = tiny_weights(3);
  host::HostModel model = host::HostModel::create(weights).value();
  const host::TokenBatch tokens = random_tokens(2, 60, 101, 4);
  const auto want = model.hidden_states(tokens).value();
  const auto error_of = [&](const host::Numerics& numerics) {
    EXPECT_TRUE(model.set_numerics(numerics).has_value());
    const auto found = model.hidden_states(tokens).value();
    double squares = 0;
    for (size_t i = 0; i < want.values.size(); ++i) {
      const auto error = static_cast<double>(found.values[i] - want.values[i]);
      squares += error * error;
    }
    return std::sqrt(squares / static_cast<double>(want.values.size()));
  };
  host::Numerics filled =
      with_static_scales(model, static_numerics(ActivationFormat::kInt8Static), tokens).value();
  const double error = error_of(filled);
  EXPECT_LT(error, .1);
  EXPECT_GT(error, 1e-4);
  for (host::LayerNumerics& layer : filled.layers)
    for (host::InputNumerics& input : layer.linear) input.static_scale *= .25F;
  EXPECT_GT(error_of(filled), 2 * error);  // clipped
}

TEST(StaticScales, LeaveOtherNumericsAloneAndNameWhatIsWrong) {
  const auto model = host::HostModel::create(tiny_weights(5));
  const host::TokenBatch tokens = random_tokens(1, 8, 101, 6);
  host::Numerics numerics = static_numerics(ActivationFormat::kInt8Token);
  EXPECT_EQ(with_static_scales(*model, numerics, tokens).value(), numerics);
  numerics = static_numerics(ActivationFormat::kInt8Static);
  numerics.layers.resize(2);
  EXPECT_FALSE(with_static_scales(*model, numerics, tokens).has_value());
  EXPECT_FALSE(with_static_scales(*model, {}, {}).has_value());
}

}  // namespace
}  // namespace dovetail::compress
