// T1: latency and energy of single ops on a chip. The slow, obvious model: every mapping is listed
// and priced. `CostModel` holds the tables that must agree with it. The model: docs/cost_model.md.
#pragma once

#include <optional>
#include <string_view>

#include "chip/chip.h"
#include "recipe/lower.h"
#include "recipe/site.h"
#include "silicon/decode_steps.h"
#include "silicon/power.h"

namespace dovetail::silicon {

enum class Resource : uint8_t { kDram, kSram, kDecoder, kCompute, kVector, kLink };
[[nodiscard]] std::string_view resource_name(Resource resource);  // "dram", "sram", ...

struct OpEnergy {
  double mac_pj = 0;
  double scale_pj = 0;
  double decoder_pj = 0;
  double vector_pj = 0;
  double buffer_pj = 0;
  double sram_pj = 0;
  double noc_pj = 0;
  double link_pj = 0;
  double dram_pj = 0;
  double leakage_pj = 0;
  [[nodiscard]] double total_pj() const;
  void add(const OpEnergy& other, double times);
};

// Busy times of the stages of one op, and the op itself:
//   load    = max(dram, sram)
//   latency = overhead + max(load, link, prologue + max(decoder, compute, vector)) + epilogue
// Times are of one chip; where several chips share a model they do the same at the same time.
struct OpCost {
  double dram_ns = 0;
  double sram_ns = 0;
  double decoder_ns = 0;
  double compute_ns = 0;
  double vector_ns = 0;
  double link_ns = 0;      // hops included
  double prologue_ns = 0;  // first weights loaded, first rows quantised
  double epilogue_ns = 0;  // last tile converted and stored
  double overhead_ns = 0;
  double latency_ns = 0;
  double dram_bytes = 0;
  double sram_bytes = 0;
  double link_bytes = 0;  // sent
  double macs = 0;
  OpEnergy energy;

  [[nodiscard]] Resource binding() const;  // the busiest stage
};

// What every op model reads. `working_bytes`: shared SRAM that holds activations.
struct OpContext {
  const Constants& constants;
  const ChipRates& rates;
  const chip::Chip& chip;
  double working_bytes = 0;
};

// One linear; nothing if no unit executes the treatment. resident: weights in shared SRAM.
[[nodiscard]] std::optional<OpCost> estimate_linear(const OpContext& context, const recipe::Op& op,
                                                    const recipe::LinearTreatment& treatment,
                                                    bool resident);

// Sizes of the attention of one layer.
struct AttentionShape {
  double batch = 0;
  double kv_heads = 0;
  double group = 0;  // query heads per KV head
  double head_dim = 0;
};

// One page of the cache of one head: keys, then values of chip.kv_page_tokens tokens, padded to the
// burst. Read and written as a whole.
[[nodiscard]] double kv_page_bytes(const OpContext& context, const AttentionShape& shape,
                                   const recipe::KvTreatment& treatment);

// Scores, softmax and values of one layer as one fused op, with quantising K, V, queries and
// probabilities and writing the cache. Prefill: `tokens` of prompt, causal. Decode: one token
// against the node's cache, the mean over the steps that the node stands for.
[[nodiscard]] std::optional<OpCost> estimate_prefill_attention(const OpContext& context,
                                                               const AttentionShape& shape,
                                                               int64_t tokens,
                                                               const recipe::KvTreatment& treatment,
                                                               bool resident);
[[nodiscard]] std::optional<OpCost> estimate_decode_attention(const OpContext& context,
                                                              const AttentionShape& shape,
                                                              const ContextNode& node,
                                                              const recipe::KvTreatment& treatment,
                                                              bool resident);

// Element-wise and row-wise work (never softmax, which belongs to attention).
[[nodiscard]] OpCost estimate_vector(const OpContext& context, const recipe::Op& op);

// Bytes of one activation at the multiplier, its share of a token's scales included.
[[nodiscard]] double activation_element_bytes(formats::ActivationFormat activation, int64_t k);
// Scaled sums of one output: one per granule, where the scales of weights and of activations
// change.
[[nodiscard]] double granules_per_output(const recipe::LinearTreatment& treatment, int64_t k);
// Elements of the finest group that has a scale of its own; 0 if none is finer than a row.
[[nodiscard]] int64_t finest_group(const formats::WeightFormat& weight,
                                   formats::ActivationFormat activation);
// Stages of additions of a Hadamard transform; 0 for block 0.
[[nodiscard]] double hadamard_stages(int64_t block);
// A ring of chips: every step sends its piece over all links of a chip and waits one hop.
[[nodiscard]] OpCost estimate_collective(const OpContext& context, const recipe::Op& op);

// Bytes of one weight row (n = 1) in DRAM: payload, scales, zeros, padded to the burst.
[[nodiscard]] double row_bytes(const Constants& constants, const chip::Chip& chip,
                               const formats::WeightFormat& weight, int64_t k);

// Shared SRAM that activations take: what the largest op of either phase needs at bf16, at most
// working_sram_max_frac of it. Ops that need more spill to DRAM.
[[nodiscard]] double working_bytes(const Constants& constants, const chip::Chip& chip,
                                   const recipe::ModelOps& ops);

// An untied embedding at bf16; `shape`: a chip's share.
[[nodiscard]] double embedding_dram_bytes(const model::ModelShape& shape);

// DRAM that no treatment changes of the chips that hold one `shape`, a chip's share of every layer:
// an untied embedding and the norms at bf16, and for each stage activations of `batch` whole
// prompts at bf16.
[[nodiscard]] double fixed_dram_bytes(const model::ModelShape& shape, int64_t prompt_tokens,
                                      int64_t batch, int64_t stages);

}  // namespace dovetail::silicon
