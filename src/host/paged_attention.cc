#include "host/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/activation.h"
#include "formats/kv_cache.h"
#include "formats/quantize.h"
#include "host/attention.h"
#include "host/lanes.h"
#include "host/row_products.h"

namespace dovetail::host {
namespace {

size_t bytes_of(int64_t floats) {
  return static_cast<size_t>(floats) * sizeof(float);
}

float score_scale(int64_t head_dim) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)));
}

// Scores of all visible positions become probabilities.
void softmax(const PagedHead& h, int64_t visible, float* scores) {
  softmax_row(visible, score_scale(h.kv->layout().head_dim), scores);
  const formats::ActivationFormat format = h.numerics->kv.query;
  if (format == formats::ActivationFormat::kBf16) return;
  formats::quantize_activations(format, 1, visible, scores);
}

// Positions [begin, end) of keys, transposed, (d, end - begin); begin is that of a page.
void gather_keys(const PagedHead& h, bool exact, int64_t begin, int64_t end, float* keys) {
  const KvPageLayout& l = h.kv->layout();
  const int64_t width = end - begin;
  for (int64_t page = begin / l.tokens; page * l.tokens < end; ++page) {
    const float* from = exact ? h.kv->exact_keys(page, h.layer, h.head)
                              : h.kv->keys(page, h.layer, h.head);
    const int64_t count = std::min(l.tokens, end - page * l.tokens);
    for (int64_t d = 0; d < l.head_dim; ++d)
      std::memcpy(keys + d * width + page * l.tokens - begin, from + d * l.tokens, bytes_of(count));
  }
}

void gather_values(const PagedHead& h, int64_t end, float* values) {
  const KvPageLayout& l = h.kv->layout();
  for (int64_t page = 0; page * l.tokens < end; ++page) {
    const int64_t count = std::min(l.tokens, end - page * l.tokens);
    std::memcpy(values + page * l.matrix_floats(), h.kv->values(page, h.layer, h.head),
                bytes_of(count * l.head_dim));
  }
}

// Scores of keys in groups that are unfinished at a position are replaced by those of the exact
// ones. `keys` and `tail` are scratch.
void score_unfinished(const PagedHead& h, int64_t first, int64_t count, const float* packed,
                      float* keys, float* tail, float* scores) {
  const KvPageLayout& l = h.kv->layout();
  const formats::KvFormat format = h.numerics->kv.keys;
  const int64_t end = first + count;
  const int64_t begin = formats::exact_from(format, first) / l.tokens * l.tokens;
  if (begin >= end) return;
  const int64_t width = end - begin;
  gather_keys(h, true, begin, end, keys);
  row_product(count * h.group, packed, {keys, width, l.head_dim, 1, width}, tail, h.tile_unit);
  for (int64_t row = 0; row < count * h.group; ++row) {
    const int64_t position = first + row / h.group;
    const int64_t from = formats::exact_from(format, position);
    if (from > position) continue;
    std::copy(tail + row * width + from - begin, tail + row * width + position + 1 - begin,
              scores + row * end + from);
  }
}

// kVectors times 16 positions of a page against kHeads queries: each score is a sum over d in
// ascending order.
template <int64_t kHeads, int64_t kVectors>
void score_positions(const KvPageLayout& l, const float* keys, const float* q, int64_t stride,
                     float* scores) {
  FloatLanes sums[kHeads][kVectors] = {};
  for (int64_t d = 0; d < l.head_dim; ++d) {
    for (int64_t v = 0; v < kVectors; ++v) {
      FloatLanes key;
      load_lanes(keys + d * l.tokens + v * kFloatLanes, key);
      for (int64_t g = 0; g < kHeads; ++g) sums[g][v] += key * q[g * l.head_dim + d];
    }
  }
  for (int64_t g = 0; g < kHeads; ++g)
    for (int64_t v = 0; v < kVectors; ++v)
      store_lanes(sums[g][v], scores + g * stride + v * kFloatLanes);
}

// out (kHeads, width) of kVectors * 16 values a position += those of `count` positions, in order.
template <int64_t kHeads, int64_t kVectors>
void add_values(const KvPageLayout& l, int64_t count, const float* values, const float* weights,
                int64_t stride, float* out) {
  FloatLanes sums[kHeads][kVectors];
  for (int64_t g = 0; g < kHeads; ++g)
    for (int64_t v = 0; v < kVectors; ++v)
      load_lanes(out + g * l.head_dim + v * kFloatLanes, sums[g][v]);
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t v = 0; v < kVectors; ++v) {
      FloatLanes value;
      load_lanes(values + t * l.head_dim + v * kFloatLanes, value);
      for (int64_t g = 0; g < kHeads; ++g) sums[g][v] += value * weights[g * stride + t];
    }
  }
  for (int64_t g = 0; g < kHeads; ++g)
    for (int64_t v = 0; v < kVectors; ++v)
      store_lanes(sums[g][v], out + g * l.head_dim + v * kFloatLanes);
}

// The same for widths that are no multiple of 16.
void add_narrow_values(const KvPageLayout& l, int64_t heads, int64_t count, const float* values,
                       const float* weights, int64_t stride, float* out) {
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t g = 0; g < heads; ++g) {
      for (int64_t d = 0; d < l.head_dim; ++d)
        out[g * l.head_dim + d] += values[t * l.head_dim + d] * weights[g * stride + t];
    }
  }
}

// Calls body.operator()<kHeads>(first head) for up to four heads at a time.
template <typename Body>
void for_heads(int64_t group, const Body& body) {
  for (int64_t g = 0; g < group; g += 4) {
    switch (std::min<int64_t>(4, group - g)) {
      case 1: body.template operator()<1>(g); break;
      case 2: body.template operator()<2>(g); break;
      case 3: body.template operator()<3>(g); break;
      default: body.template operator()<4>(g); break;
    }
  }
}

void score_page(const PagedHead& h, const float* keys, const float* q, int64_t stride,
                float* scores) {
  const KvPageLayout& l = h.kv->layout();
  for_heads(h.group, [&]<int64_t kHeads>(int64_t g) {
    for (int64_t t = 0; t < l.tokens; t += 2 * kFloatLanes)
      score_positions<kHeads, 2>(l, keys + t, q + g * l.head_dim, stride, scores + g * stride + t);
  });
}

void add_page(const PagedHead& h, int64_t count, const float* values, const float* weights,
              int64_t stride, float* out) {
  const KvPageLayout& l = h.kv->layout();
  if (l.head_dim % kFloatLanes != 0)
    return add_narrow_values(l, h.group, count, values, weights, stride, out);
  for_heads(h.group, [&]<int64_t kHeads>(int64_t g) {
    int64_t d = 0;
    for (; d + 4 * kFloatLanes <= l.head_dim; d += 4 * kFloatLanes)
      add_values<kHeads, 4>(l, count, values + d, weights + g * stride, stride,
                            out + g * l.head_dim + d);
    for (; d < l.head_dim; d += kFloatLanes)
      add_values<kHeads, 1>(l, count, values + d, weights + g * stride, stride,
                            out + g * l.head_dim + d);
  });
}

}  // namespace

int64_t block_scratch(const KvPageLayout& l, int64_t group, int64_t positions, int64_t visible) {
  const int64_t rows = positions * group;
  return 2 * l.head_dim * visible + rows * (l.head_dim + visible * (l.has_exact_keys ? 2 : 1));
}

void attend_block(const PagedHead& h, int64_t first, int64_t count, const float* q, float* out,
                  float* scratch) {
  const int64_t d = h.kv->layout().head_dim;
  const int64_t end = first + count;
  const int64_t rows = count * h.group;
  const int64_t width = h.group * d;
  float* const keys = scratch;
  float* const values = keys + d * end;
  float* const packed = values + d * end;
  float* const scores = packed + rows * d;
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(packed + i * width, q + i * h.stride, bytes_of(width));
  gather_keys(h, false, 0, end, keys);
  row_product(rows, packed, {keys, end, d, 1, end}, scores, h.tile_unit);
  if (formats::is_per_channel(h.numerics->kv.keys))
    score_unfinished(h, first, count, packed, keys, scores + rows * end, scores);
  for (int64_t row = 0; row < rows; ++row) {
    float* x = scores + row * end;
    const int64_t visible = first + row / h.group + 1;
    softmax(h, visible, x);
    std::fill(x + visible, x + end, 0.0F);
  }
  gather_values(h, end, values);
  row_product(rows, scores, {values, d, end, 1, d}, packed, h.tile_unit);
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(out + i * h.stride, packed + i * width, bytes_of(width));
}

void attend_position(const PagedHead& h, int64_t position, const float* q, float* out,
                     float* scratch) {
  const KvPageLayout& l = h.kv->layout();
  const int64_t visible = position + 1;
  const int64_t pages = (visible + l.tokens - 1) / l.tokens;
  const int64_t stride = pages * l.tokens;
  float* const scores = scratch;
  for (int64_t page = 0; page < pages; ++page)
    score_page(h, h.kv->keys(page, h.layer, h.head), q, stride, scores + page * l.tokens);
  const int64_t exact = formats::exact_from(h.numerics->kv.keys, position);
  if (l.has_exact_keys && exact < visible) {
    const int64_t page = position / l.tokens;  // unfinished groups lie in the last page
    float* const tail = scratch + h.group * stride;
    score_page(h, h.kv->exact_keys(page, h.layer, h.head), q, stride, tail);
    for (int64_t g = 0; g < h.group; ++g)
      std::copy(tail + g * stride + exact - page * l.tokens,
                tail + g * stride + visible - page * l.tokens, scores + g * stride + exact);
  }
  for (int64_t g = 0; g < h.group; ++g) softmax(h, visible, scores + g * stride);
  std::fill_n(out, h.group * l.head_dim, 0.0F);
  for (int64_t page = 0; page < pages; ++page)
    add_page(h, std::min(l.tokens, visible - page * l.tokens),
             h.kv->values(page, h.layer, h.head), scores + page * l.tokens, stride, out);
}

}  // namespace dovetail::host
