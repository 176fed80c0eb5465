#include "serve/completion_worker.h"

#include <utility>

#include <fmt/format.h>

namespace dovetail::serve {
namespace {

// Prompts of one request draw from streams of their own.
uint64_t seed_of(int64_t seed, size_t index) {
  return static_cast<uint64_t>(seed) + 0x9e3779b97f4a7c15ULL * static_cast<uint64_t>(index);
}

eval::CompletionRequest request_of(const Ask& ask, size_t index,
                                   const std::shared_ptr<Completion>& completion) {
  return {.prompt = ask.prompts[index].ids,
          .max_new_tokens = ask.max_new_tokens,
          .num_top = ask.num_top,
          .scores_prompt = ask.echo && ask.has_logprobs,
          .temperature = ask.temperature,
          .seed = seed_of(ask.seed, index),
          .take_prompt =
              [completion](std::vector<eval::ScoredToken> scores) {
                completion->put_prompt(std::move(scores));
              },
          .take_token =
              [completion](const eval::ScoredToken& token) { return completion->put_token(token); },
          .is_abandoned = [completion] { return completion->is_abandoned(); },
          .finish = [completion](const Status& status) { completion->end(status); }};
}

}  // namespace

Completion::News Completion::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [&] { return has_news_; });
  has_news_ = false;
  return std::exchange(news_, {});
}

void Completion::put_prompt(std::vector<eval::ScoredToken> scores) {
  const std::scoped_lock lock(mutex_);
  news_.prompt = std::move(scores);
  has_news_ = true;
  changed_.notify_one();
}

bool Completion::put_token(const eval::ScoredToken& token) {
  const std::scoped_lock lock(mutex_);
  news_.tokens.push_back(token);
  is_stopped_ = stream_.push(token.id);
  news_.text += stream_.take(is_stopped_);
  has_news_ = true;
  changed_.notify_one();
  return is_stopped_;
}

void Completion::end(const Status& status) {
  const std::scoped_lock lock(mutex_);
  if (std::exchange(is_ended_, true)) return;
  if (!status.has_value()) {
    news_.error = status.error();
  } else {
    news_.text += stream_.take(true);
    news_.finish_reason = is_stopped_ ? "stop" : "length";
  }
  has_news_ = true;
  changed_.notify_one();
}

CompletionWorker::Batch::~Batch() {
  for (const auto& completion : completions) completion->abandon();
  --count_;
}

CompletionWorker::CompletionWorker(std::unique_ptr<eval::Completer> completer,
                                   const model::Tokenizer& tokenizer, int64_t max_requests)
    : completer_(std::move(completer)),
      tokenizer_(&tokenizer),
      max_requests_(max_requests),
      thread_([this] { run(); }) {}

CompletionWorker::~CompletionWorker() {
  stop();
  thread_.join();
}

ApiResult<std::unique_ptr<CompletionWorker::Batch>> CompletionWorker::submit(const Ask& ask) {
  if (++under_way_ > max_requests_) {
    --under_way_;
    return std::unexpected(ApiError{
        .status = 429,
        .message =
            fmt::format("{} requests are under way, want to be asked again later", max_requests_),
        .code = "too_many_requests"});
  }
  auto batch = std::make_unique<Batch>(under_way_);
  std::vector<eval::CompletionRequest> requests;
  for (size_t i = 0; i < ask.prompts.size(); ++i) {
    batch->completions.push_back(std::make_shared<Completion>(*tokenizer_, ask.stops));
    requests.push_back(request_of(ask, i, batch->completions.back()));
    const Status status = completer_->check(requests.back());
    if (!status.has_value()) return std::unexpected(api_error(status.error()));
  }
  const std::scoped_lock lock(mutex_);
  if (is_stopping_) {
    return std::unexpected(ApiError{.status = 503, .message = "the server is shutting down"});
  }
  for (eval::CompletionRequest& request : requests) arrived_.push_back(std::move(request));
  std::erase_if(open_, [](const auto& one) { return one.expired(); });
  open_.insert(open_.end(), batch->completions.begin(), batch->completions.end());
  changed_.notify_one();
  return batch;
}

void CompletionWorker::stop() {
  const std::scoped_lock lock(mutex_);
  is_stopping_ = true;
  changed_.notify_one();
}

void CompletionWorker::run() {
  while (true) {
    std::vector<eval::CompletionRequest> arrived;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock,
                    [&] { return is_stopping_ || !arrived_.empty() || completer_->has_work(); });
      if (is_stopping_) break;
      arrived = std::exchange(arrived_, {});
    }
    for (eval::CompletionRequest& request : arrived) completer_->add(std::move(request));
    completer_->step();
  }
  const std::scoped_lock lock(mutex_);
  for (const auto& one : open_) {
    if (const auto completion = one.lock()) {
      completion->end(unavailable("the server is shutting down"));
    }
  }
}

}  // namespace dovetail::serve
