// Keys and values of many sequences in pages of so many positions each, over all layers. A sequence
// that continues another one shares its full pages; only a page that is written to is its own.
//
// Pages begin at multiples of their size, whatever was shared, so what is computed page by page
// does not depend on it. Not for several threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "host/buffer.h"
#include "host/host_model.h"

namespace dovetail::host {

// Where things lie in a page: for each layer and key head the keys transposed (d, tokens), the same
// unrounded where the model rounds keys per channel, the values (tokens, d).
struct KvPageLayout {
  int64_t num_layers = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t tokens = 0;  // of a page
  bool has_exact_keys = false;

  [[nodiscard]] int64_t matrix_floats() const { return head_dim * tokens; }
  [[nodiscard]] int64_t page_floats() const {
    return num_layers * num_kv_heads * (has_exact_keys ? 3 : 2) * matrix_floats();
  }
};
// 32 tokens, or as many as the longest group of keys that the model rounds together.
[[nodiscard]] KvPageLayout kv_page_layout(const HostModel& model);

class KvSequence;

// Makes pages; what is freed is used again.
class KvPool {
 public:
  explicit KvPool(const KvPageLayout& layout);
  [[nodiscard]] const KvPageLayout& layout() const { return layout_; }
  [[nodiscard]] int64_t page_bytes() const;
  [[nodiscard]] int64_t bytes_in_use() const;
  // Gives memory that is not in use back to the system.
  void trim();

 private:
  friend class KvSequence;
  struct Free;
  [[nodiscard]] std::shared_ptr<float[]> make_page();
  KvPageLayout layout_;
  std::shared_ptr<Free> free_;
};

class KvSequence {
 public:
  // The pool must live as long as it.
  explicit KvSequence(KvPool& pool) : pool_(&pool) {}

  [[nodiscard]] int64_t length() const { return length_; }
  [[nodiscard]] const KvPageLayout& layout() const { return pool_->layout(); }
  // One that begins with the first `length` positions of this one, 0..length().
  [[nodiscard]] KvSequence fork(int64_t length) const;
  // Room for `count` more positions; none of their pages is anyone else's.
  void extend(int64_t count);

  // Of one page: (d, tokens), (d, tokens), (tokens, d).
  [[nodiscard]] float* keys(int64_t page, int64_t layer, int64_t head) const {
    return matrix(page, layer, head, 0);
  }
  [[nodiscard]] float* exact_keys(int64_t page, int64_t layer, int64_t head) const {
    return matrix(page, layer, head, 2);
  }
  [[nodiscard]] float* values(int64_t page, int64_t layer, int64_t head) const {
    return matrix(page, layer, head, 1);
  }

 private:
  [[nodiscard]] float* matrix(int64_t page, int64_t layer, int64_t head, int64_t which) const {
    const KvPageLayout& l = layout();
    const int64_t kinds = l.has_exact_keys ? 3 : 2;
    return pages_[static_cast<size_t>(page)].get() +
           ((layer * l.num_kv_heads + head) * kinds + which) * l.matrix_floats();
  }

  KvPool* pool_;
  int64_t length_ = 0;
  std::vector<std::shared_ptr<float[]>> pages_;
};

}  // namespace dovetail::host
