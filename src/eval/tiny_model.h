// Tests only: a small Llama with random weights and tokens to run it on.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "host/host_model.h"
#include "model/model.h"

namespace dovetail::eval {

// About normal (the sum of 12 uniforms), standard deviation `sigma`.
inline std::vector<float> random_values(int64_t count, double sigma, Random& random) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random.uniform();
    value = static_cast<float>(sigma * sum);
  }
  return values;
}

inline model::Matrix random_matrix(int64_t rows, int64_t cols, double gain, Random& random) {
  return {rows, cols,
          random_values(rows * cols, gain / std::sqrt(static_cast<double>(cols)), random)};
}

inline std::shared_ptr<const model::Weights> tiny_weights(uint64_t seed, bool tied = true) {
  Random random(seed);
  model::Weights weights;
  model::ModelShape& s = weights.shape;
  s.name = "tiny";
  s.num_layers = 3;
  s.hidden_size = 64;
  s.intermediate_size = 96;
  s.num_heads = 4;
  s.num_kv_heads = 2;
  s.head_dim = 16;
  s.vocab_size = 101;
  s.max_positions = 512;
  s.tied_embedding = tied;
  weights.embedding = random_matrix(s.vocab_size, s.hidden_size, 2.0, random);
  if (!tied) weights.head = random_matrix(s.vocab_size, s.hidden_size, 2.0, random);
  weights.final_norm.assign(static_cast<size_t>(s.hidden_size), 1.0F);
  for (int64_t i = 0; i < s.num_layers; ++i) {
    model::LayerWeights& layer = weights.layers.emplace_back();
    layer.q = random_matrix(s.q_size(), s.hidden_size, 1.5, random);
    layer.k = random_matrix(s.kv_size(), s.hidden_size, 1.5, random);
    layer.v = random_matrix(s.kv_size(), s.hidden_size, 1.0, random);
    layer.o = random_matrix(s.hidden_size, s.q_size(), 0.5, random);
    layer.gate = random_matrix(s.intermediate_size, s.hidden_size, 1.0, random);
    layer.up = random_matrix(s.intermediate_size, s.hidden_size, 1.0, random);
    layer.down = random_matrix(s.hidden_size, s.intermediate_size, 0.5, random);
    layer.attn_norm.assign(static_cast<size_t>(s.hidden_size), 1.0F);
    layer.mlp_norm.assign(static_cast<size_t>(s.hidden_size), 1.0F);
  }
  return std::make_shared<const model::Weights>(std::move(weights));
}

inline host::TokenBatch random_tokens(int64_t batch, int64_t seq, int64_t vocab, uint64_t seed) {
  Random random(seed);
  host::TokenBatch tokens{.batch = batch, .seq = seq, .ids = {}};
  for (int64_t i = 0; i < tokens.rows(); ++i) {
    tokens.ids.push_back(static_cast<int32_t>(random.below(vocab)));
  }
  return tokens;
}

}  // namespace dovetail::eval
