#include "eval/kept_prefixes.h"

#include <algorithm>
#include <utility>

namespace dovetail::eval {
namespace {

// More would be searched for longer than they save.
constexpr size_t kMaxKept = 64;
// A shorter prefix is not worth a page of its own.
constexpr int64_t kMinKept = 8;

bool has_scores(const KeptPrefixes::Entry& entry, int64_t num_top) {
  return num_top < 0 || (!entry.scores.empty() && entry.num_top >= num_top);
}

}  // namespace

int64_t shared_length(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

KeptPrefixes::Found KeptPrefixes::find(std::span<const int32_t> ids, int64_t num_top) {
  int64_t longest = 0;
  size_t best = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!has_scores(entries_[i], num_top)) continue;
    const int64_t length = shared_length(ids, entries_[i].ids);
    if (length <= longest) continue;
    longest = length;
    best = i;
  }
  if (longest < kMinKept) return {};
  const auto found = entries_.begin() + static_cast<int64_t>(best);
  std::rotate(found, found + 1, entries_.end());
  return {&entries_.back(), longest};
}

void KeptPrefixes::put(Entry entry) {
  if (std::ssize(entry.ids) < kMinKept) return;
  // What the new one can do as well goes.
  std::erase_if(entries_, [&](const Entry& other) {
    return shared_length(other.ids, entry.ids) == std::ssize(other.ids) &&
           has_scores(entry, other.scores.empty() ? -1 : other.num_top);
  });
  entries_.push_back(std::move(entry));
  if (entries_.size() > kMaxKept) drop_oldest();
}

bool KeptPrefixes::drop_oldest() {
  if (entries_.empty()) return false;
  entries_.erase(entries_.begin());
  return true;
}

}  // namespace dovetail::eval
