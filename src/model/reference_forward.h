// The slow, obvious forward pass in double precision, for tests only. Shares no code with host/.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "model/model.h"

namespace dovetail::model {

using Vector = std::vector<double>;

inline Vector reference_linear(const Matrix& w, const Vector& x,
                               const std::vector<float>& bias = {}) {
  Vector y(static_cast<size_t>(w.rows));
  for (size_t row = 0; row < y.size(); ++row) {
    y[row] = bias.empty() ? 0.0 : static_cast<double>(bias[row]);
    for (size_t col = 0; col < x.size(); ++col) {
      y[row] += static_cast<double>(w.values[row * x.size() + col]) * x[col];
    }
  }
  return y;
}

inline Vector reference_norm(const Vector& x, const std::vector<float>& gain, double eps) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * static_cast<double>(gain[i]);
  return y;
}

// The same over every head on its own. No gain: x stays as it is.
inline Vector reference_head_norm(const Vector& x, const std::vector<float>& gain, double eps) {
  if (gain.empty()) return x;
  Vector y;
  for (auto head = x.begin(); head != x.end(); head += static_cast<int64_t>(gain.size())) {
    const Vector normed =
        reference_norm(Vector(head, head + static_cast<int64_t>(gain.size())), gain, eps);
    y.insert(y.end(), normed.begin(), normed.end());
  }
  return y;
}

// Rotates channels i and i + head_dim / 2 of each head.
inline void reference_rope(Vector& x, int64_t position, const ModelShape& shape) {
  const int64_t half = shape.head_dim / 2;
  for (size_t start = 0; start < x.size(); start += static_cast<size_t>(shape.head_dim)) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) *
          std::pow(shape.rope_theta, -static_cast<double>(i) / static_cast<double>(half)) /
          (shape.rope_divisors.empty()
               ? 1.0
               : static_cast<double>(shape.rope_divisors[static_cast<size_t>(i)]));
      double& a = x[start + static_cast<size_t>(i)];
      double& b = x[start + static_cast<size_t>(i + half)];
      const double rotated = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = rotated;
    }
  }
}

// Attention of the last position over all cached ones.
inline Vector reference_attention(const Vector& q, const std::vector<Vector>& keys,
                                  const std::vector<Vector>& values, const ModelShape& shape) {
  const auto dim = static_cast<size_t>(shape.head_dim);
  Vector out(q.size(), 0.0);
  for (size_t head = 0; head < static_cast<size_t>(shape.num_heads); ++head) {
    const size_t kv = head / static_cast<size_t>(shape.num_heads / shape.num_kv_heads);
    Vector weight(keys.size());
    double total = 0;
    for (size_t t = 0; t < keys.size(); ++t) {
      double dot = 0;
      for (size_t i = 0; i < dim; ++i) dot += q[head * dim + i] * keys[t][kv * dim + i];
      weight[t] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
      total += weight[t];
    }
    for (size_t t = 0; t < keys.size(); ++t) {
      for (size_t i = 0; i < dim; ++i) {
        out[head * dim + i] += weight[t] / total * values[t][kv * dim + i];
      }
    }
  }
  return out;
}

// Logits of every position: (tokens, vocab).
inline std::vector<Vector> reference_logits(const Weights& w, const std::vector<int32_t>& tokens) {
  const ModelShape& s = w.shape;
  std::vector<std::vector<Vector>> keys(w.layers.size());
  std::vector<std::vector<Vector>> values(w.layers.size());
  std::vector<Vector> logits;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const float* row = w.embedding.values.data() + int64_t{tokens[t]} * s.hidden_size;
    Vector x(row, row + s.hidden_size);
    for (size_t l = 0; l < w.layers.size(); ++l) {
      const LayerWeights& layer = w.layers[l];
      const Vector h = reference_norm(x, layer.attn_norm, s.rms_norm_eps);
      Vector q = reference_linear(layer.q, h, layer.q_bias);
      Vector k = reference_linear(layer.k, h, layer.k_bias);
      q = reference_head_norm(q, layer.q_norm, s.rms_norm_eps);
      k = reference_head_norm(k, layer.k_norm, s.rms_norm_eps);
      reference_rope(q, static_cast<int64_t>(t), s);
      reference_rope(k, static_cast<int64_t>(t), s);
      keys[l].push_back(k);
      values[l].push_back(reference_linear(layer.v, h, layer.v_bias));
      const Vector attention =
          reference_linear(layer.o, reference_attention(q, keys[l], values[l], s));
      for (size_t i = 0; i < x.size(); ++i) x[i] += attention[i];
      const Vector m = reference_norm(x, layer.mlp_norm, s.rms_norm_eps);
      Vector gate = reference_linear(layer.gate, m);
      const Vector up = reference_linear(layer.up, m);
      for (size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      const Vector mlp = reference_linear(layer.down, gate);
      for (size_t i = 0; i < x.size(); ++i) x[i] += mlp[i];
    }
    logits.push_back(
        reference_linear(w.head_matrix(), reference_norm(x, w.final_norm, s.rms_norm_eps)));
  }
  return logits;
}

inline void fill_random(std::vector<float>& values, size_t count, double scale, Random& random) {
  values.resize(count);
  for (float& value : values) value = static_cast<float>(scale * (2 * random.uniform() - 1));
}

inline void fill_random(Matrix& matrix, int64_t rows, int64_t cols, Random& random) {
  matrix.rows = rows;
  matrix.cols = cols;
  fill_random(matrix.values, static_cast<size_t>(rows * cols), 0.3, random);
}

// A random model of the given shape; every count in it must be set.
inline Weights random_weights(const ModelShape& s, uint64_t seed) {
  Random random(seed);
  Weights w;
  w.shape = s;
  const auto hidden = static_cast<size_t>(s.hidden_size);
  fill_random(w.embedding, s.vocab_size, s.hidden_size, random);
  if (!s.tied_embedding) fill_random(w.head, s.vocab_size, s.hidden_size, random);
  fill_random(w.final_norm, hidden, 2.0, random);
  w.layers.resize(static_cast<size_t>(s.num_layers));
  for (LayerWeights& layer : w.layers) {
    fill_random(layer.q, s.q_size(), s.hidden_size, random);
    fill_random(layer.k, s.kv_size(), s.hidden_size, random);
    fill_random(layer.v, s.kv_size(), s.hidden_size, random);
    fill_random(layer.o, s.hidden_size, s.q_size(), random);
    fill_random(layer.gate, s.intermediate_size, s.hidden_size, random);
    fill_random(layer.up, s.intermediate_size, s.hidden_size, random);
    fill_random(layer.down, s.hidden_size, s.intermediate_size, random);
    fill_random(layer.attn_norm, hidden, 2.0, random);
    fill_random(layer.mlp_norm, hidden, 2.0, random);
    if (s.qk_norm) {
      fill_random(layer.q_norm, static_cast<size_t>(s.head_dim), 2.0, random);
      fill_random(layer.k_norm, static_cast<size_t>(s.head_dim), 2.0, random);
    }
    if (!s.qkv_bias) continue;
    fill_random(layer.q_bias, static_cast<size_t>(s.q_size()), 1.0, random);
    fill_random(layer.k_bias, static_cast<size_t>(s.kv_size()), 1.0, random);
    fill_random(layer.v_bias, static_cast<size_t>(s.kv_size()), 1.0, random);
  }
  return w;
}

// Two layers, grouped queries, biases, its own head.
inline ModelShape tiny_shape() {
  ModelShape s;
  s.family = Family::kQwen2;
  s.name = "tiny";
  s.num_layers = 2;
  s.hidden_size = 64;
  s.intermediate_size = 96;
  s.num_heads = 4;
  s.num_kv_heads = 2;
  s.head_dim = 16;
  s.vocab_size = 50;
  s.max_positions = 64;
  s.tied_embedding = false;
  s.qkv_bias = true;
  return s;
}

// The same with normed queries and keys instead of biases, and heads wider than hidden / heads.
inline ModelShape tiny_qwen3_shape() {
  ModelShape s = tiny_shape();
  s.family = Family::kQwen3;
  s.qkv_bias = false;
  s.qk_norm = true;
  s.head_dim = 24;
  return s;
}

}  // namespace dovetail::model
