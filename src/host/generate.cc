// Generation: every sequence of the batch is at the same position in every step, so each step is
// one small-batch pass through all layers. Prompts run through the same steps beyond their common
// length.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>

#include <fmt/format.h>

#include "base/parallel.h"
#include "base/random.h"
#include "formats/kv_cache.h"
#include "host/few_rows_matmul.h"
#include "host/host_model.h"
#include "host/transformer_layer.h"
#include "host/vocabulary_scores.h"

namespace dovetail::host {
namespace {

// Keys are kept transposed, (b, kv_heads, d, capacity), so that scores run along the positions;
// values as (b, kv_heads, capacity, d).
struct LayerCache {
  Buffer keys;
  Buffer values;
};

struct Decoder {
  const HostModel& model;
  int64_t batch = 0;
  int64_t capacity = 0;
  RopeTable rope;
  LayerScratch scratch;
  std::vector<LayerCache> caches;
  Buffer hidden;  // (b, h)
  Buffer scores;  // (b * heads, capacity)
  Buffer logits;  // (b, v)

  Decoder(const HostModel& with, int64_t num_sequences, int64_t max_tokens)
      : model(with),
        batch(num_sequences),
        capacity(max_tokens),
        rope(max_tokens, with.shape()),
        scratch(with.shape(), num_sequences),
        hidden(make_buffer(num_sequences * with.shape().hidden_size)),
        scores(make_buffer(num_sequences * with.shape().num_heads * max_tokens)),
        logits(make_buffer(num_sequences * with.shape().vocab_size)) {
    for (int64_t layer = 0; layer < with.shape().num_layers; ++layer) {
      const int64_t size = batch * capacity * with.shape().kv_size();
      caches.push_back({make_buffer(size), make_buffer(size)});
    }
  }
};

// y = x w^T for several weights that share x.
struct Use {
  const model::Matrix& w;
  float* y;
  bool accumulate = false;
};
void apply_linears(int64_t rows, const float* x, std::initializer_list<Use> uses) {
  std::vector<FewRowsProduct> products;
  for (const Use& use : uses) {
    products.push_back({use.w.rows, use.w.values.data(), use.y, use.accumulate});
  }
  few_rows_matmul(rows, uses.begin()->w.cols, x, products);
}

// Writes this step's key and value of one (sequence, key head) into the cache. Keys per channel: a
// group is rounded once its last token is there.
void append_to_cache(const Decoder& d, const LayerCache& cache, formats::KvFormat format,
                     int64_t index, int64_t position) {
  const int64_t dim = d.model.shape().head_dim;
  float* keys = cache.keys.get() + index * dim * d.capacity;
  for (int64_t i = 0; i < dim; ++i) {
    keys[i * d.capacity + position] = d.scratch.k.get()[index * dim + i];
  }
  std::memcpy(cache.values.get() + (index * d.capacity + position) * dim,
              d.scratch.v.get() + index * dim, static_cast<size_t>(dim) * sizeof(float));
  const int64_t tokens = formats::kv_facts(format).channel_tokens;
  if (tokens == 0 || (position + 1) % tokens != 0) return;
  formats::quantize_key_group(format, dim, 1, d.capacity, keys + position + 1 - tokens);
}

// The query heads of one (sequence, key head) against positions 0..position.
void attend(const Decoder& d, const LayerCache& cache, const LayerNumerics& numerics, int64_t index,
            int64_t position) {
  const model::ModelShape& shape = d.model.shape();
  const int64_t dim = shape.head_dim;
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t visible = position + 1;
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim)));
  const float* q = d.scratch.q.get() + index * group * dim;
  float* out = d.scratch.attended.get() + index * group * dim;
  float* scores = d.scores.get() + index * group * d.capacity;
  for (int64_t g = 0; g < group; ++g) std::fill_n(scores + g * d.capacity, visible, 0.0F);
  std::fill_n(out, group * dim, 0.0F);
  for (int64_t i = 0; i < dim; ++i) {
    const float* key = cache.keys.get() + (index * dim + i) * d.capacity;
    for (int64_t g = 0; g < group; ++g) {
      const float weight = q[g * dim + i];
      float* s = scores + g * d.capacity;
      for (int64_t t = 0; t < visible; ++t) s[t] += weight * key[t];
    }
  }
  for (int64_t g = 0; g < group; ++g) {
    softmax_row(visible, scale, scores + g * d.capacity);
    round_activations(numerics.kv.query, 1, visible, scores + g * d.capacity);
  }
  for (int64_t t = 0; t < visible; ++t) {
    const float* value = cache.values.get() + (index * d.capacity + t) * dim;
    for (int64_t g = 0; g < group; ++g) {
      const float weight = scores[g * d.capacity + t];
      for (int64_t i = 0; i < dim; ++i) out[g * dim + i] += weight * value[i];
    }
  }
}

void attention_step(Decoder& d, int64_t layer, const LayerNumerics& numerics, int64_t position) {
  const model::ModelShape& shape = d.model.shape();
  const model::LayerWeights& weights = d.model.layer(layer);
  LayerScratch& w = d.scratch;
  const int64_t b = d.batch;
  rms_norm(b, shape.hidden_size, d.hidden.get(), weights.attn_norm.data(), shape.rms_norm_eps,
           w.normed.get());
  treat_input(numerics.linear[0], b, shape.hidden_size, w.normed.get());
  apply_linears(b, w.normed.get(),
                {{weights.q, w.q.get()}, {weights.k, w.k.get()}, {weights.v, w.v.get()}});
  add_qkv_biases(shape, weights, b, w.q.get(), w.k.get(), w.v.get());
  norm_heads(shape, weights, b, w.q.get(), w.k.get());
  d.rope.apply(b, 1, position, shape.num_heads, 1, w.q.get());
  d.rope.apply(b, 1, position, shape.num_kv_heads, 1, w.k.get());
  treat_queries(numerics.kv, b * shape.num_heads, shape.head_dim, w.q.get());
  treat_cached(numerics.kv, b * shape.num_kv_heads, shape.head_dim, w.k.get(), w.v.get());
  const LayerCache& cache = d.caches[static_cast<size_t>(layer)];
  const int64_t pieces = std::min(num_threads(), b);
  parallel_for(pieces, [&](int64_t piece, int64_t) {
    const int64_t heads = b * shape.num_kv_heads;
    for (int64_t index = heads * piece / pieces; index < heads * (piece + 1) / pieces; ++index) {
      append_to_cache(d, cache, numerics.kv.keys, index, position);
      attend(d, cache, numerics, index, position);
    }
  });
  treat_input(numerics.linear[1], b, shape.q_size(), w.attended.get());
  apply_linears(b, w.attended.get(), {{weights.o, d.hidden.get(), true}});
}

// Feeds one token of every sequence; hidden ends as what leaves the last layer.
void step(Decoder& d, const std::vector<int32_t>& tokens, int64_t position) {
  const model::ModelShape& shape = d.model.shape();
  const int64_t b = d.batch;
  for (int64_t i = 0; i < b; ++i) {
    std::copy_n(
        d.model.embedding().values.data() + tokens[static_cast<size_t>(i)] * shape.hidden_size,
        shape.hidden_size, d.hidden.get() + i * shape.hidden_size);
  }
  LayerScratch& w = d.scratch;
  for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
    const LayerNumerics numerics = d.model.layer_numerics(layer);
    const model::LayerWeights& weights = d.model.layer(layer);
    attention_step(d, layer, numerics, position);
    rms_norm(b, shape.hidden_size, d.hidden.get(), weights.mlp_norm.data(), shape.rms_norm_eps,
             w.normed.get());
    treat_input(numerics.linear[2], b, shape.hidden_size, w.normed.get());
    apply_linears(b, w.normed.get(), {{weights.gate, w.gate.get()}, {weights.up, w.up.get()}});
    silu_mul(b * shape.intermediate_size, w.gate.get(), w.up.get());
    treat_input(numerics.linear[3], b, shape.intermediate_size, w.gate.get());
    apply_linears(b, w.gate.get(), {{weights.down, d.hidden.get(), true}});
  }
}

void compute_logits(Decoder& d) {
  const model::ModelShape& shape = d.model.shape();
  float* normed = d.scratch.normed.get();
  rms_norm(d.batch, shape.hidden_size, d.hidden.get(), d.model.final_norm().data(),
           shape.rms_norm_eps, normed);
  treat_input(d.model.numerics().head, d.batch, shape.hidden_size, normed);
  apply_linears(d.batch, normed, {{d.model.head(), d.logits.get()}});
}

int32_t choose_token(const Decoder& d, int64_t index, double temperature, Random& random) {
  const int64_t vocab = d.model.shape().vocab_size;
  const float* row = d.logits.get() + index * vocab;
  if (temperature <= 0.0) return static_cast<int32_t>(std::max_element(row, row + vocab) - row);
  return static_cast<int32_t>(sample_row(vocab, row, temperature, random.uniform()));
}

Status check_request(const model::ModelShape& shape,
                     const std::vector<std::vector<int32_t>>& prompts,
                     const GenerateParams& params) {
  if (prompts.empty()) return invalid_argument("prompts are empty, want at least one");
  if (params.max_new_tokens < 1 || params.max_new_tokens > shape.max_positions) {
    return invalid_argument(
        fmt::format("max_new_tokens = {}, want 1..{}", params.max_new_tokens, shape.max_positions));
  }
  if (!(params.temperature >= 0.0 && params.temperature <= 1e6)) {
    return invalid_argument(fmt::format("temperature = {}, want 0..1e6", params.temperature));
  }
  for (const auto& prompt : prompts) {
    const auto length = static_cast<int64_t>(prompt.size());
    if (length < 1 || length + params.max_new_tokens > shape.max_positions) {
      return invalid_argument(
          fmt::format("prompt of {} tokens and {} new ones, want 1..{} together", length,
                      params.max_new_tokens, shape.max_positions));
    }
    for (const int32_t id : prompt) {
      if (id < 0 || id >= shape.vocab_size) {
        return invalid_argument(fmt::format("token id {}, want 0..{}", id, shape.vocab_size - 1));
      }
    }
  }
  return {};
}

// State of one sequence while its batch runs.
struct Sequence {
  const std::vector<int32_t>* prompt = nullptr;
  std::vector<int32_t> produced;
  Random random{0};
  bool done = false;
};

std::vector<Sequence> make_sequences(const std::vector<std::vector<int32_t>>& prompts,
                                     uint64_t seed) {
  std::vector<Sequence> sequences;
  for (const auto& prompt : prompts) {
    // Streams start at unrelated states: the seed of stream i is the i-th output of a generator.
    sequences.push_back({&prompt, {}, Random(0)});
  }
  Random seeds(seed);
  for (Sequence& sequence : sequences) sequence.random = Random(seeds.next());
  return sequences;
}

// Chooses the token after `position`, unless the prompt goes on there.
void extend(const Decoder& decoder, int64_t index, int64_t position, const GenerateParams& params,
            Sequence& s) {
  if (s.done || position + 1 < std::ssize(*s.prompt)) return;
  s.produced.push_back(choose_token(decoder, index, params.temperature, s.random));
  s.done =
      s.produced.back() == params.stop_token || std::ssize(s.produced) == params.max_new_tokens;
}

}  // namespace

Result<std::vector<std::vector<int32_t>>> HostModel::generate(
    const std::vector<std::vector<int32_t>>& prompts, const GenerateParams& params) const {
  DOVETAIL_TRY_STATUS(check_request(shape_, prompts, params));
  int64_t shortest = std::numeric_limits<int64_t>::max();
  int64_t longest = 0;
  for (const auto& prompt : prompts) {
    shortest = std::min(shortest, static_cast<int64_t>(prompt.size()));
    longest = std::max(longest, static_cast<int64_t>(prompt.size()));
  }
  Decoder decoder(*this, static_cast<int64_t>(prompts.size()), longest + params.max_new_tokens);
  std::vector<Sequence> sequences = make_sequences(prompts, params.seed);
  std::vector<int32_t> tokens(prompts.size());
  auto running = std::ssize(prompts);
  for (int64_t position = 0; running > 0; ++position) {
    for (size_t i = 0; i < sequences.size(); ++i) {
      const Sequence& s = sequences[i];
      const auto at = static_cast<size_t>(position);
      // A sequence that is done repeats its last token; nobody looks at what follows.
      tokens[i] = at < s.prompt->size() ? (*s.prompt)[at] : s.produced.back();
    }
    step(decoder, tokens, position);
    if (position + 1 < shortest) continue;
    compute_logits(decoder);
    parallel_for(decoder.batch, [&](int64_t i, int64_t) {
      extend(decoder, i, position, params, sequences[static_cast<size_t>(i)]);
    });
    running = std::count_if(sequences.begin(), sequences.end(),
                            [](const Sequence& s) { return !s.done; });
  }
  std::vector<std::vector<int32_t>> result;
  for (Sequence& sequence : sequences) result.push_back(std::move(sequence.produced));
  return result;
}

}  // namespace dovetail::host
