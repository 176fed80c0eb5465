#include "host/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "formats/kv_cache.h"
#include "formats/quantize.h"
#include "host/buffer.h"
#include "host/lanes.h"
#include "host/layer_ops.h"
#include "host/matmul.h"

namespace dovetail::host {
namespace {

// Rows of a score block: enough for the products to run well, few enough to stay in the cache.
constexpr int64_t kBlockRows = 384;

// One block of queries: positions [begin, end) of one sequence and one key head, all its query
// heads. Row r of a packed block is position begin + r / group, head r % group of the group.
struct Block {
  int64_t sequence = 0;
  int64_t kv_head = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

size_t bytes_of(int64_t floats) {
  return static_cast<size_t>(floats) * sizeof(float);
}

int64_t block_positions(const AttentionShape& s) {
  return std::max<int64_t>(1, kBlockRows / s.group());
}

// The group's heads of one token are neighbours in q and out.
void gather_block(const AttentionShape& s, const Block& block, const float* x, float* packed) {
  const int64_t width = s.group() * s.head_dim;
  for (int64_t position = block.begin; position < block.end; ++position) {
    std::memcpy(packed + (position - block.begin) * width,
                x + (block.sequence * s.seq + position) * s.q_size() + block.kv_head * width,
                bytes_of(width));
  }
}
void scatter_block(const AttentionShape& s, const Block& block, const float* packed, float* x) {
  const int64_t width = s.group() * s.head_dim;
  for (int64_t position = block.begin; position < block.end; ++position) {
    std::memcpy(x + (block.sequence * s.seq + position) * s.q_size() + block.kv_head * width,
                packed + (position - block.begin) * width, bytes_of(width));
  }
}

// (seq, d) of one sequence and key head, out of and back into (b * s, kv_heads * d).
void gather_head(const AttentionShape& s, int64_t sequence, int64_t head, const float* x,
                 float* packed) {
  for (int64_t position = 0; position < s.seq; ++position) {
    std::memcpy(packed + position * s.head_dim,
                x + (sequence * s.seq + position) * s.kv_size() + head * s.head_dim,
                bytes_of(s.head_dim));
  }
}
void scatter_head(const AttentionShape& s, int64_t sequence, int64_t head, const float* packed,
                  float* x) {
  for (int64_t position = 0; position < s.seq; ++position) {
    std::memcpy(x + (sequence * s.seq + position) * s.kv_size() + head * s.head_dim,
                packed + position * s.head_dim, bytes_of(s.head_dim));
  }
}

// Scores (rows, block.end) become probabilities; what a position must not see becomes 0.
void softmax_block(const AttentionShape& s, const Block& block, formats::ActivationFormat format,
                   float* scores) {
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_dim)));
  const int64_t rows = (block.end - block.begin) * s.group();
  for (int64_t row = 0; row < rows; ++row) {
    float* x = scores + row * block.end;
    const int64_t visible = block.begin + row / s.group() + 1;
    softmax_row(visible, scale, x);
    if (format != formats::ActivationFormat::kBf16) {
      formats::quantize_activations(format, 1, visible, x);
    }
    std::fill(x + visible, x + block.end, 0.0F);
  }
}

// Scores (rows, block.end) against keys of unfinished groups are replaced by those against the
// exact ones. keys: (s, d) of the block's head; tail: room for rows * s.seq floats.
void score_unfinished(const AttentionShape& s, const Block& block, formats::KvFormat format,
                      const float* packed, const float* keys, float* tail, float* scores) {
  const int64_t first = formats::exact_from(format, block.begin);
  const int64_t count = block.end - first;
  if (count <= 0) return;
  const int64_t rows = (block.end - block.begin) * s.group();
  matmul({packed, rows, s.head_dim}, {keys + first * s.head_dim, count, s.head_dim, true}, tail);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t position = block.begin + row / s.group();
    const int64_t from = formats::exact_from(format, position);
    std::copy(tail + row * count + from - first, tail + row * count + position + 1 - first,
              scores + row * block.end + from);
  }
}

// All heads of keys or values, (b, kv_heads, s, d).
Buffer pack_heads(const AttentionShape& s, const float* x) {
  Buffer packed = make_buffer(s.batch * s.seq * s.kv_size());
  parallel_for(s.batch * s.num_kv_heads, [&](int64_t index, int64_t) {
    gather_head(s, index / s.num_kv_heads, index % s.num_kv_heads, x,
                packed.get() + index * s.seq * s.head_dim);
  });
  return packed;
}

}  // namespace

void softmax_row(int64_t n, float scale, float* x) {
  FloatLanes largest_lanes = FloatLanes{} + x[0];
  for (int64_t i = 0; i < n; i += kFloatLanes) {
    FloatLanes v;
    load_lanes(x + i, n - i, x[0], v);
    largest_lanes = v > largest_lanes ? v : largest_lanes;
  }
  const float largest = max_lanes(largest_lanes);
  // Lanes past the end become e^-87, nothing beside the largest element's 1.
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  FloatLanes sum{};
  for (int64_t i = 0; i < n; i += kFloatLanes) {
    FloatLanes v;
    load_lanes(x + i, n - i, kLowest, v);
    v = (v - largest) * scale;
    exp_lanes(v);
    store_lanes(v, n - i, x + i);
    sum += v;
  }
  const float inverse = 1.0F / sum_lanes(sum);
  for (int64_t i = 0; i < n; ++i) x[i] *= inverse;
}

void causal_attention(const AttentionShape& s, const AttentionNumerics& numerics, const float* q,
                      const float* k, const float* v, float* out) {
  const int64_t d = s.head_dim;
  const bool has_exact = formats::is_per_channel(numerics.keys);
  const Buffer keys = pack_heads(s, k);
  const Buffer exact = has_exact ? pack_heads(s, numerics.exact_keys) : nullptr;
  const Buffer values = pack_heads(s, v);
  const int64_t step = block_positions(s);
  const int64_t blocks = (s.seq + step - 1) / step;
  const int64_t heads = s.batch * s.num_kv_heads;
  const int64_t max_rows = std::min(step, s.seq) * s.group();
  const int64_t scratch_size = max_rows * (d + (has_exact ? 2 : 1) * s.seq);
  const int64_t workers = std::min(num_threads(), blocks * heads);
  const Buffer scratch = make_buffer(workers * scratch_size);
  parallel_for(blocks * heads, [&](int64_t index, int64_t worker) {
    // The longest blocks come first, so that the workers end together.
    const int64_t head = index % heads;
    const int64_t begin = (blocks - 1 - index / heads) * step;
    const Block block{head / s.num_kv_heads, head % s.num_kv_heads, begin,
                      std::min(s.seq, begin + step)};
    const int64_t rows = (block.end - block.begin) * s.group();
    float* packed = scratch.get() + worker * scratch_size;
    float* scores = packed + max_rows * d;
    gather_block(s, block, q, packed);
    matmul({packed, rows, d}, {keys.get() + head * s.seq * d, block.end, d, true}, scores);
    if (has_exact) {
      score_unfinished(s, block, numerics.keys, packed, exact.get() + head * s.seq * d,
                       scores + max_rows * s.seq, scores);
    }
    softmax_block(s, block, numerics.probabilities, scores);
    matmul({scores, rows, block.end}, {values.get() + head * s.seq * d, block.end, d}, packed);
    scatter_block(s, block, packed, out);
  });
}

namespace {

struct BackwardInputs {
  const float *q, *out, *d_out;
  const float *keys, *values;  // packed by heads
};

// Buffers of one backward block; rows = positions * group.
struct BackwardScratch {
  explicit BackwardScratch(const AttentionShape& s)
      : BackwardScratch(s, std::min(block_positions(s), s.seq) * s.group()) {}

  Buffer q, out, d_out, dq;        // (rows, d)
  Buffer probabilities, d_scores;  // (rows, end)
  Buffer d_keys, d_values;         // (seq, d) of the head

 private:
  BackwardScratch(const AttentionShape& s, int64_t rows)
      : q(make_buffer(rows * s.head_dim)),
        out(make_buffer(rows * s.head_dim)),
        d_out(make_buffer(rows * s.head_dim)),
        dq(make_buffer(rows * s.head_dim)),
        probabilities(make_buffer(rows * s.seq)),
        d_scores(make_buffer(rows * s.seq)),
        d_keys(make_buffer(s.seq * s.head_dim)),
        d_values(make_buffer(s.seq * s.head_dim)) {}
};

// d_scores = P * (d_out V^T - rowsum(d_out * out)) / sqrt(d), in place of d_out V^T.
void softmax_backward(const AttentionShape& s, int64_t rows, int64_t end, BackwardScratch& w) {
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_dim)));
  for (int64_t row = 0; row < rows; ++row) {
    const float* o = w.out.get() + row * s.head_dim;
    const float* d_o = w.d_out.get() + row * s.head_dim;
    double dot = 0.0;
    for (int64_t i = 0; i < s.head_dim; ++i) dot += static_cast<double>(o[i] * d_o[i]);
    const auto mean = static_cast<float>(dot);
    const float* p = w.probabilities.get() + row * end;
    float* ds = w.d_scores.get() + row * end;
    for (int64_t i = 0; i < end; ++i) ds[i] = p[i] * (ds[i] - mean) * scale;
  }
}

// Gradients of one sequence and key head: rows of dq through w, d_keys and d_values (seq, d).
void backward_head(const AttentionShape& s, int64_t head, const BackwardInputs& x,
                   BackwardScratch& w, float* dq) {
  const int64_t d = s.head_dim;
  const int64_t step = block_positions(s);
  const float* head_keys = x.keys + head * s.seq * d;
  const float* head_values = x.values + head * s.seq * d;
  std::fill_n(w.d_keys.get(), s.seq * d, 0.0F);
  std::fill_n(w.d_values.get(), s.seq * d, 0.0F);
  for (int64_t begin = 0; begin < s.seq; begin += step) {
    const Block block{head / s.num_kv_heads, head % s.num_kv_heads, begin,
                      std::min(s.seq, begin + step)};
    const int64_t rows = (block.end - block.begin) * s.group();
    gather_block(s, block, x.q, w.q.get());
    gather_block(s, block, x.out, w.out.get());
    gather_block(s, block, x.d_out, w.d_out.get());
    const Operand probabilities{w.probabilities.get(), rows, block.end};
    const Operand d_scores{w.d_scores.get(), rows, block.end};
    matmul({w.q.get(), rows, d}, {head_keys, block.end, d, true}, w.probabilities.get());
    softmax_block(s, block, formats::ActivationFormat::kBf16, w.probabilities.get());
    matmul({w.d_out.get(), rows, d}, {head_values, block.end, d, true}, w.d_scores.get());
    softmax_backward(s, rows, block.end, w);
    const auto transposed = [](Operand a) { return Operand{a.values, a.rows, a.cols, true}; };
    matmul(transposed(probabilities), {w.d_out.get(), rows, d}, w.d_values.get(), true);
    matmul(transposed(d_scores), {w.q.get(), rows, d}, w.d_keys.get(), true);
    matmul(d_scores, {head_keys, block.end, d}, w.dq.get());
    scatter_block(s, block, w.dq.get(), dq);
  }
}

}  // namespace

void causal_attention_backward(const AttentionShape& s, const float* q, const float* k,
                               const float* v, const float* out, const float* d_out, float* dq,
                               float* dk, float* dv) {
  const int64_t heads = s.batch * s.num_kv_heads;
  const Buffer keys = pack_heads(s, k);
  const Buffer values = pack_heads(s, v);
  const BackwardInputs inputs{q, out, d_out, keys.get(), values.get()};
  std::vector<BackwardScratch> scratch;
  for (int64_t i = 0; i < std::min(num_threads(), heads); ++i) scratch.emplace_back(s);
  parallel_for(heads, [&](int64_t head, int64_t worker) {
    BackwardScratch& w = scratch[static_cast<size_t>(worker)];
    backward_head(s, head, inputs, w, dq);
    scatter_head(s, head / s.num_kv_heads, head % s.num_kv_heads, w.d_keys.get(), dk);
    scatter_head(s, head / s.num_kv_heads, head % s.num_kv_heads, w.d_values.get(), dv);
  });
}

}  // namespace dovetail::host
