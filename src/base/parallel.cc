#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

namespace dovetail {

int64_t num_threads() {
  static const int64_t count = [] {
    constexpr int64_t kMaxThreads = 1024;
    if (const char* text = std::getenv("DOVETAIL_THREADS")) {
      const int64_t wanted = std::atoll(text);
      if (wanted >= 1) return std::min(wanted, kMaxThreads);
    }
    return std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
  }();
  return count;
}

void parallel_for(int64_t count, const std::function<void(int64_t, int64_t)>& body) {
  const int64_t workers = std::min(num_threads(), count);
  std::atomic<int64_t> next{0};
  const auto work = [&](int64_t worker) {
    for (int64_t index = next++; index < count; index = next++) body(index, worker);
  };
  std::vector<std::jthread> threads;
  for (int64_t worker = 1; worker < workers; ++worker) threads.emplace_back(work, worker);
  if (workers > 0) work(0);
}

}  // namespace dovetail
