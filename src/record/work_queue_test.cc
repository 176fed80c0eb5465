#include "record/work_queue.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

#include "base/test_folder.h"
#include "record/study_db.h"

namespace dovetail::record {
namespace {

using std::chrono::milliseconds;

class WorkQueueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "work_queue_test";
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "study.db").string();
    auto db = StudyDb::open(path_);
    ASSERT_TRUE(db.has_value()) << db.error().message;
    db_ = std::make_unique<StudyDb>(*std::move(db));
  }
  void TearDown() override {
    db_ = nullptr;
    std::filesystem::remove_all(folder_);
  }
  // A worker whose clock is the test's, on a machine that nobody else can look at.
  WorkQueue worker(const std::string& name, const int64_t& clock_ms) const {
    auto queue = WorkQueue::open(path_, {.worker = name,
                                         .patience = milliseconds(8000),
                                         .beat_every = milliseconds(0),
                                         .clock_ms = [&clock_ms] { return clock_ms; },
                                         .is_dead = [](const std::string&) { return false; }});
    EXPECT_TRUE(queue.has_value()) << queue.error().message;
    return *std::move(queue);
  }
  std::filesystem::path folder_;
  std::string path_;
  std::unique_ptr<StudyDb> db_;
};

constexpr const char* kKind = "kl";
const Json kInput = Json{{"recipe", "a"}};

Claim claim(WorkQueue& queue) {
  const auto found = queue.claim(kKind, key_of(kInput));
  EXPECT_TRUE(found.has_value()) << found.error().message;
  return found.value_or(Claim::kTaken);
}

// Looks every `step_ms` and beats for `beating` at each look; how many looks it took to get it.
int looks_until_ours(WorkQueue& queue, int64_t& clock_ms, int64_t step_ms, int max_looks) {
  for (int look = 0; look < max_looks; ++look) {
    if (claim(queue) == Claim::kOurs) return look;
    clock_ms += step_ms;
  }
  return max_looks;
}

TEST_F(WorkQueueTest, APieceIsClaimedByOneAndDoneForAll) {
  int64_t now = 0;
  WorkQueue one = worker("one", now);
  WorkQueue other = worker("other", now);
  EXPECT_EQ(claim(one), Claim::kOurs);
  EXPECT_EQ(claim(one), Claim::kOurs);
  EXPECT_EQ(claim(other), Claim::kTaken);
  EXPECT_EQ(db_->finish(kKind, kInput, Json(1), "one").value(), Json(1));
  EXPECT_EQ(claim(other), Claim::kDone);
  EXPECT_EQ(claim(one), Claim::kDone);
}

TEST_F(WorkQueueTest, WhatIsGivenBackIsFree) {
  int64_t now = 0;
  WorkQueue one = worker("one", now);
  WorkQueue other = worker("other", now);
  EXPECT_EQ(claim(one), Claim::kOurs);
  ASSERT_TRUE(other.release(kKind, key_of(kInput)).has_value());  // not its own: nothing happens
  EXPECT_EQ(claim(other), Claim::kTaken);
  ASSERT_TRUE(one.release(kKind, key_of(kInput)).has_value());
  EXPECT_EQ(claim(other), Claim::kOurs);
  {
    WorkQueue ends = std::move(other);
  }
  EXPECT_EQ(claim(one), Claim::kOurs);
}

TEST_F(WorkQueueTest, ASilentLeaseIsTakenOverAfterThePatienceAndNotBefore) {
  int64_t now = 0;
  WorkQueue silent = worker("silent", now);
  WorkQueue other = worker("other", now);
  EXPECT_EQ(claim(silent), Claim::kOurs);
  EXPECT_EQ(looks_until_ours(other, now, 100, 1000), 80);
  // Its holder comes back: the lease is lost, the result of whoever is first stands.
  EXPECT_EQ(claim(silent), Claim::kTaken);
  EXPECT_EQ(db_->finish(kKind, kInput, Json("other"), "other").value(), Json("other"));
  EXPECT_EQ(db_->finish(kKind, kInput, Json("late"), "silent").value(), Json("other"));
  EXPECT_EQ(**db_->get(kKind, kInput), Json("other"));
}

TEST_F(WorkQueueTest, ALateHolderThatIsFirstEndsNobodysLease) {
  int64_t now = 0;
  WorkQueue silent = worker("silent", now);
  WorkQueue other = worker("other", now);
  EXPECT_EQ(claim(silent), Claim::kOurs);
  EXPECT_LT(looks_until_ours(other, now, 1000, 100), 100);
  const Json second = Json{{"recipe", "b"}};
  EXPECT_EQ(other.claim(kKind, key_of(second)).value(), Claim::kOurs);
  EXPECT_EQ(db_->finish(kKind, kInput, Json("silent"), "silent").value(), Json("silent"));
  EXPECT_EQ(db_->finish(kKind, kInput, Json("other"), "other").value(), Json("silent"));
  EXPECT_EQ(silent.claim(kKind, key_of(second)).value(), Claim::kTaken);
}

TEST_F(WorkQueueTest, ABeatKeepsALeaseForEver) {
  int64_t now = 0;
  WorkQueue alive = worker("alive", now);
  WorkQueue other = worker("other", now);
  EXPECT_EQ(claim(alive), Claim::kOurs);
  for (int look = 0; look < 500; ++look) {
    now += 700;
    if (look % 10 == 0) {
      ASSERT_TRUE(alive.beat().has_value());
    }
    ASSERT_EQ(claim(other), Claim::kTaken) << look;
  }
}

TEST_F(WorkQueueTest, AClockThatJumpsNeitherFreesALeaseNorBlocksIt) {
  constexpr int64_t kYearMs = int64_t{365} * 24 * 3600 * 1000;
  for (const int64_t jump_ms : {kYearMs, -kYearMs}) {
    int64_t now = 0;
    WorkQueue silent = worker("silent", now);
    WorkQueue other = worker("other", now);
    EXPECT_EQ(claim(silent), Claim::kOurs);
    EXPECT_EQ(claim(other), Claim::kTaken);
    now += jump_ms;
    EXPECT_EQ(claim(other), Claim::kTaken) << "one jump freed a lease that may be alive";
    // From there on the patience is what it was, less the one step that a jump may count for.
    const int looks = looks_until_ours(other, now, 100, 1000);
    EXPECT_GE(looks, 70);
    EXPECT_LE(looks, 80);
    ASSERT_TRUE(other.release(kKind, key_of(kInput)).has_value());
  }
}

TEST_F(WorkQueueTest, TheHeartBeatsByItself) {
  auto alive = WorkQueue::open(path_, {.worker = "alive", .beat_every = milliseconds(20)});
  const auto other = WorkQueue::open(path_, {.worker = "other", .patience = milliseconds(2000)});
  ASSERT_TRUE(alive.has_value() && other.has_value());
  EXPECT_EQ(claim(*alive), Claim::kOurs);
  const auto file = SqliteFile::open(path_);
  auto beat = file->prepare("SELECT beat FROM leases");
  int64_t seen = 0;
  for (int wait = 0; wait < 500 && seen < 3; ++wait) {
    std::this_thread::sleep_for(milliseconds(20));
    beat->reset();
    ASSERT_TRUE(beat->step().value());
    seen = beat->integer(0);
  }
  EXPECT_GE(seen, 3);
}

// A process that claims the piece and then waits to be killed.
pid_t start_holder(const std::string& path) {
  int ready[2] = {};
  EXPECT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto db = StudyDb::open(path);
    auto queue = WorkQueue::open(path, {.beat_every = milliseconds(50)});
    const bool held = db.has_value() && queue.has_value() &&
                      queue->claim(kKind, key_of(kInput)).value_or(Claim::kTaken) == Claim::kOurs;
    const char told = held ? 'y' : 'n';
    (void)!::write(ready[1], &told, 1);
    ::pause();
    ::_exit(0);
  }
  char told = 'n';
  EXPECT_EQ(::read(ready[0], &told, 1), 1);
  EXPECT_EQ(told, 'y');
  ::close(ready[0]);
  ::close(ready[1]);
  return child;
}

TEST_F(WorkQueueTest, AKilledProcessIsFollowedAtOnce) {
  const pid_t child = start_holder(path_);
  auto queue = WorkQueue::open(path_, {.patience = std::chrono::hours(1)});
  ASSERT_TRUE(queue.has_value());
  EXPECT_EQ(claim(*queue), Claim::kTaken);
  ::kill(child, SIGKILL);
  // Ended but not yet waited for, then gone: dead either way.
  Claim found = Claim::kTaken;
  for (int wait = 0; wait < 500 && found == Claim::kTaken; ++wait) {
    std::this_thread::sleep_for(milliseconds(10));
    found = claim(*queue);
  }
  EXPECT_EQ(found, Claim::kOurs);
  int state = 0;
  ::waitpid(child, &state, 0);
}

TEST(HasEnded, ItKnowsItsOwnMachineAlone) {
  const std::string self = this_process();
  EXPECT_FALSE(has_ended(self));
  EXPECT_FALSE(has_ended(self + " 3"));  // the third queue of this process
  const size_t start = self.rfind(' ');
  const size_t number = self.rfind(' ', start - 1);
  EXPECT_TRUE(has_ended(self.substr(0, start) + " 1")) << "a number that was given again";
  EXPECT_TRUE(has_ended(self.substr(0, number) + " 4194305 1")) << "beyond the largest number";
  EXPECT_FALSE(has_ended("another-machine/pid:[1]" + self.substr(number)));
  EXPECT_FALSE(has_ended(""));
}

TEST_F(WorkQueueTest, ManyWorkersComputeEveryPieceOnce) {
  constexpr int kWorkers = 4;
  constexpr int kPieces = 60;
  std::vector<pid_t> children;
  for (int i = 0; i < kWorkers; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto db = StudyDb::open(path_);
      auto queue = WorkQueue::open(path_);
      bool good = db.has_value() && queue.has_value();
      for (int piece = 0; good && piece < kPieces; ++piece) {
        const auto found = queue->claim("piece", key_of(Json(piece)));
        good = found.has_value();
        if (!good || *found != Claim::kOurs) continue;
        const Json mark = Json{{"worker", i}, {"piece", piece}};
        good = db->put("computed", mark, Json(piece)).has_value() &&
               db->finish("piece", Json(piece), Json(i), queue->worker()).has_value();
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int state = 0;
    ::waitpid(child, &state, 0);
    EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0);
  }
  EXPECT_EQ(db_->all("piece")->size(), size_t{kPieces});
  EXPECT_EQ(db_->all("computed")->size(), size_t{kPieces});
}

}  // namespace
}  // namespace dovetail::record
