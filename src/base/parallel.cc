#include "base/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

namespace dovetail {
namespace {

// Threads that wait for the next loop: starting one anew for each costs as much as a small loop,
// and the system often puts it on the core of the thread that asks. They never end; the process
// takes them along.
class Pool {
 public:
  explicit Pool(int64_t threads) : threads_(threads) {
    for (int64_t id = 1; id <= threads; ++id) std::thread([this, id] { serve(id); }).detach();
  }

  // Calls work(0) here and work(1) .. work(workers - 1) on the threads; workers <= threads + 1.
  // False if another thread is running a loop: nothing was called.
  bool run(int64_t workers, const std::function<void(int64_t)>& work) {
    const std::unique_lock lock(busy_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    work_ = &work;
    workers_ = workers;
    running_.store(threads_, std::memory_order_relaxed);
    loop_.fetch_add(1, std::memory_order_release);
    loop_.notify_all();
    work(0);
    for (int64_t left = running_; left != 0; left = running_) wait_while(running_, left);
    return true;
  }

 private:
  // As long as a short loop takes, then asleep.
  template <typename T>
  static void wait_while(const std::atomic<T>& value, T old) {
    constexpr int kSpins = 2000;
    for (int i = 0; i < kSpins; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      __builtin_ia32_pause();
    }
    value.wait(old, std::memory_order_acquire);
  }

  void serve(int64_t id) {
    for (uint32_t seen = 0;; ++seen) {
      while (loop_.load(std::memory_order_acquire) == seen) wait_while(loop_, seen);
      if (id < workers_) (*work_)(id);
      if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
    }
  }

  const int64_t threads_;
  std::mutex busy_;
  std::atomic<uint32_t> loop_{0};  // counts loops
  std::atomic<int64_t> running_{0};
  const std::function<void(int64_t)>* work_ = nullptr;
  int64_t workers_ = 0;
};

thread_local bool within_loop = false;

// A forked process has only the thread that forked: it makes threads of its own.
Pool& pool() {
  static std::mutex making;
  static Pool* the_pool = nullptr;
  static const int registered = pthread_atfork([] { making.lock(); }, [] { making.unlock(); },
                                               [] {
                                                 the_pool = nullptr;
                                                 making.unlock();
                                               });
  (void)registered;
  const std::scoped_lock lock(making);
  if (the_pool == nullptr) the_pool = new Pool(num_threads() - 1);
  return *the_pool;
}

}  // namespace

int64_t threads_of_a_loop() {
  return within_loop ? 1 : num_threads();
}

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
  const int64_t workers = std::min(threads_of_a_loop(), count);
  std::atomic<int64_t> next{0};
  const auto work = [&](int64_t worker) {
    const bool was_within = std::exchange(within_loop, within_loop || workers > 1);
    for (int64_t index = next++; index < count; index = next++) body(index, worker);
    within_loop = was_within;
  };
  if (workers <= 1 || !pool().run(workers, work)) work(0);
}

}  // namespace dovetail
