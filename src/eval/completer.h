// Text completion for many callers at once on host::HostModel: the log-probability of every token
// with the most likely alternatives, and generation that joins and leaves a running batch at every
// step.
//
// Answers are the same to the last bit for any batch, order, number of threads and memory, and
// those of host_scorer.h (host/paged_model.h). Prompts that begin alike are computed once while
// memory lasts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "host/amx.h"
#include "host/host_model.h"

namespace dovetail::eval {

// Alternatives to a token that can be asked for.
inline constexpr int64_t kMaxAlternatives = 20;

struct TokenChoice {
  int32_t id = 0;
  double nats = 0;  // log p(id | all before it)
};

struct ScoredToken {
  int32_t id = 0;
  double nats = 0;                    // log p(id | all before it), temperature 1, finite
  std::vector<TokenChoice> top = {};  // the most likely first, of equals the lower id
};

// Its functions are called from the thread that calls Completer::step().
struct CompletionRequest {
  std::vector<int32_t> prompt = {};  // one id or more
  int64_t max_new_tokens = 0;        // 0 or more; with the prompt at most max_length()
  int64_t num_top = 0;               // alternatives of every token, 0..kMaxAlternatives
  bool scores_prompt = false;
  double temperature =
      0;              // 0: the most likely token; else drawn from softmax(logits / temperature)
  uint64_t seed = 0;  // of what is drawn: the same seed, the same answer, whatever the batch

  // The prompt's tokens but the first; once, before any token, if scores_prompt.
  std::function<void(std::vector<ScoredToken> tokens)> take_prompt = {};
  // The next token. True: it was the last one.
  std::function<bool(const ScoredToken& token)> take_token = {};
  // True: nobody waits for the answer any more.
  std::function<bool()> is_abandoned = {};
  // Once, after all else, unless abandoned. Errors: kInternal (logits that are not numbers).
  std::function<void(const Status& status)> finish = {};
};

struct CompleterParams {
  int64_t max_length = 0;      // tokens of prompt and answer; 0: the model's positions
  int64_t max_running = 32;    // requests under way at a time, 1 or more
  int64_t rows_at_once = 512;  // tokens of a pass, 1 or more: what runs waits for so many of others
  // Keys and values of all requests and kept prefixes; more only where a single request needs more.
  int64_t max_kv_bytes = int64_t{1} << 30;
  bool tile_unit = host::amx::available();  // results differ in their last digits
};

// For one thread, but for the const members.
class Completer {
 public:
  virtual ~Completer() = default;

  [[nodiscard]] virtual int64_t max_length() const = 0;
  [[nodiscard]] virtual int64_t vocab_size() const = 0;
  // Errors: kInvalidArgument (empty or too long, ids outside the vocabulary, ranges above).
  [[nodiscard]] virtual Status check(const CompletionRequest& request) const = 0;

  // A request that check() has nothing against; it runs in the steps to come.
  virtual void add(CompletionRequest request) = 0;
  [[nodiscard]] virtual bool has_work() const = 0;
  // One pass: a token more of all that generate, and tokens of prompts.
  virtual void step() = 0;
};

// Memory: as make_host_scorer. Errors: kInvalidArgument.
[[nodiscard]] Result<std::unique_ptr<Completer>> make_completer(const host::HostModel& model,
                                                                const CompleterParams& params = {});

}  // namespace dovetail::eval
