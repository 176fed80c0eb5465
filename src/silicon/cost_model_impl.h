// What a CostModel knows before it sees a chip. Private to this folder.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <vector>

#include "silicon/cost_table.h"
#include "silicon/mapping_sets.h"
#include "silicon/op_cost.h"
#include "silicon/pipeline.h"

namespace dovetail::silicon {

// `times` runs of an op by every micro-batch of a pipeline (without one: by the batch), each of
// `latency_ns` and, leakage meanwhile included, `energy_pj` on one chip.
[[nodiscard]] inline double phase_latency(double times, const PhaseRuns& runs, double latency_ns) {
  return times * (runs.latency * latency_ns);
}
[[nodiscard]] inline double phase_energy(double times, const PhaseRuns& runs, double latency_ns,
                                         double energy_pj, double leakage_mw) {
  return times * (runs.work * energy_pj + runs.waiting * (leakage_mw * latency_ns));
}

// Element-wise work that no treatment changes: `times` runs by every micro-batch, all layers
// together.
struct VectorWork {
  double times = 0;
  PhaseRuns runs;
  double bytes = 0;   // in and out, bf16
  double cycles = 0;  // of one lane
  bool embedding = false;
};

// An exchange between chips: `times` runs by every micro-batch, all layers together.
struct CollectiveWork {
  double times = 0;
  PhaseRuns runs;
  double memory_bytes = 0;
  double cycles = 0;  // of one lane
  double sent_bytes = 0;
  double hops = 0;
};

// What one of the equal chips does that a split makes share the model. Not copied: the mapper's
// input points into it.
struct ChipWork {
  ChipWork(const Constants& shared_constants, const recipe::Menu& shared_menu)
      : constants(shared_constants), menu(shared_menu) {}
  ChipWork(const ChipWork&) = delete;
  ChipWork& operator=(const ChipWork&) = delete;

  const Constants& constants;
  const recipe::Menu& menu;
  uint64_t id = 0;         // names this work in per-thread caches
  double stage_chips = 1;  // that share a layer
  double stages = 1;
  recipe::ModelOps ops;
  PhaseRuns prefill_runs, decode_runs;

  std::vector<LinearWork> linears;
  std::vector<VectorWork> vectors;
  std::vector<CollectiveWork> collectives;
  std::vector<ContextNode> nodes;
  MapperInput mapper;  // points into this object

  // Attention of one layer, of one micro-batch.
  double batch = 0, kv_heads = 0, group = 0, head_dim = 0, prompt = 0, copies = 0, steps = 0;
  double working_need_bytes = 0;  // of the largest linear, bf16
  double cache_copies = 0;        // KV heads of all requests
  double fixed_dram_bytes = 0;
  struct KvWork {
    double token_bytes = 0;       // of a cached key and value of one head
    double turned_per_token = 0;  // queries and keys through the Hadamard unit
    double turn_stages = 0;
    double prefill_vector_cycles = 0;
    double decode_vector_cycles = 0;       // per step, without the part below
    double vector_cycles_per_context = 0;  // per step and token of context
    double max_tokens_bytes = 0;           // whole cache of one layer at the end, all requests
  };
  std::vector<KvWork> kv;  // per treatment

  [[nodiscard]] double working(const chip::Chip& chip) const;
  void reset(const chip::Chip& chip, CostTable& table) const;
  void add_vectors(const ChipRates& rates, double working_bytes, CostTable& table) const;
  void add_collectives(const ChipRates& rates, double working_bytes, CostTable& table) const;
  // From one chip to all: energies, bytes and capacities.
  void count_all_chips(CostTable& table) const;
};

struct CostModel::Impl {
  model::ModelShape shape;
  recipe::Workload workload;
  recipe::Menu menu;
  Technology technology;
  Constants constants;
  recipe::Workload own;               // the workload's own lengths
  std::map<int64_t, ChipWork> works;  // by tensor_parallel: every number of chips that can share
  // Pipelines of other splits are prepared when a chip asks for the first time; a work stays where
  // it is then.
  using PipelineKey = std::array<int64_t, 3>;  // tensor_parallel, pipeline_parallel, micro_batches
  mutable std::map<PipelineKey, ChipWork> pipelines;
  mutable std::mutex pipelines_mutex;

  // The works above are of the workload's own lengths, these of the other classes of its mix.
  struct OtherClass {
    double share_frac = 0;
    CostModel model;
  };
  std::vector<OtherClass> others;
  double own_share_frac = 1;

  [[nodiscard]] Status fill_own_table(const chip::Chip& chip, CostTable& table) const;
  [[nodiscard]] Status fill_own_bound(const chip::Chip& chip, CostTable& table) const;
  // From the table of the own lengths to the mean over the mix. `fill`: fill_table or fill_bound.
  using Fill = Status (CostModel::*)(const chip::Chip&, CostTable&) const;
  [[nodiscard]] Status add_others(const chip::Chip& chip, Fill fill, CostTable& table) const;
  // Null if the model cannot be shared so.
  [[nodiscard]] const ChipWork* find_work(const chip::Chip& chip) const;
  // The same; without one `table` forbids everything.
  [[nodiscard]] const ChipWork* work_of(const chip::Chip& chip, CostTable& table) const;
};

}  // namespace dovetail::silicon
