// Lowers a model shape and a workload to the one op list that silicon and the compiler read.
//
// All layers of a model are alike, so the list holds one layer's ops and the ops after the last
// layer; `ModelOps::num_layers` says how often the former run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model.h"
#include "recipe/site.h"
#include "recipe/workload.h"

namespace dovetail::recipe {

enum class OpKind : uint8_t {
  kLinear,      // y (m, n) = x (m, k) W (n, k); weights of `site`
  kScores,      // per copy: queries (m, k = head_dim) against n = context keys
  kValues,      // per copy: probabilities (m, k = context) against n = head_dim values
  kVector,      // element-wise and row-wise work of the vector unit
  kCollective,  // chips exchange and combine values over a ring; `vector` says how they combine
};

enum class VectorKind : uint8_t {
  kNone,
  kEmbedding,  // rows of the embedding table, copied from DRAM
  kRmsNorm,
  kRope,
  kSoftmax,
  kSiluMul,
  kResidualAdd,
  kBiasAdd,
  kArgmax,
};
inline constexpr int64_t kNumVectorKinds = 9;

// Letters: m rows of activations (tokens), k reduction, n outputs.
struct Op {
  OpKind kind = OpKind::kLinear;
  VectorKind vector = VectorKind::kNone;
  SiteKind site = SiteKind::kAttnQkv;  // whose treatment decides its formats; kVector ops: of whose
                                       // input they are the producer
  std::string name;                    // "attn_qkv", "scores", "rms_norm", ...
  int64_t m = 0;                       // attention: query tokens * query heads per KV head
  int64_t k = 0;                       // kValues: 0 in decode, the context takes its place
  int64_t n = 0;                       // kScores: 0 in decode
  int64_t copies = 1;                  // independent problems: batch * kv heads for attention
  int64_t elements = 0;      // kVector: elements per run (softmax in decode: per context token);
                             // kCollective: values that a chip combines
  int64_t ring_steps = 0;    // kCollective
  int64_t step_bytes = 0;    // kCollective: that a chip sends and receives in each step
  int64_t memory_bytes = 0;  // kCollective: a chip's own values in, the result out
  bool grows_with_context = false;  // decode: once per step with the step's context
};

struct PhaseOps {
  std::vector<Op> before;   // embedding
  std::vector<Op> layer;    // one layer, in order of execution
  std::vector<Op> between;  // once from each stage of a pipeline to the next
  std::vector<Op> after;    // final norm, head, argmax, the token back to the first stage
};

// Prefill runs once over batch * prompt tokens (causal attention; the head for the last token of
// each request only). A decode step runs over `batch` tokens; step i = 1..G-1 has a context of
// prompt + i tokens.
//
// In a pipeline the ops are those of one micro-batch of `batch` requests, all stages together.
struct ModelOps {
  int64_t num_layers = 0;
  int64_t num_stages = 1;
  int64_t num_micro_batches = 1;
  int64_t batch = 0;                 // requests that an op runs for
  int64_t prefill_context = 0;       // P
  int64_t first_decode_context = 0;  // P + 1
  int64_t num_decode_steps = 0;      // G - 1
  PhaseOps prefill;
  PhaseOps decode;
};

// One class of a workload's mix as a workload of its own, and its share of the requests.
struct WorkloadClass {
  Workload workload;  // without a mix
  double share_frac = 1;
};
// The workload's own lengths first; shares sum to 1. One class without a mix.
[[nodiscard]] std::vector<WorkloadClass> workload_classes(const Workload& workload);

inline constexpr int64_t kMaxOtherClasses = 63;

// Errors: kInvalidArgument (too many classes, shares of the mix that leave nothing for the
// workload's own lengths), and for each class those of `lower`.
[[nodiscard]] Status check_workload(const model::ModelShape& shape, const Workload& workload);

// What one of `tensor_parallel` chips holds of a model, the largest share where one does not
// divide: query heads, KV heads, intermediate features and vocabulary are divided, hidden features
// are not. KV heads fewer than chips are held by several. Source: Shoeybi et al., "Megatron-LM",
// 2019; KV heads as in Pope et al., "Efficiently Scaling Transformer Inference", MLSys 2023.
// Errors: kInvalidArgument (heads that chips do not divide; KV heads that neither divide nor are
// divided by the chips).
[[nodiscard]] Result<model::ModelShape> shard_shape(const model::ModelShape& shape,
                                                    int64_t tensor_parallel);

// How chips divide a model: `pipeline_parallel` stages of layers in order, each on
// `tensor_parallel` chips that divide every layer of the stage.
struct Split {
  int64_t tensor_parallel = 1;
  int64_t pipeline_parallel = 1;
  int64_t micro_batches = 0;  // of the batch, at most; 0: as many as stages
};

// The parts of a batch that pass the stages of a pipeline one after the other.
struct MicroBatches {
  int64_t count = 1;
  int64_t size = 1;  // requests of the largest, which stands for all
};
// As many as the split asks for (as stages, where it leaves them open), or fewer if fewer of the
// same size hold the batch: more would read the weights more often for nothing.
[[nodiscard]] MicroBatches micro_batches(int64_t batch, const Split& split);

// Errors: kInvalidArgument (more stages than layers, more micro-batches than requests); those of
// shard_shape.
[[nodiscard]] Status check_split(const model::ModelShape& shape, const Workload& workload,
                                 const Split& split);

// Quantising activations and cached vectors is no op of this list: it belongs to the treatment of
// the linear (of `kv`) that reads them, and `silicon` prices it there.
// Errors: kInvalidArgument (a mix: its classes are lowered one by one; a dimension below 1, prompt
// + output beyond max_positions, a product that does not fit 2^53); those of check_split.
//
// tensor_parallel > 1: the ops of one chip, which are those of its shard_shape, and the
// collectives. attn_o and mlp_down leave partial sums of all hidden features, which a ring adds at
// bf16 (all ranks send 2 (t - 1) pieces of 1 / t); so does the embedding, whose rows are divided.
// argmax over a share of the vocabulary ends with a ring that gathers (value, index) pairs.
//
// pipeline_parallel > 1: every chip sends the hidden states of its micro-batch at bf16 to its peer
// in the next stage (kCollective of one step that combines nothing), the last stage its tokens to
// the first.
[[nodiscard]] Result<ModelOps> lower(const model::ModelShape& shape, const Workload& workload,
                                     const Split& split = {});

// Multiply-accumulates of a whole request batch of the workload's own lengths: linears, scores and
// values. An independent count for tests and bounds.
[[nodiscard]] double total_macs(const model::ModelShape& shape, const Workload& workload);

}  // namespace dovetail::recipe
