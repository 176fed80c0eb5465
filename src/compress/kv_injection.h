// Loss of the kv treatments by injection: one layer's KV cache is treated, the forward pass goes on
// from the cached input of that layer, and KL is measured at a subset of positions.
//
// Why not by gradients: the error of a key passes through a softmax over the whole context, where
// the second-order estimate ranks worst.
#pragma once

#include <cstdint>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "compress/loss_profile.h"
#include "host/host_model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct KvInjectionParams {
  int64_t max_sequences = 2;       // sequences of the text that are used, >= 1
  int64_t max_length = 160;        // their first tokens, >= 2
  int64_t scored_positions = 160;  // over all sequences, evenly spaced; >= 1
  // Prices rounded queries once, with bf16 KV, and adds that loss to those of the rounded KV: a
  // treatment less per KV format. False: every treatment is injected as it is.
  bool add_query_loss = true;
};

struct KvLosses {
  std::vector<LossByName> by_layer;  // nats per token, by recipe::treatment_name
  int64_t num_positions = 0;         // scored
};

// The layers one by one, so that several workers can share them. Treatments that are bf16
// throughout are skipped. Memory: num_layers * rows * hidden floats of layer inputs and
// scored_positions * vocab floats of reference logits.
class KvInjector {
 public:
  // `reference` must stay. Errors: kInvalidArgument (parameters, tokens out of range).
  [[nodiscard]] static Result<KvInjector> create(const host::HostModel& reference,
                                                 const host::TokenBatch& tokens,
                                                 std::vector<recipe::KvTreatment> treatments,
                                                 const KvInjectionParams& params);
  // nats per token, by recipe::treatment_name; `layer` in 0..num_layers-1. A later layer is
  // quicker.
  [[nodiscard]] Result<LossByName> losses_of(int64_t layer) const;
  [[nodiscard]] int64_t num_positions() const { return std::ssize(scored_); }

 private:
  explicit KvInjector(const host::HostModel& reference) : reference_(&reference) {}
  const host::HostModel* reference_;
  std::vector<recipe::KvTreatment> treatments_;
  std::vector<recipe::KvTreatment> injected_;
  host::TokenBatch part_;
  std::vector<int64_t> scored_;
  std::vector<model::Matrix> inputs_;  // by layer
  model::Matrix reference_logits_;
};

// All layers. Errors: as KvInjector::create.
[[nodiscard]] Result<KvLosses> inject_kv(const host::HostModel& reference,
                                         const host::TokenBatch& tokens,
                                         const std::vector<recipe::KvTreatment>& treatments,
                                         const KvInjectionParams& params,
                                         const ProgressSink& progress = {});

}  // namespace dovetail::compress
