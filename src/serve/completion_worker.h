// The one thread that owns the model: requests of many connections run together in it, and their
// tokens go to the connections that wait for them.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "eval/completer.h"
#include "serve/api_error.h"
#include "serve/requests.h"
#include "serve/text_stream.h"

namespace dovetail::serve {

// One prompt under way: filled by the worker, read by one connection.
class Completion {
 public:
  // What came since the last call.
  struct News {
    std::vector<eval::ScoredToken> prompt = {};  // scores of the prompt's tokens but the first
    std::vector<eval::ScoredToken> tokens = {};
    std::string text = {};
    std::string finish_reason = {};   // not empty: that was all
    std::optional<Error> error = {};  // that was all, and it failed

    [[nodiscard]] bool is_end() const { return !finish_reason.empty() || error.has_value(); }
  };

  Completion(const model::Tokenizer& tokenizer, std::vector<std::string> stops)
      : stream_(tokenizer, std::move(stops)) {}

  // Waits until there is something or the time is over (then nothing is in it).
  [[nodiscard]] News wait(std::chrono::milliseconds timeout);
  // Nobody reads it any more; what it still takes is not computed.
  void abandon() { is_abandoned_ = true; }
  [[nodiscard]] bool is_abandoned() const { return is_abandoned_; }

  // For the worker.
  void put_prompt(std::vector<eval::ScoredToken> scores);
  [[nodiscard]] bool put_token(const eval::ScoredToken& token);
  void end(const Status& status);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  TextStream stream_;
  News news_;
  bool has_news_ = false;
  bool is_stopped_ = false;  // by a stop string or the end of the text
  bool is_ended_ = false;
  std::atomic<bool> is_abandoned_ = false;
};

class CompletionWorker {
 public:
  // `tokenizer` must outlive it. `max_requests`: asks under way at a time, 1 or more.
  CompletionWorker(std::unique_ptr<eval::Completer> completer, const model::Tokenizer& tokenizer,
                   int64_t max_requests);
  CompletionWorker(const CompletionWorker&) = delete;
  CompletionWorker& operator=(const CompletionWorker&) = delete;
  // What is under way ends with kUnavailable.
  ~CompletionWorker();

  // All prompts of one ask, in order; abandoned when it is destroyed.
  class Batch {
   public:
    explicit Batch(std::atomic<int64_t>& count) : count_(count) {}
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch();
    std::vector<std::shared_ptr<Completion>> completions;

   private:
    std::atomic<int64_t>& count_;
  };

  // Errors: 429 if as many asks as allowed are under way, 503 while it stops.
  [[nodiscard]] ApiResult<std::unique_ptr<Batch>> submit(const Ask& ask);
  [[nodiscard]] int64_t under_way() const { return under_way_; }
  // What is under way ends with kUnavailable after the pass that runs; nothing more is taken.
  void stop();

 private:
  void run();

  std::unique_ptr<eval::Completer> completer_;
  const model::Tokenizer* tokenizer_;
  const int64_t max_requests_;
  std::atomic<int64_t> under_way_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<eval::CompletionRequest> arrived_;
  std::vector<std::weak_ptr<Completion>> open_;  // that stop() must end
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace dovetail::serve
