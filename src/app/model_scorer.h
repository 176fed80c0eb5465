// A model or compressed checkpoint that answers questions, with the numerics that it says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "eval/cached_scorer.h"
#include "eval/scorer.h"
#include "host/host_model.h"
#include "model/model.h"

namespace dovetail::app {

// The model that a path holds; of a checkpoint with the activations and keys and values that its
// manifest says.
struct RunnableModel {
  host::HostModel model;
  std::shared_ptr<const model::Weights> weights;
  std::string treatment;  // the manifest's recipe; empty for a model as released
};

// Errors: those of loading.
[[nodiscard]] Result<RunnableModel> load_runnable(const std::string& path);

struct ScorerOptions {
  int64_t max_length = 0;  // tokens seen at once; 0: all the model's positions
  bool fresh = false;      // neither read nor keep answers
};

struct ModelScorer {
  std::unique_ptr<eval::Scorer> host;
  std::unique_ptr<eval::ResultJournal> journal;
  std::unique_ptr<eval::CachedScorer> cached;  // keeps the addresses of the other two

  [[nodiscard]] eval::Scorer& scorer() const { return cached != nullptr ? *cached : *host; }
};

// Answers are remembered in `answers` of the cache folder unless fresh. Errors: those of loading
// and of the journal.
[[nodiscard]] Result<ModelScorer> load_scorer(const std::string& path,
                                              const ScorerOptions& options);

}  // namespace dovetail::app
