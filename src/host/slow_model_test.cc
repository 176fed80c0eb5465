#include "host/slow_model.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/random.h"
#include "formats/activation.h"
#include "formats/codec.h"
#include "formats/kv_cache.h"

namespace dovetail::host {
namespace {

using Row = std::vector<double>;

std::vector<float> random_values(int64_t count, double scale, Random& random) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    // The sum of four uniforms is bell-shaped enough.
    double sum = -2.0;
    for (int j = 0; j < 4; ++j) sum += random.uniform();
    values.push_back(static_cast<float>(sum * scale));
  }
  return values;
}

model::Matrix random_matrix(int64_t rows, int64_t cols, double scale, Random& random) {
  return {rows, cols, random_values(rows * cols, scale, random)};
}

std::vector<float> random_gain(int64_t count, Random& random) {
  std::vector<float> values = random_values(count, 0.4, random);
  for (float& value : values) value += 1.0F;
  return values;
}

template <typename Round>
void round_row(double* x, size_t n, const Round& round) {
  std::vector<float> values(x, x + n);
  round(values);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<double>(values[i]);
}

void round_activation_row(formats::ActivationFormat format, double* x, size_t n,
                          float static_scale = 0) {
  if (format == formats::ActivationFormat::kBf16) return;
  round_row(x, n, [&](std::vector<float>& v) {
    v = formats::decode_token(
        format, formats::encode_token(format, static_scale, static_cast<int64_t>(n), v.data()));
  });
}

// Each block times the explicit matrix (-1)^popcount(i & j) / sqrt(block).
void turn_row(int64_t block, double* x, size_t n) {
  if (block == 0) return;
  const auto size = static_cast<size_t>(block);
  for (size_t begin = 0; begin < n; begin += size) {
    const Row from(x + begin, x + begin + size);
    for (size_t i = 0; i < size; ++i) {
      double sum = 0.0;
      for (size_t j = 0; j < size; ++j) sum += std::popcount(i & j) % 2 == 0 ? from[j] : -from[j];
      x[begin + i] = sum / std::sqrt(static_cast<double>(block));
    }
  }
}

void treat_row(const InputNumerics& input, double* x, size_t n) {
  turn_row(input.hadamard, x, n);
  round_activation_row(input.format, x, n, input.static_scale);
}

// A group of the golden codec.
void round_kv_row(formats::KvFormat format, double* x, size_t n) {
  if (format == formats::KvFormat::kBf16) return;
  const formats::WeightFormat& row = formats::kv_facts(format).row;
  round_row(x, n, [&](std::vector<float>& v) {
    v = formats::decode_rows(formats::encode_rows(row, {.scale = formats::plain_rule(row)}, 1,
                                                  static_cast<int64_t>(n), v.data()))
            .value();
  });
}

// What a query sees of the keys so far: of formats per channel every whole group rounded, channel
// by channel, and the rest as it is.
DoubleRows visible_keys(formats::KvFormat format, DoubleRows keys) {
  const auto tokens = static_cast<size_t>(formats::kv_facts(format).channel_tokens);
  if (tokens == 0) return keys;
  for (size_t begin = 0; begin + tokens <= keys.size(); begin += tokens)
    for (size_t channel = 0; channel < keys[0].size(); ++channel) {
      Row group;
      for (size_t t = 0; t < tokens; ++t) group.push_back(keys[begin + t][channel]);
      round_kv_row(format, group.data(), tokens);
      for (size_t t = 0; t < tokens; ++t) keys[begin + t][channel] = group[t];
    }
  return keys;
}

Row norm(const Row& x, const std::vector<float>& gain, double eps) {
  double mean = 0.0;
  for (const double value : x) mean += value * value / static_cast<double>(x.size());
  Row y;
  for (size_t i = 0; i < x.size(); ++i) {
    y.push_back(x[i] / std::sqrt(mean + eps) * static_cast<double>(gain[i]));
  }
  return y;
}

void norm_each_head(const std::vector<float>& gain, double eps, Row& x) {
  const auto d = static_cast<int64_t>(gain.size());
  for (auto head = x.begin(); d > 0 && head != x.end(); head += d)
    std::ranges::copy(norm(Row(head, head + d), gain, eps), head);
}

struct Slow {
  const model::Weights& weights;
  const SlowProbe& probe;
  SlowRun run;

  Row linear(SlowLinear which, int64_t layer, int64_t position, const model::Matrix& w,
             const std::vector<float>& bias, const Row& x) {
    auto& inputs = run.inputs[static_cast<size_t>(layer * 8) + static_cast<size_t>(which)];
    inputs.push_back(x);
    Row y;
    for (int64_t i = 0; i < w.rows; ++i) {
      double sum = bias.empty() ? 0.0 : static_cast<double>(bias[static_cast<size_t>(i)]);
      for (int64_t j = 0; j < w.cols; ++j) {
        sum += static_cast<double>(w.values[static_cast<size_t>(i * w.cols + j)]) *
               x[static_cast<size_t>(j)];
      }
      y.push_back(sum);
    }
    if (probe.layer == layer && probe.linear == which && probe.position == position) {
      y[static_cast<size_t>(probe.output)] += probe.amount;
    }
    return y;
  }

  void rope(Row& x, int64_t heads, int64_t position) const {
    const auto half = static_cast<size_t>(weights.shape.head_dim / 2);
    for (size_t head = 0; head < static_cast<size_t>(heads); ++head) {
      for (size_t i = 0; i < half; ++i) {
        double angle =
            static_cast<double>(position) *
            std::pow(weights.shape.rope_theta, -static_cast<double>(i) / static_cast<double>(half));
        if (!weights.shape.rope_divisors.empty())
          angle /= static_cast<double>(weights.shape.rope_divisors[i]);
        double& a = x[head * 2 * half + i];
        double& b = x[head * 2 * half + half + i];
        const double turned = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = turned;
      }
    }
  }
};

// Attention of one query row against all keys so far.
Row attend(const model::ModelShape& s, formats::ActivationFormat format, const Row& q,
           const DoubleRows& keys, const DoubleRows& values) {
  Row out(static_cast<size_t>(s.q_size()));
  const auto d = static_cast<size_t>(s.head_dim);
  for (size_t head = 0; head < static_cast<size_t>(s.num_heads); ++head) {
    const size_t kv = head * static_cast<size_t>(s.num_kv_heads) / static_cast<size_t>(s.num_heads);
    Row p;
    double total = 0.0;
    for (const Row& key : keys) {
      double score = 0.0;
      for (size_t i = 0; i < d; ++i) score += q[head * d + i] * key[kv * d + i];
      p.push_back(std::exp(score / std::sqrt(static_cast<double>(d))));
      total += p.back();
    }
    for (double& value : p) value /= total;
    round_activation_row(format, p.data(), p.size());
    for (size_t t = 0; t < p.size(); ++t) {
      for (size_t i = 0; i < d; ++i) out[head * d + i] += p[t] * values[t][kv * d + i];
    }
  }
  return out;
}

void slow_layer(Slow& slow, int64_t layer, const LayerNumerics& numerics, DoubleRows& stream) {
  const model::ModelShape& s = slow.weights.shape;
  const model::LayerWeights& w = slow.weights.layers[static_cast<size_t>(layer)];
  DoubleRows keys, values;
  for (size_t t = 0; t < stream.size(); ++t) {
    const auto position = static_cast<int64_t>(t);
    Row x = norm(stream[t], w.attn_norm, s.rms_norm_eps);
    treat_row(numerics.linear[0], x.data(), x.size());
    Row q = slow.linear(SlowLinear::kQ, layer, position, w.q, w.q_bias, x);
    Row k = slow.linear(SlowLinear::kK, layer, position, w.k, w.k_bias, x);
    Row v = slow.linear(SlowLinear::kV, layer, position, w.v, w.v_bias, x);
    norm_each_head(w.q_norm, s.rms_norm_eps, q);
    norm_each_head(w.k_norm, s.rms_norm_eps, k);
    slow.rope(q, s.num_heads, position);
    slow.rope(k, s.num_kv_heads, position);
    const auto d = static_cast<size_t>(s.head_dim);
    const recipe::KvTreatment& kv = numerics.kv;
    turn_row(kv.hadamard, q.data(), q.size());
    turn_row(kv.hadamard, k.data(), k.size());
    for (size_t i = 0; i < q.size(); i += d) round_activation_row(kv.query, &q[i], d);
    for (size_t i = 0; i < k.size() && !formats::is_per_channel(kv.keys); i += d)
      round_kv_row(kv.keys, &k[i], d);
    for (size_t i = 0; i < v.size(); i += d) round_kv_row(kv.values, &v[i], d);
    keys.push_back(k);
    values.push_back(v);
    Row attended = attend(s, kv.query, q, visible_keys(kv.keys, keys), values);
    treat_row(numerics.linear[1], attended.data(), attended.size());
    const Row o = slow.linear(SlowLinear::kO, layer, position, w.o, {}, attended);
    for (size_t i = 0; i < o.size(); ++i) stream[t][i] += o[i];

    Row y = norm(stream[t], w.mlp_norm, s.rms_norm_eps);
    treat_row(numerics.linear[2], y.data(), y.size());
    const Row gate = slow.linear(SlowLinear::kGate, layer, position, w.gate, {}, y);
    const Row up = slow.linear(SlowLinear::kUp, layer, position, w.up, {}, y);
    Row activated;
    for (size_t i = 0; i < gate.size(); ++i) {
      activated.push_back(gate[i] / (1.0 + std::exp(-gate[i])) * up[i]);
    }
    treat_row(numerics.linear[3], activated.data(), activated.size());
    const Row down = slow.linear(SlowLinear::kDown, layer, position, w.down, {}, activated);
    for (size_t i = 0; i < down.size(); ++i) stream[t][i] += down[i];
  }
}

}  // namespace

SlowRun slow_forward(const model::Weights& weights, const Numerics& numerics,
                     const std::vector<int32_t>& ids, const SlowProbe& probe) {
  const model::ModelShape& s = weights.shape;
  Slow slow{weights, probe, {}};
  slow.run.inputs.resize(static_cast<size_t>(s.num_layers * 8));
  DoubleRows stream;
  for (const int32_t id : ids) {
    const float* row = weights.embedding.values.data() + id * s.hidden_size;
    stream.emplace_back(row, row + s.hidden_size);
  }
  for (int64_t layer = 0; layer < s.num_layers; ++layer) {
    const LayerNumerics treated =
        numerics.layers.empty() ? LayerNumerics{} : numerics.layers[static_cast<size_t>(layer)];
    slow_layer(slow, layer, treated, stream);
  }
  for (size_t t = 0; t < stream.size(); ++t) {
    Row x = norm(stream[t], weights.final_norm, s.rms_norm_eps);
    treat_row(numerics.head, x.data(), x.size());
    slow.run.logits.push_back(
        slow.linear(SlowLinear::kHead, 0, static_cast<int64_t>(t), weights.head_matrix(), {}, x));
  }
  return std::move(slow.run);
}

double slow_log_probability(const std::vector<double>& x, int64_t i) {
  double largest = x[0];
  for (const double value : x) largest = std::max(largest, value);
  double total = 0.0;
  for (const double value : x) total += std::exp(value - largest);
  return x[static_cast<size_t>(i)] - largest - std::log(total);
}

model::Weights make_tiny_weights(const TinyModel& t, uint64_t seed) {
  Random random(seed);
  model::Weights w;
  w.shape = {.family = t.qk_norm ? model::Family::kQwen3
                       : t.bias  ? model::Family::kQwen2
                                 : model::Family::kLlama,
             .name = "tiny",
             .num_layers = t.num_layers,
             .hidden_size = t.hidden,
             .intermediate_size = t.intermediate,
             .num_heads = t.heads,
             .num_kv_heads = t.kv_heads,
             .head_dim = t.head_dim,
             .vocab_size = t.vocab,
             .max_positions = 1024,
             .rope_theta = 10000.0,
             .rope_divisors = t.rope_divisors,
             .rms_norm_eps = 1e-5,
             .tied_embedding = t.tied,
             .qkv_bias = t.bias,
             .qk_norm = t.qk_norm};
  const double scale = 1.5 / std::sqrt(static_cast<double>(t.hidden));
  w.embedding = random_matrix(t.vocab, t.hidden, 2.0 * scale, random);
  if (!t.tied) w.head = random_matrix(t.vocab, t.hidden, 2.0 * scale, random);
  w.final_norm = random_gain(t.hidden, random);
  for (int64_t i = 0; i < t.num_layers; ++i) {
    model::LayerWeights layer;
    layer.q = random_matrix(w.shape.q_size(), t.hidden, scale, random);
    layer.k = random_matrix(w.shape.kv_size(), t.hidden, scale, random);
    layer.v = random_matrix(w.shape.kv_size(), t.hidden, scale, random);
    layer.o = random_matrix(t.hidden, w.shape.q_size(), scale, random);
    layer.gate = random_matrix(t.intermediate, t.hidden, scale, random);
    layer.up = random_matrix(t.intermediate, t.hidden, scale, random);
    layer.down = random_matrix(t.hidden, t.intermediate, scale, random);
    if (t.bias) {
      layer.q_bias = random_values(w.shape.q_size(), 0.5, random);
      layer.k_bias = random_values(w.shape.kv_size(), 0.5, random);
      layer.v_bias = random_values(w.shape.kv_size(), 0.5, random);
    }
    if (t.qk_norm) {
      layer.q_norm = random_gain(t.head_dim, random);
      layer.k_norm = random_gain(t.head_dim, random);
    }
    layer.attn_norm = random_gain(t.hidden, random);
    layer.mlp_norm = random_gain(t.hidden, random);
    w.layers.push_back(std::move(layer));
  }
  return w;
}

std::vector<int32_t> random_ids(int64_t count, int64_t vocab, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.below(vocab)));
  return ids;
}

}  // namespace dovetail::host
