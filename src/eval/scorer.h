// What a benchmark asks of a model, in token ids: likelihoods of continuations, greedy generation.
//
// Results belong to their requests alone: a scorer may share prefixes and run requests in any batch
// and order, and gives the same numbers whichever it chose.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/progress.h"
#include "base/result.h"

namespace dovetail::eval {

struct LoglikelihoodRequest {
  std::vector<int32_t> context = {};       // one id or more
  std::vector<int32_t> continuation = {};  // one id or more
};

struct Loglikelihood {
  double nats = 0;         // sum over the continuation of log p(token | all before it); may be NaN
  bool is_greedy = false;  // each of its tokens was the most likely one
};

struct GenerationRequest {
  std::vector<int32_t> prompt = {};  // one id or more
  int64_t max_new_tokens = 0;        // 1 or more
  // Called with all that was generated, after each token and in order; true: this was the last one.
  // Each request's is called from one thread at a time.
  std::function<bool(const std::vector<int32_t>& generated)> is_done = {};
};

class Scorer {
 public:
  virtual ~Scorer() = default;

  // Tokens that the model can be fed at once.
  [[nodiscard]] virtual int64_t max_length() const = 0;

  // In the order of the requests; of each at most max_length() + 1 ids, the last of which is not
  // fed. Progress is the fraction of this call. Errors, here and below: kInvalidArgument (an empty
  // or too long request, ids outside the vocabulary).
  [[nodiscard]] virtual Result<std::vector<Loglikelihood>> loglikelihoods(
      const std::vector<LoglikelihoodRequest>& requests, const ProgressSink& progress) = 0;

  // The most likely token after each, until the request's is_done says so or max_new_tokens are
  // there; prompt and new tokens together at most max_length(). Errors: also kInternal if logits
  // are not numbers.
  [[nodiscard]] virtual Result<std::vector<std::vector<int32_t>>> generate(
      const std::vector<GenerationRequest>& requests, const ProgressSink& progress) = 0;
};

}  // namespace dovetail::eval
