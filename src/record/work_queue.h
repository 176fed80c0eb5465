// Who of several workers computes which result: leases on pieces of work, kept in the study's
// database.
//
// A piece is named as its row of results is: kind and key. A worker claims it, its heartbeat counts
// a number in the lease up, and StudyDb::finish stores the result and ends the lease at once. Who
// finds a piece taken and sees the number stand still for `patience` takes it over. So nobody ever
// compares clocks: not with another machine, not across a reboot, and the wall clock is not read. A
// worker that lost its lease and finishes all the same changes nothing: the first result stands.
// Why: docs/design/0006-work-queue.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dovetail::record {

enum class Claim : uint8_t {
  kOurs,   // compute it, then StudyDb::finish or release()
  kTaken,  // another worker is at it; ask again later
  kDone,   // its result is stored
};

// This process: boot, process namespace, number, start time. Unique on all machines.
[[nodiscard]] std::string this_process();
// True if `worker` is a process of this boot and namespace that has ended: the wait for `patience`
// is spared. False if it is unknown, as for every worker of another machine.
[[nodiscard]] bool has_ended(const std::string& worker);

struct WorkQueueParams {
  std::string worker = this_process();
  // How long a silent lease is left to its holder, as this worker counts time. A step of its clock
  // counts for at most an eighth of it, and none backwards: a jump, or having been stopped for an
  // hour, frees nothing.
  std::chrono::milliseconds patience{20000};
  std::chrono::milliseconds beat_every{2000};  // zero: only beat() renews
  std::function<int64_t()> clock_ms = {};      // of this worker; empty: the monotonic clock
  std::function<bool(const std::string& worker)> is_dead = has_ended;
};

class WorkQueue {
 public:
  // `path`: a database that a StudyDb of this process has open. Errors: kIo.
  [[nodiscard]] static Result<WorkQueue> open(const std::string& path, WorkQueueParams params = {});
  WorkQueue(WorkQueue&&) noexcept;
  WorkQueue& operator=(WorkQueue&&) noexcept;
  // Ends this worker's leases.
  ~WorkQueue();

  // Errors: kIo, damage.
  [[nodiscard]] Result<Claim> claim(std::string_view kind, std::string_view key);
  // Gives a piece back without a result, for others to try. Nothing happens if the lease was lost.
  [[nodiscard]] Status release(std::string_view kind, std::string_view key);
  // Renews every lease of this worker; its own thread does so while it holds any.
  [[nodiscard]] Status beat();

  [[nodiscard]] const std::string& worker() const;

 private:
  struct Impl;
  explicit WorkQueue(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::record
