// A Scorer that asks another one only what it has not answered before, in this process or an
// earlier one (result_journal.h). Answers are those of the other one, bit by bit, because a scorer
// gives the same for any batch (scorer.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "eval/result_journal.h"
#include "eval/scorer.h"

namespace dovetail::eval {

// All that a host scorer's answers depend on beside the request: what chip a study prices is not
// among it, so that a change of silicon that changes no number asks nothing again. weights_digest:
// model.h, of the released weights; treatment: the recipe and numerics that they are treated with,
// one spelling for one meaning, empty for none.
[[nodiscard]] std::string host_scorer_identity(const std::string& weights_digest,
                                               const std::string& treatment, bool tile_unit);

struct CachedScorerStats {
  int64_t found = 0;  // requests that the journal answered
  int64_t asked = 0;
};

class CachedScorer : public Scorer {
 public:
  // The journal is of the inner scorer's identity. Both must outlive this. batch_requests:
  // log-likelihoods between two appends, 1 or more; a generation is appended as soon as it ends.
  CachedScorer(Scorer& inner, ResultJournal& journal, int64_t batch_requests = 256);

  [[nodiscard]] int64_t max_length() const override { return inner_.max_length(); }
  // Numbers that are none are not kept. Errors: also those of the journal.
  [[nodiscard]] Result<std::vector<Loglikelihood>> loglikelihoods(
      const std::vector<LoglikelihoodRequest>& requests, const ProgressSink& progress) override;
  // What was generated once serves any stop: the tokens before it are the same.
  [[nodiscard]] Result<std::vector<std::vector<int32_t>>> generate(
      const std::vector<GenerationRequest>& requests, const ProgressSink& progress) override;

  [[nodiscard]] const CachedScorerStats& stats() const { return stats_; }

 private:
  Scorer& inner_;
  ResultJournal& journal_;
  int64_t batch_requests_;
  CachedScorerStats stats_;
};

}  // namespace dovetail::eval
