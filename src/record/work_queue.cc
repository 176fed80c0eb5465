#include "record/work_queue.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "record/sqlite_file.h"

namespace dovetail::record {
namespace {

constexpr int64_t kLargestStepShare = 8;  // of the patience, that one look may add to a silence

int64_t monotonic_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Which process numbers a number belongs to: this boot of this kernel, this process namespace.
std::string numbering() {
  std::error_code code;
  const auto space = std::filesystem::read_symlink("/proc/self/ns/pid", code);
  return first_line("/proc/sys/kernel/random/boot_id") + "/" + space.string();
}

// In clock ticks since boot; nothing if it has ended. A number is given again, a start is not.
std::optional<std::string> start_of_process(const std::string& number) {
  const std::string stat = first_line("/proc/" + number + "/stat");
  // The second field is the program's name in brackets and may hold anything.
  const size_t bracket = stat.rfind(')');
  if (bracket == std::string::npos) return std::nullopt;
  std::vector<std::string> fields;
  for (size_t at = bracket + 2; at < stat.size();) {
    const size_t end = std::min(stat.find(' ', at), stat.size());
    fields.push_back(stat.substr(at, end - at));
    at = end + 1;
  }
  constexpr size_t kState = 0;  // counted from the third field of proc(5)
  constexpr size_t kStart = 19;
  if (fields.size() <= kStart || fields[kState] == "Z" || fields[kState] == "X") {
    return std::nullopt;
  }
  return fields[kStart];
}

// What this worker saw of another one's lease.
struct Silence {
  std::string worker;
  int64_t beat = 0;
  int64_t looked_ms = 0;
  int64_t silent_ms = 0;
};

struct Lease {
  std::string worker;
  int64_t beat = 0;
};

}  // namespace

std::string this_process() {
  const std::string number = std::to_string(::getpid());
  return fmt::format("{} {} {}", numbering(), number, start_of_process(number).value_or("?"));
}

bool has_ended(const std::string& worker) {
  const std::string ours = numbering() + " ";
  if (!worker.starts_with(ours)) return false;
  const std::string rest = worker.substr(ours.size());
  const std::string number = rest.substr(0, rest.find(' '));
  const auto start = start_of_process(number);
  if (!start.has_value()) return true;
  const std::string expected = number + " " + *start;
  return rest != expected && !rest.starts_with(expected + " ");
}

struct WorkQueue::Impl {
  Impl(SqliteFile opened, WorkQueueParams given)
      : file(std::move(opened)), params(std::move(given)) {}

  SqliteFile file;
  WorkQueueParams params;
  std::mutex mutex;  // over `file` and everything below
  std::map<std::pair<std::string, std::string>, Silence> silences;
  std::condition_variable_any stopping;
  std::jthread heart;  // last, so that it ends before what it uses

  Result<bool> is_done(std::string_view kind, std::string_view key) const;
  Result<std::optional<Lease>> lease_of(std::string_view kind, std::string_view key) const;
  bool is_forsaken(std::string_view kind, std::string_view key, const Lease& lease);
  Result<Claim> look(std::string_view kind, std::string_view key, bool may_take);
  Status beat_once() const;
  void start_heart();
};

namespace {

Status run(const SqliteFile& file, std::string_view sql,
           std::initializer_list<std::string_view> texts) {
  DOVETAIL_TRY(Statement statement, file.prepare(sql));
  int index = 0;
  for (const std::string_view text : texts) statement.bind(++index, text);
  return statement.run();
}

}  // namespace

Result<bool> WorkQueue::Impl::is_done(std::string_view kind, std::string_view key) const {
  DOVETAIL_TRY(Statement row, file.prepare("SELECT 1 FROM results WHERE kind = ? AND key = ?"));
  return row.bind(1, kind).bind(2, key).step();
}

Result<std::optional<Lease>> WorkQueue::Impl::lease_of(std::string_view kind,
                                                       std::string_view key) const {
  DOVETAIL_TRY(Statement row,
               file.prepare("SELECT worker, beat FROM leases WHERE kind = ? AND key = ?"));
  DOVETAIL_TRY(const bool found, row.bind(1, kind).bind(2, key).step());
  if (!found) return std::optional<Lease>();
  return std::optional<Lease>(Lease{row.text(0), row.integer(1)});
}

bool WorkQueue::Impl::is_forsaken(std::string_view kind, std::string_view key, const Lease& lease) {
  const int64_t now_ms = params.clock_ms ? params.clock_ms() : monotonic_ms();
  const int64_t patience_ms = params.patience.count();
  const auto [it, first] = silences.try_emplace({std::string(kind), std::string(key)});
  Silence& silence = it->second;
  if (first || silence.worker != lease.worker || silence.beat != lease.beat) {
    silence = {lease.worker, lease.beat, now_ms, 0};
  }
  silence.silent_ms += std::clamp<int64_t>(now_ms - std::exchange(silence.looked_ms, now_ms), 0,
                                           patience_ms / kLargestStepShare);
  return silence.silent_ms >= patience_ms || params.is_dead(lease.worker);
}

Result<Claim> WorkQueue::Impl::look(std::string_view kind, std::string_view key, bool may_take) {
  DOVETAIL_TRY(const bool done, is_done(kind, key));
  if (done) return Claim::kDone;
  DOVETAIL_TRY(const std::optional<Lease> lease, lease_of(kind, key));
  if (lease.has_value() && lease->worker != params.worker && !is_forsaken(kind, key, *lease)) {
    return Claim::kTaken;
  }
  if (may_take) {
    DOVETAIL_TRY_STATUS(
        run(file, "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, 0)", {kind, key, params.worker}));
    silences.erase({std::string(kind), std::string(key)});
  }
  return Claim::kOurs;
}

Status WorkQueue::Impl::beat_once() const {
  return run(file, "UPDATE leases SET beat = beat + 1 WHERE worker = ?", {params.worker});
}

void WorkQueue::Impl::start_heart() {
  if (heart.joinable() || params.beat_every.count() <= 0) return;
  heart = std::jthread([this](const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      (void)stopping.wait_for(lock, stop, params.beat_every, [] { return false; });
      // A beat that fails is no loss: at worst another worker computes the same.
      if (!stop.stop_requested()) (void)beat_once();
    }
  });
}

WorkQueue::WorkQueue(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WorkQueue::WorkQueue(WorkQueue&&) noexcept = default;
WorkQueue& WorkQueue::operator=(WorkQueue&&) noexcept = default;
WorkQueue::~WorkQueue() {
  if (impl_ == nullptr) return;
  const std::scoped_lock lock(impl_->mutex);
  (void)run(impl_->file, "DELETE FROM leases WHERE worker = ?", {impl_->params.worker});
}

Result<WorkQueue> WorkQueue::open(const std::string& path, WorkQueueParams params) {
  static std::atomic<int64_t> number = 0;  // of the queues of this process
  if (params.worker == this_process()) params.worker += fmt::format(" {}", ++number);
  DOVETAIL_TRY(SqliteFile file, SqliteFile::open(path));
  // Leases need not outlive a power loss: no worker does.
  DOVETAIL_TRY_STATUS(file.use_log(Durability::kCheckpoint));
  return WorkQueue(std::make_unique<Impl>(std::move(file), std::move(params)));
}

Result<Claim> WorkQueue::claim(std::string_view kind, std::string_view key) {
  const std::scoped_lock lock(impl_->mutex);
  // Most looks find the piece taken or done, and need not wait for whoever writes.
  DOVETAIL_TRY(const Claim seen, impl_->look(kind, key, false));
  if (seen != Claim::kOurs) return seen;
  DOVETAIL_TRY(Transaction transaction, Transaction::begin(impl_->file));
  DOVETAIL_TRY(const Claim claim, impl_->look(kind, key, true));
  DOVETAIL_TRY_STATUS(transaction.commit());
  if (claim == Claim::kOurs) impl_->start_heart();
  return claim;
}

Status WorkQueue::release(std::string_view kind, std::string_view key) {
  const std::scoped_lock lock(impl_->mutex);
  return run(impl_->file, "DELETE FROM leases WHERE kind = ? AND key = ? AND worker = ?",
             {kind, key, impl_->params.worker});
}

Status WorkQueue::beat() {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->beat_once();
}

const std::string& WorkQueue::worker() const {
  return impl_->params.worker;
}

}  // namespace dovetail::record
