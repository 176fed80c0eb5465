#include "host/buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "base/result.h"

namespace dovetail::host {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{1} << 21;

size_t rounded_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

void FreeBuffer::operator()(float* values) const noexcept {
  std::free(values);
}

Buffer make_buffer(int64_t count) {
  DOVETAIL_CHECK(count >= 0 && count < INT64_MAX / int64_t{2 * sizeof(float)});
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  const bool large = bytes >= 2 * kHugePage;  // less would lose too much to the last page
  const size_t unit = large ? kHugePage : kCacheLine;
  const size_t taken = rounded_up(bytes + (bytes == 0 ? 1 : 0), unit);
  void* memory = std::aligned_alloc(unit, taken);
  if (memory == nullptr) throw std::bad_alloc();
  // A kernel that refuses gives small pages: slower, not wrong.
  if (large) (void)madvise(memory, taken, MADV_HUGEPAGE);
  return Buffer(static_cast<float*>(memory));
}

}  // namespace dovetail::host
