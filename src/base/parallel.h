// Parallel loops over all cores with results that do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>

namespace dovetail {

// Number of worker threads; DOVETAIL_THREADS in the environment overrides the machine's count.
[[nodiscard]] int64_t num_threads();

// How many of them a loop would run on that starts here: one within another loop.
[[nodiscard]] int64_t threads_of_a_loop();

// Calls body(index, worker) for every index of [0, count), each exactly once, in any order.
// `worker` is 0..num_threads()-1 and names the calling thread, for scratch memory.
// The body must not throw; it may run on the calling thread. A loop within a loop of several
// workers runs on the thread that asks, as worker 0: the outer one has the cores already.
void parallel_for(int64_t count, const std::function<void(int64_t index, int64_t worker)>& body);

}  // namespace dovetail
