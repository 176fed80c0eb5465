#include "host/layer_backward.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/random.h"
#include "model/reference_forward.h"

namespace dovetail::host {
namespace {

constexpr int64_t kBatch = 2;
constexpr int64_t kSeq = 6;

using model::Vector;

// One layer over one sequence in double, token by token; the pieces are those of model/.
std::vector<Vector> reference_layer(const model::ModelShape& s, const model::LayerWeights& w,
                                    std::vector<Vector> stream) {
  std::vector<Vector> keys;
  std::vector<Vector> values;
  for (size_t t = 0; t < stream.size(); ++t) {
    Vector& x = stream[t];
    const Vector h = model::reference_norm(x, w.attn_norm, s.rms_norm_eps);
    Vector q = model::reference_linear(w.q, h, w.q_bias);
    Vector k = model::reference_linear(w.k, h, w.k_bias);
    q = model::reference_head_norm(q, w.q_norm, s.rms_norm_eps);
    k = model::reference_head_norm(k, w.k_norm, s.rms_norm_eps);
    model::reference_rope(q, static_cast<int64_t>(t), s);
    model::reference_rope(k, static_cast<int64_t>(t), s);
    keys.push_back(k);
    values.push_back(model::reference_linear(w.v, h, w.v_bias));
    const Vector attended =
        model::reference_linear(w.o, model::reference_attention(q, keys, values, s));
    for (size_t i = 0; i < x.size(); ++i) x[i] += attended[i];
    const Vector m = model::reference_norm(x, w.mlp_norm, s.rms_norm_eps);
    Vector gate = model::reference_linear(w.gate, m);
    const Vector up = model::reference_linear(w.up, m);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
    const Vector mlp = model::reference_linear(w.down, gate);
    for (size_t i = 0; i < x.size(); ++i) x[i] += mlp[i];
  }
  return stream;
}

struct Case {
  model::ModelShape shape;
  model::LayerWeights weights;
  std::vector<float> input;  // (b * s, h)
  std::vector<float> pull;   // (b * s, h): the loss is sum pull * output
};

Case make_case(const model::ModelShape& shape = model::tiny_shape()) {
  Case made;
  made.shape = shape;
  made.shape.hidden_size = 12;
  made.shape.intermediate_size = 20;
  made.shape.num_heads = 4;
  made.shape.num_kv_heads = 2;
  made.shape.head_dim = 6;
  made.weights = model::random_weights(made.shape, 5).layers[1];
  Random random(6);
  const auto count = static_cast<size_t>(kBatch * kSeq * made.shape.hidden_size);
  model::fill_random(made.input, count, 1.5, random);
  model::fill_random(made.pull, count, 1.0, random);
  return made;
}

double loss(const Case& c) {
  const auto h = static_cast<size_t>(c.shape.hidden_size);
  double sum = 0;
  for (size_t sequence = 0; sequence < kBatch; ++sequence) {
    std::vector<Vector> stream;
    for (size_t t = 0; t < kSeq; ++t) {
      const float* row = c.input.data() + (sequence * kSeq + t) * h;
      stream.emplace_back(row, row + h);
    }
    stream = reference_layer(c.shape, c.weights, stream);
    for (size_t t = 0; t < kSeq; ++t)
      for (size_t i = 0; i < h; ++i)
        sum += stream[t][i] * static_cast<double>(c.pull[(sequence * kSeq + t) * h + i]);
  }
  return sum;
}

double central_difference(const Case& c, float& value) {
  constexpr float kStep = 0x1p-9F;
  const float before = value;
  value = before + kStep;
  const double up_at = value;
  const double up = loss(c);
  value = before - kStep;
  const double down_at = value;
  const double down = loss(c);
  value = before;
  return (up - down) / (up_at - down_at);
}

struct Found {
  model::LayerWeights gradient;
  std::vector<float> d_input;
};

Found run_backward(const Case& c, bool to_input, const LayerNumerics& numerics = {}) {
  const RopeTable rope(kSeq, c.shape);
  const LayerRun run{c.shape, c.weights, numerics, rope, kBatch, kSeq};
  LayerScratch forward(c.shape, run.rows());
  SavedLayer saved;
  std::vector<float> hidden = c.input;
  run_layer(run, hidden.data(), forward, &saved);
  BackwardScratch scratch(c.shape, run.rows());
  Found found{make_gradient(c.weights), c.pull};
  layer_backward(run, saved, scratch, found.d_input.data(), found.gradient, to_input);
  return found;
}

constexpr std::array kLinears = {&model::LayerWeights::q,    &model::LayerWeights::k,
                                 &model::LayerWeights::v,    &model::LayerWeights::o,
                                 &model::LayerWeights::gate, &model::LayerWeights::up,
                                 &model::LayerWeights::down};

void expect_central_differences(Case c) {
  const Found found = run_backward(c, true);
  for (size_t linear = 0; linear < kLinears.size(); ++linear) {
    std::vector<float>& w = (c.weights.*kLinears[linear]).values;
    const std::vector<float>& gradient = (found.gradient.*kLinears[linear]).values;
    ASSERT_EQ(gradient.size(), w.size());
    for (size_t i = 0; i < w.size(); i += 3) {
      const double want = central_difference(c, w[i]);
      EXPECT_NEAR(static_cast<double>(gradient[i]), want, 3e-4 * (1 + std::fabs(want)))
          << "linear " << linear << " weight " << i;
    }
  }
  for (size_t i = 0; i < c.input.size(); ++i) {
    const double want = central_difference(c, c.input[i]);
    EXPECT_NEAR(static_cast<double>(found.d_input[i]), want, 3e-4 * (1 + std::fabs(want)))
        << "input " << i;
  }
}

TEST(LayerBackward, GradientsAreCentralDifferencesOfTheLossInDouble) {
  expect_central_differences(make_case());
  expect_central_differences(make_case(model::tiny_qwen3_shape()));
}

TEST(LayerBackward, WithoutTheInputTheOtherGradientsStay) {
  const Case c = make_case();
  const Found all = run_backward(c, true);
  const Found linears = run_backward(c, false);
  for (const auto linear : kLinears)
    EXPECT_EQ((all.gradient.*linear).values, (linears.gradient.*linear).values);
}

// What multiplies a weight in the forward pass is what its gradient counts: the rounded input.
TEST(LayerBackward, RoundedInputsOfALinearAreThoseOfItsGradient) {
  const Case c = make_case();
  LayerNumerics numerics;
  numerics.linear[3].format = formats::ActivationFormat::kInt8Token;
  const Found found = run_backward(c, false, numerics);
  const RopeTable rope(kSeq, c.shape);
  const LayerRun run{c.shape, c.weights, numerics, rope, kBatch, kSeq};
  LayerScratch scratch(c.shape, run.rows());
  std::vector<float> hidden = c.input;
  run_layer(run, hidden.data(), scratch);  // scratch.gate: the rounded input of down
  const int64_t wide = c.shape.intermediate_size;
  for (int64_t i = 0; i < c.shape.hidden_size; ++i)
    for (int64_t j = 0; j < wide; ++j) {
      double want = 0;
      for (int64_t row = 0; row < run.rows(); ++row)
        want += static_cast<double>(c.pull[static_cast<size_t>(row * c.shape.hidden_size + i)]) *
                static_cast<double>(scratch.gate[static_cast<size_t>(row * wide + j)]);
      EXPECT_NEAR(
          static_cast<double>(found.gradient.down.values[static_cast<size_t>(i * wide + j)]), want,
          1e-4 * (1 + std::fabs(want)));
    }
}

}  // namespace
}  // namespace dovetail::host
