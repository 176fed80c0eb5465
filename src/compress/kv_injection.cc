#include "compress/kv_injection.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "compress/spread_rows.h"

namespace dovetail::compress {
namespace {

using formats::ActivationFormat;
using recipe::KvTreatment;

// The first tokens of the first sequences.
host::TokenBatch cut(const host::TokenBatch& tokens, int64_t batch, int64_t seq) {
  host::TokenBatch part{.batch = batch, .seq = seq, .ids = {}};
  for (int64_t b = 0; b < batch; ++b) {
    const auto first = tokens.ids.begin() + b * tokens.seq;
    part.ids.insert(part.ids.end(), first, first + seq);
  }
  return part;
}

// The two parts whose losses add: rounded keys and values, and rounded queries.
KvTreatment cache_alone(KvTreatment treatment) {
  treatment.query = ActivationFormat::kBf16;
  return treatment;
}
KvTreatment query_alone(const KvTreatment& treatment) {
  return {.query = treatment.query, .hadamard = treatment.hadamard};
}

// The treatments that must be run so that all of `treatments` can be priced.
std::vector<KvTreatment> to_inject(const std::vector<KvTreatment>& treatments, bool add_query) {
  std::vector<KvTreatment> injected;
  const auto add = [&](const KvTreatment& treatment) {
    if (treatment == KvTreatment{}) return;
    if (std::find(injected.begin(), injected.end(), treatment) == injected.end()) {
      injected.push_back(treatment);
    }
  };
  for (const KvTreatment& treatment : treatments) {
    if (add_query) {
      add(cache_alone(treatment));
      add(query_alone(treatment));
    } else {
      add(treatment);
    }
  }
  return injected;
}

double loss_of(const LossByName& injected, const KvTreatment& treatment) {
  if (treatment == KvTreatment{}) return 0;
  const auto found = injected.find(recipe::treatment_name(treatment));
  if (found != injected.end()) return found->second;
  return loss_of(injected, cache_alone(treatment)) + loss_of(injected, query_alone(treatment));
}

Status check(const host::TokenBatch& tokens, const KvInjectionParams& params) {
  if (tokens.batch < 1 || tokens.seq < 2) {
    return invalid_argument(
        fmt::format("kv text: {} sequences of {} tokens, want 1 or more of 2 or more", tokens.batch,
                    tokens.seq));
  }
  if (params.max_sequences < 1 || params.max_length < 2 || params.scored_positions < 1) {
    return invalid_argument(
        fmt::format("kv injection: max_sequences = {}, max_length = {}, scored_positions = {}, "
                    "want at least 1, 2, 1",
                    params.max_sequences, params.max_length, params.scored_positions));
  }
  return {};
}

}  // namespace

Result<KvInjector> KvInjector::create(const host::HostModel& reference,
                                      const host::TokenBatch& tokens,
                                      std::vector<KvTreatment> treatments,
                                      const KvInjectionParams& params) {
  DOVETAIL_TRY_STATUS(check(tokens, params));
  KvInjector injector(reference);
  injector.part_ = cut(tokens, std::min(tokens.batch, params.max_sequences),
                       std::min(tokens.seq, params.max_length));
  injector.scored_ = spread_rows(injector.part_.rows(), params.scored_positions);
  injector.injected_ = to_inject(treatments, params.add_query_loss);
  injector.treatments_ = std::move(treatments);
  DOVETAIL_TRY(injector.inputs_, reference.layer_inputs(injector.part_));
  DOVETAIL_TRY(const model::Matrix hidden, reference.hidden_states(injector.part_));
  DOVETAIL_TRY(injector.reference_logits_, reference.logits(pick_rows(hidden, injector.scored_)));
  return injector;
}

Result<LossByName> KvInjector::losses_of(int64_t layer) const {
  LossByName ran;
  for (const KvTreatment& treatment : injected_) {
    const host::LayerNumerics numerics{.linear = {}, .kv = treatment};
    DOVETAIL_TRY(const model::Matrix hidden,
                 reference_->forward_from(layer, inputs_[static_cast<size_t>(layer)], part_.batch,
                                          numerics));
    DOVETAIL_TRY(const host::KlResult kl,
                 host::kl_divergence(reference_logits_, *reference_, pick_rows(hidden, scored_)));
    const double sum =
        std::accumulate(kl.kl_nats_per_position.begin(), kl.kl_nats_per_position.end(), 0.0);
    // A KL is never below 0; tiny ones can come out so by rounding.
    ran[recipe::treatment_name(treatment)] =
        std::max(0.0, sum / static_cast<double>(scored_.size()));
  }
  LossByName losses;
  for (const KvTreatment& treatment : treatments_) {
    if (treatment == KvTreatment{}) continue;
    losses[recipe::treatment_name(treatment)] = loss_of(ran, treatment);
  }
  return losses;
}

Result<KvLosses> inject_kv(const host::HostModel& reference, const host::TokenBatch& tokens,
                           const std::vector<KvTreatment>& treatments,
                           const KvInjectionParams& params, const ProgressSink& progress) {
  DOVETAIL_TRY(const KvInjector injector,
               KvInjector::create(reference, tokens, treatments, params));
  KvLosses losses{.by_layer = {}, .num_positions = injector.num_positions()};
  const int64_t num_layers = reference.shape().num_layers;
  // Layer l runs num_layers - l layers again: the work done goes with the triangle numbers.
  double done = 0;
  const double all = 0.5 * static_cast<double>(num_layers * (num_layers + 1));
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    report_progress(progress, fmt::format("injecting kv of layer {}", layer), done / all);
    DOVETAIL_TRY(LossByName of_layer, injector.losses_of(layer));
    losses.by_layer.push_back(std::move(of_layer));
    done += static_cast<double>(num_layers - layer);
  }
  report_progress(progress, "injected kv", 1);
  return losses;
}

}  // namespace dovetail::compress
