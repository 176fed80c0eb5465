#include "host/paged_model.h"

#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "base/result.h"
#include "formats/kv_cache.h"
#include "host/paged_attention.h"

namespace dovetail::host {
namespace {

// Rows (positions times heads) of a block of attention: as in attention.cc.
constexpr int64_t kBlockRows = 384;

// Positions that the table of angles grows by at a time.
constexpr int64_t kRopePositions = 2048;

void embed(const HostModel& model, std::span<const int32_t> ids, float* hidden) {
  const int64_t h = model.shape().hidden_size;
  for (size_t i = 0; i < ids.size(); ++i) {
    std::memcpy(hidden + static_cast<int64_t>(i) * h, model.embedding().values.data() + ids[i] * h,
                static_cast<size_t>(h) * sizeof(float));
  }
}

}  // namespace

// The rows of one pass: those of segment i are first[i] .. first[i] + its size - 1.
struct PagedModel::Rows {
  std::span<const Segment> segments;
  std::vector<int64_t> first = {};
  int64_t count = 0;
  int64_t longest = 0;  // positions that any of them sees
};

PagedModel::PagedModel(HostModel model, bool tile_unit)
    : model_(std::move(model)),
      tile_unit_(tile_unit),
      pool_(kv_page_layout(model_)),
      head_(model_.head(), tile_unit) {
  // Linears that sum as a chip does need no weights made ready.
  const auto ready = [&](const model::Matrix& w) {
    const bool coded = model_.products() != nullptr && model_.products()->find(w) != nullptr;
    return RowWeights(w, tile_unit && !coded);
  };
  for (int64_t i = 0; i < shape().num_layers; ++i) {
    const model::LayerWeights& w = model_.layer(i);
    layers_.push_back({ready(w.q), ready(w.k), ready(w.v), ready(w.o), ready(w.gate), ready(w.up),
                       ready(w.down)});
  }
}

void PagedModel::reserve(int64_t rows, int64_t positions) {
  DOVETAIL_CHECK(positions <= shape().max_positions);
  if (positions > positions_) {
    positions_ = std::min(shape().max_positions,
                          (positions + kRopePositions - 1) / kRopePositions * kRopePositions);
    rope_ = std::make_unique<RopeTable>(positions_, shape());
  }
  if (rows > scratch_rows_) {
    scratch_rows_ = rows;
    scratch_ = std::make_unique<LayerScratch>(shape(), rows);
  }
}

void PagedModel::apply(int64_t rows, const float* x, std::initializer_list<Use> uses) const {
  std::vector<RowProduct> products;
  for (const Use& use : uses) {
    const CodedMatrix* coded =
        model_.products() == nullptr ? nullptr : model_.products()->find(use.weights.matrix());
    if (coded != nullptr) {
      aligned_products(model_.products()->sums(), *coded, rows, x, use.y, use.accumulate);
    } else {
      products.push_back({&use.weights, use.y, use.accumulate});
    }
  }
  if (!products.empty()) row_products(rows, x, products);
}

void PagedModel::project(const Rows& rows, int64_t layer, const LayerNumerics& numerics) {
  const model::ModelShape& s = shape();
  const model::LayerWeights& weights = model_.layer(layer);
  const Layer& ready = layers_[static_cast<size_t>(layer)];
  LayerScratch& w = *scratch_;
  apply(rows.count, w.normed.get(),
        {{ready.q, w.q.get()}, {ready.k, w.k.get()}, {ready.v, w.v.get()}});
  add_qkv_biases(s, weights, rows.count, w.q.get(), w.k.get(), w.v.get());
  norm_heads(s, weights, rows.count, w.q.get(), w.k.get());
  parallel_for(std::ssize(rows.segments), [&](int64_t i, int64_t) {
    const Segment& segment = rows.segments[static_cast<size_t>(i)];
    const auto count = std::ssize(segment.ids);
    const int64_t row = rows.first[static_cast<size_t>(i)];
    const int64_t position = segment.kv->length() - count;
    rope_->apply(count, count, position, s.num_heads, 1, w.q.get() + row * s.q_size());
    rope_->apply(count, count, position, s.num_kv_heads, 1, w.k.get() + row * s.kv_size());
  });
  treat_queries(numerics.kv, rows.count * s.num_heads, s.head_dim, w.q.get());
  treat_cached(numerics.kv, rows.count * s.num_kv_heads, s.head_dim, w.k.get(), w.v.get());
}

// The rows' keys and values enter their pages; groups of keys that are now complete are rounded.
void PagedModel::cache(const Rows& rows, int64_t layer, const LayerNumerics& numerics) const {
  const model::ModelShape& s = shape();
  const KvPageLayout& l = pool_.layout();
  const int64_t d = s.head_dim;
  const int64_t group = formats::kv_facts(numerics.kv.keys).channel_tokens;
  parallel_for(std::ssize(rows.segments) * s.num_kv_heads, [&](int64_t index, int64_t) {
    const Segment& segment = rows.segments[static_cast<size_t>(index / s.num_kv_heads)];
    const int64_t head = index % s.num_kv_heads;
    const auto count = std::ssize(segment.ids);
    const int64_t begin = segment.kv->length() - count;
    const int64_t row = rows.first[static_cast<size_t>(index / s.num_kv_heads)];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t page = (begin + i) / l.tokens;
      const int64_t at = (begin + i) % l.tokens;
      const float* k = scratch_->k.get() + (row + i) * s.kv_size() + head * d;
      float* keys = segment.kv->keys(page, layer, head);
      for (int64_t j = 0; j < d; ++j) keys[j * l.tokens + at] = k[j];
      std::memcpy(segment.kv->values(page, layer, head) + at * d,
                  scratch_->v.get() + (row + i) * s.kv_size() + head * d,
                  static_cast<size_t>(d) * sizeof(float));
      if (group == 0) continue;
      float* exact = segment.kv->exact_keys(page, layer, head);
      for (int64_t j = 0; j < d; ++j) exact[j * l.tokens + at] = k[j];
      if ((at + 1) % group != 0) continue;
      const int64_t first = at + 1 - group;
      for (int64_t j = 0; j < d; ++j)
        std::copy_n(exact + j * l.tokens + first, group, keys + j * l.tokens + first);
      formats::quantize_key_group(numerics.kv.keys, d, 1, l.tokens, keys + first);
    }
  });
}

void PagedModel::attend(const Rows& rows, int64_t layer, const LayerNumerics& numerics) {
  const model::ModelShape& s = shape();
  const int64_t group = s.num_heads / s.num_kv_heads;
  struct Task {
    int64_t segment, head, begin, end;  // positions of the segment
  };
  std::vector<Task> tasks;
  const int64_t step = std::max<int64_t>(1, kBlockRows / group);
  int64_t most = 0;
  for (int64_t i = 0; i < std::ssize(rows.segments); ++i) {
    const Segment& segment = rows.segments[static_cast<size_t>(i)];
    const auto count = std::ssize(segment.ids);
    if (!segment.is_step) most = std::max(most, segment.kv->length());
    for (int64_t end = count; end > 0; end -= step) {
      for (int64_t head = 0; head < s.num_kv_heads; ++head)
        tasks.push_back({i, head, std::max<int64_t>(0, end - step), end});
    }
  }
  const int64_t tokens = pool_.layout().tokens;
  const int64_t visible = (rows.longest + tokens - 1) / tokens * tokens;
  const int64_t scratch_size = std::max(
      2 * group * visible, most == 0 ? 0 : block_scratch(pool_.layout(), group, step, most));
  const int64_t room_floats = std::min(num_threads(), std::ssize(tasks)) * scratch_size;
  if (room_floats > attention_floats_) {
    attention_floats_ = room_floats;
    attention_scratch_ = make_buffer(room_floats);
  }
  parallel_for(std::ssize(tasks), [&](int64_t index, int64_t worker) {
    const Task& task = tasks[static_cast<size_t>(index)];
    const Segment& segment = rows.segments[static_cast<size_t>(task.segment)];
    const PagedHead head{segment.kv, layer, task.head, group, s.q_size(), &numerics, tile_unit_};
    const int64_t row = rows.first[static_cast<size_t>(task.segment)] + task.begin;
    const int64_t position = segment.kv->length() - std::ssize(segment.ids) + task.begin;
    const int64_t at = row * s.q_size() + task.head * group * s.head_dim;
    float* const room = attention_scratch_.get() + worker * scratch_size;
    if (segment.is_step) {
      attend_position(head, position, scratch_->q.get() + at, scratch_->attended.get() + at, room);
    } else {
      attend_block(head, position, task.end - task.begin, scratch_->q.get() + at,
                   scratch_->attended.get() + at, room);
    }
  });
}

void PagedModel::run_layer(const Rows& rows, int64_t layer, float* hidden) {
  const model::ModelShape& s = shape();
  const model::LayerWeights& weights = model_.layer(layer);
  const LayerNumerics numerics = model_.layer_numerics(layer);
  const Layer& ready = layers_[static_cast<size_t>(layer)];
  LayerScratch& w = *scratch_;
  rms_norm(rows.count, s.hidden_size, hidden, weights.attn_norm.data(), s.rms_norm_eps,
           w.normed.get());
  treat_input(numerics.linear[0], rows.count, s.hidden_size, w.normed.get());
  project(rows, layer, numerics);
  cache(rows, layer, numerics);
  attend(rows, layer, numerics);
  treat_input(numerics.linear[1], rows.count, s.q_size(), w.attended.get());
  apply(rows.count, w.attended.get(), {{ready.o, hidden, true}});
  rms_norm(rows.count, s.hidden_size, hidden, weights.mlp_norm.data(), s.rms_norm_eps,
           w.normed.get());
  treat_input(numerics.linear[2], rows.count, s.hidden_size, w.normed.get());
  apply(rows.count, w.normed.get(), {{ready.gate, w.gate.get()}, {ready.up, w.up.get()}});
  silu_mul(rows.count * s.intermediate_size, w.gate.get(), w.up.get());
  treat_input(numerics.linear[3], rows.count, s.intermediate_size, w.gate.get());
  apply(rows.count, w.gate.get(), {{ready.down, hidden, true}});
}

model::Matrix PagedModel::feed(std::span<const Segment> segments) {
  const int64_t h = shape().hidden_size;
  Rows rows{.segments = segments};
  int64_t wanted = 0;
  for (const Segment& segment : segments) {
    DOVETAIL_CHECK(!segment.ids.empty() && (!segment.is_step || segment.ids.size() == 1));
    DOVETAIL_CHECK(segment.wanted >= 0 && segment.wanted <= std::ssize(segment.ids));
    rows.first.push_back(rows.count);
    rows.count += std::ssize(segment.ids);
    wanted += segment.wanted;
    segment.kv->extend(std::ssize(segment.ids));
    rows.longest = std::max(rows.longest, segment.kv->length());
  }
  reserve(rows.count, rows.longest);
  const Buffer hidden = make_buffer(rows.count * h);
  for (size_t i = 0; i < segments.size(); ++i)
    embed(model_, segments[i].ids, hidden.get() + rows.first[i] * h);
  for (int64_t layer = 0; layer < shape().num_layers; ++layer) run_layer(rows, layer, hidden.get());
  model::Matrix result{wanted, h, std::vector<float>(static_cast<size_t>(wanted * h))};
  float* to = result.values.data();
  for (size_t i = 0; i < segments.size(); ++i) {
    const int64_t last = rows.first[i] + std::ssize(segments[i].ids);
    std::copy_n(hidden.get() + (last - segments[i].wanted) * h, segments[i].wanted * h, to);
    to += segments[i].wanted * h;
  }
  rms_norm(wanted, h, result.values.data(), model_.final_norm().data(), shape().rms_norm_eps,
           result.values.data());
  return result;
}

model::Matrix PagedModel::logits(const model::Matrix& hidden) const {
  model::Matrix x = hidden;
  treat_input(model_.numerics().head, x.rows, x.cols, x.values.data());
  model::Matrix result{x.rows, shape().vocab_size,
                       std::vector<float>(static_cast<size_t>(x.rows * shape().vocab_size))};
  if (x.rows == 0) return result;
  const RowProduct product{&head_, result.values.data(), false};
  row_products(x.rows, x.values.data(), {&product, 1});
  return result;
}

}  // namespace dovetail::host
