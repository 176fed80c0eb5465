#include "host/kv_pages.h"

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "formats/kv_cache.h"

namespace dovetail::host {

KvPageLayout kv_page_layout(const HostModel& model) {
  const model::ModelShape& shape = model.shape();
  KvPageLayout layout{.num_layers = shape.num_layers,
                      .num_kv_heads = shape.num_kv_heads,
                      .head_dim = shape.head_dim,
                      .tokens = 32};
  for (const LayerNumerics& layer : model.numerics().layers) {
    const int64_t group = formats::kv_facts(layer.kv.keys).channel_tokens;
    if (group == 0) continue;
    layout.has_exact_keys = true;
    layout.tokens = std::max(layout.tokens, group);
  }
  return layout;
}

struct KvPool::Free {
  int64_t in_use = 0;
  std::vector<Buffer> pages;
};

KvPool::KvPool(const KvPageLayout& layout) : layout_(layout), free_(std::make_shared<Free>()) {}

int64_t KvPool::page_bytes() const {
  return layout_.page_floats() * int64_t{sizeof(float)};
}

int64_t KvPool::bytes_in_use() const {
  return free_->in_use * page_bytes();
}

void KvPool::trim() {
  free_->pages.clear();
}

std::shared_ptr<float[]> KvPool::make_page() {
  Buffer page;
  if (free_->pages.empty()) {
    page = make_buffer(layout_.page_floats());
  } else {
    page = std::move(free_->pages.back());
    free_->pages.pop_back();
  }
  ++free_->in_use;
  return {page.release(), [free = free_](float* values) {
            --free->in_use;
            free->pages.emplace_back(values);
          }};
}

KvSequence KvSequence::fork(int64_t length) const {
  DOVETAIL_CHECK(length >= 0 && length <= length_);
  KvSequence other(*pool_);
  other.length_ = length;
  const int64_t pages = (length + layout().tokens - 1) / layout().tokens;
  other.pages_.assign(pages_.begin(), pages_.begin() + pages);
  return other;
}

void KvSequence::extend(int64_t count) {
  const KvPageLayout& l = layout();
  if (length_ % l.tokens != 0 && pages_.back().use_count() > 1) {
    const std::shared_ptr<float[]> shared = std::move(pages_.back());
    pages_.back() = pool_->make_page();
    std::memcpy(pages_.back().get(), shared.get(), static_cast<size_t>(pool_->page_bytes()));
  }
  length_ += count;
  while (std::ssize(pages_) * l.tokens < length_) pages_.push_back(pool_->make_page());
}

}  // namespace dovetail::host
