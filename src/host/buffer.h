// Uninitialised FP32 storage for activations.
#pragma once

#include <cstdint>
#include <memory>

namespace dovetail::host {

struct FreeBuffer {
  void operator()(float* values) const noexcept;
};
using Buffer = std::unique_ptr<float[], FreeBuffer>;

// `count` floats, at least one cache line apart from anything else. Large ones lie in huge pages
// where the system has them: touching 200 MB for the first time in small pages takes longer than
// computing them. Throws std::bad_alloc.
[[nodiscard]] Buffer make_buffer(int64_t count);

}  // namespace dovetail::host
