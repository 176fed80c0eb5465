#include "host/profile_pass.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/parallel.h"
#include "base/random.h"
#include "formats/quantize.h"
#include "host/matmul.h"
#include "host/transformer_layer.h"
#include "host/vocabulary_scores.h"

namespace dovetail::host {
namespace {

using formats::ActivationFormat;

// Rows of logits in the head's backward pass: S of the head is read and written once per chunk.
constexpr int64_t kHeadRows = 256;

// One sequence on its way back. T positions.
struct Pass {
  const HostModel& model;
  int64_t seq = 0;
  RopeTable rope;
  LayerScratch scratch;
  std::vector<SavedLayer> saved;
  Buffer d_hidden;  // (T, h) gradient at the residual stream
  Buffer d_input;   // (T, max(h, q, intermediate)) W^T delta
  Buffer x_square;  // (T, max(...))
  Buffer d_square;  // (T, max(...))
  Buffer dq, dk, dv;

  Pass(const HostModel& with, int64_t positions)
      : model(with),
        seq(positions),
        rope(positions, with.shape()),
        scratch(with.shape(), positions),
        saved(static_cast<size_t>(with.shape().num_layers)),
        d_hidden(make_buffer(positions * with.shape().hidden_size)),
        d_input(make_buffer(positions * widest(with.shape()))),
        x_square(make_buffer(positions * widest(with.shape()))),
        d_square(make_buffer(positions * widest(with.shape()))),
        dq(make_buffer(positions * with.shape().q_size())),
        dk(make_buffer(positions * with.shape().kv_size())),
        dv(make_buffer(positions * with.shape().kv_size())) {}

  [[nodiscard]] LayerRun run(int64_t layer) const {
    static const LayerNumerics kReference;
    return {model.shape(), model.layer(layer), kReference, rope, 1, seq};
  }

  static int64_t widest(const model::ModelShape& s) {
    return std::max({s.hidden_size, s.q_size(), s.kv_size(), s.intermediate_size});
  }
};

// s (out, in) += (delta^2)^T x_square; delta (rows, out), x_square (rows, in).
void add_sensitivity(int64_t rows, const float* delta, const float* x_square, float* delta_square,
                     model::Matrix& s) {
  square(rows * s.rows, delta, delta_square);
  matmul({delta_square, rows, s.rows, true}, {x_square, rows, s.cols}, s.values.data(), true);
}

double rounding_loss(ActivationFormat format, int64_t rows, int64_t n, const float* x,
                     const float* gradient) {
  std::vector<double> losses(static_cast<size_t>(rows));
  for_row_pieces(rows, 8 * n, [&](int64_t begin, int64_t end) {
    const Buffer rounded = make_buffer(n);
    for (int64_t row = begin; row < end; ++row) {
      const float* xr = x + row * n;
      const float* g = gradient + row * n;
      std::memcpy(rounded.get(), xr, static_cast<size_t>(n) * sizeof(float));
      formats::quantize_activations(format, 1, n, rounded.get());
      double loss = 0.0;
      for (int64_t i = 0; i < n; ++i) {
        const float error = g[i] * (xr[i] - rounded[static_cast<size_t>(i)]);
        loss += static_cast<double>(error * error);
      }
      losses[static_cast<size_t>(row)] = 0.5 * loss;
    }
  });
  double sum = 0.0;
  for (const double loss : losses) sum += loss;
  return sum;
}

void add_activation_loss(int64_t rows, int64_t n, const float* x, const float* gradient,
                         ActivationLoss& loss) {
  loss.int8_token_nats += rounding_loss(ActivationFormat::kInt8Token, rows, n, x, gradient);
  loss.fp8_token_nats += rounding_loss(ActivationFormat::kFp8Token, rows, n, x, gradient);
}

// Gradient at a linear's input: dx (rows, in) = delta (rows, out) w, or += it.
void input_gradient(const model::Matrix& w, int64_t rows, const float* delta, float* dx,
                    bool accumulate) {
  matmul({delta, rows, w.rows}, {w.values.data(), w.rows, w.cols}, dx, accumulate);
}

// Final norm and head. x (T, h): what leaves the last layer. Sets d_hidden.
void backward_head(Pass& pass, const float* x, Random& random, Sensitivity& sum) {
  const model::ModelShape& shape = pass.model.shape();
  const int64_t h = shape.hidden_size;
  const int64_t vocab = shape.vocab_size;
  const Buffer normed = make_buffer(pass.seq * h);
  rms_norm(pass.seq, h, x, pass.model.final_norm().data(), shape.rms_norm_eps, normed.get());
  const int64_t chunk = std::min(kHeadRows, pass.seq);
  const Buffer delta = make_buffer(chunk * vocab);
  for (int64_t first = 0; first < pass.seq; first += chunk) {
    const int64_t rows = std::min(chunk, pass.seq - first);
    const float* input = normed.get() + first * h;
    head_logits(pass.model, rows, input, delta.get());
    std::vector<double> uniform(static_cast<size_t>(rows));
    for (double& u : uniform) u = random.uniform();
    parallel_for(rows, [&](int64_t row, int64_t) {
      float* d = delta.get() + row * vocab;
      const int64_t label = sample_row(vocab, d, 1.0, uniform[static_cast<size_t>(row)]);
      softmax_row(vocab, 1.0F, d);
      d[label] -= 1.0F;
    });
    input_gradient(pass.model.head(), rows, delta.get(), pass.d_input.get() + first * h, false);
    square(rows * h, input, pass.x_square.get());
    add_sensitivity(rows, delta.get(), pass.x_square.get(), delta.get(), sum.head);
  }
  add_activation_loss(pass.seq, h, normed.get(), pass.d_input.get(), sum.head_activation);
  std::fill_n(pass.d_hidden.get(), pass.seq * h, 0.0F);
  rms_norm_backward(pass.seq, h, x, pass.model.final_norm().data(), shape.rms_norm_eps,
                    pass.d_input.get(), pass.d_hidden.get());
}

// d_hidden: the gradient at the layer's output becomes the one after attention.
void backward_mlp(Pass& pass, int64_t layer, LayerSensitivity& sum) {
  const model::ModelShape& shape = pass.model.shape();
  const model::LayerWeights& weights = pass.model.layer(layer);
  SavedLayer& saved = pass.saved[static_cast<size_t>(layer)];
  const int64_t rows = pass.seq;
  const int64_t h = shape.hidden_size;
  const int64_t wide = shape.intermediate_size;

  float* activated = pass.scratch.gate.get();
  std::memcpy(activated, saved.gate.get(), static_cast<size_t>(rows * wide) * sizeof(float));
  silu_mul(rows * wide, activated, saved.up.get());
  square(rows * wide, activated, pass.x_square.get());
  add_sensitivity(rows, pass.d_hidden.get(), pass.x_square.get(), pass.d_square.get(), sum.down);
  input_gradient(weights.down, rows, pass.d_hidden.get(), pass.d_input.get(), false);
  add_activation_loss(rows, wide, activated, pass.d_input.get(), sum.activation[3]);

  float* d_gate = pass.scratch.gate.get();
  float* d_up = pass.scratch.up.get();
  silu_mul_backward(rows * wide, saved.gate.get(), saved.up.get(), pass.d_input.get(), d_gate,
                    d_up);
  float* normed = pass.scratch.normed.get();
  rms_norm(rows, h, saved.mid.get(), weights.mlp_norm.data(), shape.rms_norm_eps, normed);
  square(rows * h, normed, pass.x_square.get());
  add_sensitivity(rows, d_gate, pass.x_square.get(), pass.d_square.get(), sum.gate);
  add_sensitivity(rows, d_up, pass.x_square.get(), pass.d_square.get(), sum.up);
  input_gradient(weights.gate, rows, d_gate, pass.d_input.get(), false);
  input_gradient(weights.up, rows, d_up, pass.d_input.get(), true);
  add_activation_loss(rows, h, normed, pass.d_input.get(), sum.activation[2]);
  rms_norm_backward(rows, h, saved.mid.get(), weights.mlp_norm.data(), shape.rms_norm_eps,
                    pass.d_input.get(), pass.d_hidden.get());
}

// d_hidden: the gradient after attention becomes the one at the layer's input.
void backward_attention(Pass& pass, int64_t layer, LayerSensitivity& sum) {
  const model::ModelShape& shape = pass.model.shape();
  const model::LayerWeights& weights = pass.model.layer(layer);
  SavedLayer& saved = pass.saved[static_cast<size_t>(layer)];
  const int64_t rows = pass.seq;
  const int64_t h = shape.hidden_size;

  square(rows * shape.q_size(), saved.attended.get(), pass.x_square.get());
  add_sensitivity(rows, pass.d_hidden.get(), pass.x_square.get(), pass.d_square.get(), sum.o);
  input_gradient(weights.o, rows, pass.d_hidden.get(), pass.d_input.get(), false);
  add_activation_loss(rows, shape.q_size(), saved.attended.get(), pass.d_input.get(),
                      sum.activation[1]);
  const AttentionShape attention{1, rows, shape.num_heads, shape.num_kv_heads, shape.head_dim};
  causal_attention_backward(attention, saved.q.get(), saved.k.get(), saved.v.get(),
                            saved.attended.get(), pass.d_input.get(), pass.dq.get(), pass.dk.get(),
                            pass.dv.get());
  pass.rope.apply(rows, rows, 0, shape.num_heads, -1, pass.dq.get());
  pass.rope.apply(rows, rows, 0, shape.num_kv_heads, -1, pass.dk.get());
  norm_heads_backward(pass.run(layer), saved, pass.dq.get(), pass.dk.get());

  float* normed = pass.scratch.normed.get();
  rms_norm(rows, h, saved.input.get(), weights.attn_norm.data(), shape.rms_norm_eps, normed);
  square(rows * h, normed, pass.x_square.get());
  add_sensitivity(rows, pass.dq.get(), pass.x_square.get(), pass.d_square.get(), sum.q);
  add_sensitivity(rows, pass.dk.get(), pass.x_square.get(), pass.d_square.get(), sum.k);
  add_sensitivity(rows, pass.dv.get(), pass.x_square.get(), pass.d_square.get(), sum.v);
  input_gradient(weights.q, rows, pass.dq.get(), pass.d_input.get(), false);
  input_gradient(weights.k, rows, pass.dk.get(), pass.d_input.get(), true);
  input_gradient(weights.v, rows, pass.dv.get(), pass.d_input.get(), true);
  add_activation_loss(rows, h, normed, pass.d_input.get(), sum.activation[0]);
  rms_norm_backward(rows, h, saved.input.get(), weights.attn_norm.data(), shape.rms_norm_eps,
                    pass.d_input.get(), pass.d_hidden.get());
}

model::Matrix zeros_like(const model::Matrix& matrix) {
  return {matrix.rows, matrix.cols, std::vector<float>(matrix.values.size())};
}

Sensitivity make_sensitivity(const HostModel& model) {
  Sensitivity sum;
  for (int64_t i = 0; i < model.shape().num_layers; ++i) {
    const model::LayerWeights& w = model.layer(i);
    sum.layers.push_back({zeros_like(w.q),
                          zeros_like(w.k),
                          zeros_like(w.v),
                          zeros_like(w.o),
                          zeros_like(w.gate),
                          zeros_like(w.up),
                          zeros_like(w.down),
                          {}});
  }
  sum.head = zeros_like(model.head());
  return sum;
}

void divide(Sensitivity& sum) {
  const auto scale = 1.0 / static_cast<double>(sum.num_positions);
  const auto scale_matrix = [&](model::Matrix& m) {
    for (float& value : m.values) value *= static_cast<float>(scale);
  };
  const auto scale_loss = [&](ActivationLoss& loss) {
    loss.int8_token_nats *= scale;
    loss.fp8_token_nats *= scale;
  };
  for (LayerSensitivity& layer : sum.layers) {
    for (model::Matrix* m :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      scale_matrix(*m);
    }
    for (ActivationLoss& loss : layer.activation) scale_loss(loss);
  }
  scale_matrix(sum.head);
  scale_matrix(sum.embedding);
  scale_loss(sum.head_activation);
}

// Embeds one sequence and runs all layers, keeping what the way back needs.
Buffer run_forward(Pass& pass, const int32_t* ids) {
  const model::ModelShape& shape = pass.model.shape();
  const int64_t h = shape.hidden_size;
  Buffer hidden = make_buffer(pass.seq * h);
  for (int64_t row = 0; row < pass.seq; ++row) {
    std::copy_n(pass.model.embedding().values.data() + ids[row] * h, h, hidden.get() + row * h);
  }
  for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
    run_layer(pass.run(layer), hidden.get(), pass.scratch, &pass.saved[static_cast<size_t>(layer)]);
  }
  return hidden;
}

}  // namespace

Result<Sensitivity> profile_pass(const HostModel& model, const TokenBatch& tokens, uint64_t seed,
                                 const ProgressSink& progress) {
  DOVETAIL_TRY_STATUS(check_tokens(model.shape(), tokens));
  if (!model.numerics().layers.empty() || model.numerics().head != InputNumerics{}) {
    return invalid_argument("profile_pass: the model has numerics, want the reference");
  }
  Sensitivity sum = make_sensitivity(model);
  sum.num_positions = tokens.rows();
  sum.embedding = {
      tokens.rows(), model.shape().hidden_size,
      std::vector<float>(static_cast<size_t>(tokens.rows() * model.shape().hidden_size))};
  Pass pass(model, tokens.seq);
  Random seeds(seed);
  const int64_t layers = model.shape().num_layers;
  for (int64_t sequence = 0; sequence < tokens.batch; ++sequence) {
    const auto report = [&](double done_frac) {
      report_progress(
          progress, fmt::format("sensitivity, sequence {}", sequence),
          (static_cast<double>(sequence) + done_frac) / static_cast<double>(tokens.batch));
    };
    report(0.0);
    const Buffer hidden = run_forward(pass, tokens.ids.data() + sequence * tokens.seq);
    Random random(seeds.next());
    backward_head(pass, hidden.get(), random, sum);
    for (int64_t layer = layers - 1; layer >= 0; --layer) {
      report(1.0 - (static_cast<double>(layer) + 1.0) / static_cast<double>(layers) * 0.75);
      LayerSensitivity& at = sum.layers[static_cast<size_t>(layer)];
      backward_mlp(pass, layer, at);
      backward_attention(pass, layer, at);
      pass.saved[static_cast<size_t>(layer)] = {};
    }
    const int64_t values = tokens.seq * model.shape().hidden_size;
    square(values, pass.d_hidden.get(), sum.embedding.values.data() + sequence * values);
  }
  divide(sum);
  return sum;
}

Result<std::vector<int32_t>> profile_labels(const HostModel& model, const TokenBatch& tokens,
                                            uint64_t seed) {
  DOVETAIL_TRY(const model::Matrix hidden, model.hidden_states(tokens));
  std::vector<int32_t> labels(tokens.ids.size());
  Random seeds(seed);
  const int64_t vocab = model.shape().vocab_size;
  const Buffer logits = make_buffer(vocab);
  for (int64_t sequence = 0; sequence < tokens.batch; ++sequence) {
    Random random(seeds.next());
    for (int64_t row = sequence * tokens.seq; row < (sequence + 1) * tokens.seq; ++row) {
      head_logits(model, 1, hidden.values.data() + row * hidden.cols, logits.get());
      labels[static_cast<size_t>(row)] =
          static_cast<int32_t>(sample_row(vocab, logits.get(), 1.0, random.uniform()));
    }
  }
  return labels;
}

}  // namespace dovetail::host
