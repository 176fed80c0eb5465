#include "recipe/lower.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dovetail::recipe {
namespace {

// All products stay exact in a double.
constexpr double kMaxExact = 9007199254740992.0;  // 2^53

constexpr int64_t kSumBytes = 2;   // partial sums and hidden states travel at bf16
constexpr int64_t kPairBytes = 8;  // largest logit and its index
constexpr int64_t kTokenBytes = 4;

// One phase: `tokens` rows cross the linears, `last_tokens` of them reach the head.
struct Phase {
  int64_t tokens = 0;
  int64_t last_tokens = 0;
  int64_t query_tokens = 0;  // per request
  int64_t context = 0;       // 0: grows with the step
};

class PhaseLowering {
 public:
  // `shape` is what one chip holds.
  PhaseLowering(const model::ModelShape& shape, const Workload& workload, const Split& split,
                const Phase& phase)
      : shape_(shape),
        workload_(workload),
        chips_(split.tensor_parallel),
        stages_(split.pipeline_parallel),
        phase_(phase) {}

  PhaseOps lower() const {
    const int64_t hidden = shape_.hidden_size;
    PhaseOps ops;
    ops.before = {vector("embedding", VectorKind::kEmbedding, SiteKind::kAttnQkv, hidden)};
    push_all_reduce("embedding_all_reduce", SiteKind::kAttnQkv, ops.before);
    ops.layer.push_back(vector("attn_norm", VectorKind::kRmsNorm, SiteKind::kAttnQkv, hidden));
    ops.layer.push_back(linear(SiteKind::kAttnQkv, phase_.tokens));
    if (shape_.qkv_bias) {
      ops.layer.push_back(vector("qkv_bias", VectorKind::kBiasAdd, SiteKind::kKv,
                                 shape_.q_size() + 2 * shape_.kv_size()));
    }
    if (shape_.qk_norm) {
      ops.layer.push_back(vector("qk_norm", VectorKind::kRmsNorm, SiteKind::kKv,
                                 shape_.q_size() + shape_.kv_size()));
    }
    ops.layer.push_back(
        vector("rope", VectorKind::kRope, SiteKind::kKv, shape_.q_size() + shape_.kv_size()));
    push_attention(ops.layer);
    ops.layer.push_back(linear(SiteKind::kAttnO, phase_.tokens));
    push_all_reduce("attn_all_reduce", SiteKind::kMlpGateUp, ops.layer);
    ops.layer.push_back(
        vector("attn_residual", VectorKind::kResidualAdd, SiteKind::kMlpGateUp, hidden));
    ops.layer.push_back(vector("mlp_norm", VectorKind::kRmsNorm, SiteKind::kMlpGateUp, hidden));
    ops.layer.push_back(linear(SiteKind::kMlpGateUp, phase_.tokens));
    ops.layer.push_back(
        vector("silu_mul", VectorKind::kSiluMul, SiteKind::kMlpDown, shape_.intermediate_size));
    ops.layer.push_back(linear(SiteKind::kMlpDown, phase_.tokens));
    push_all_reduce("mlp_all_reduce", SiteKind::kAttnQkv, ops.layer);
    ops.layer.push_back(
        vector("mlp_residual", VectorKind::kResidualAdd, SiteKind::kAttnQkv, hidden));
    ops.after = {last_vector("final_norm", VectorKind::kRmsNorm, hidden),
                 linear(SiteKind::kHead, phase_.last_tokens),
                 last_vector("argmax", VectorKind::kArgmax, shape_.vocab_size)};
    push_argmax_gather(ops.after);
    push_transfer("stage_transfer", SiteKind::kAttnQkv, phase_.tokens * hidden * kSumBytes,
                  ops.between);
    push_transfer("token_transfer", SiteKind::kHead, phase_.last_tokens * kTokenBytes, ops.after);
    return ops;
  }

 private:
  Op linear(SiteKind site, int64_t m) const {
    const LinearShape weights = linear_shape(shape_, site);
    Op op;
    op.kind = OpKind::kLinear;
    op.site = site;
    op.name = site_kind_name(site);
    op.m = m;
    op.k = weights.k;
    op.n = weights.n;
    return op;
  }

  Op vector(std::string name, VectorKind kind, SiteKind site, int64_t per_token) const {
    Op op;
    op.kind = OpKind::kVector;
    op.vector = kind;
    op.site = site;
    op.name = std::move(name);
    op.elements = phase_.tokens * per_token;
    return op;
  }

  Op last_vector(std::string name, VectorKind kind, int64_t per_token) const {
    Op op = vector(std::move(name), kind, SiteKind::kHead, per_token);
    op.elements = phase_.last_tokens * per_token;
    return op;
  }

  // A ring: reduce-scatter, then all-gather, t - 1 steps each, of pieces of 1 / t.
  void push_all_reduce(std::string name, SiteKind site, std::vector<Op>& ops) const {
    if (chips_ == 1) return;
    const int64_t values = phase_.tokens * shape_.hidden_size;
    const int64_t piece = (values + chips_ - 1) / chips_;
    Op op;
    op.kind = OpKind::kCollective;
    op.vector = VectorKind::kResidualAdd;
    op.site = site;
    op.name = std::move(name);
    op.elements = (chips_ - 1) * piece;
    op.ring_steps = 2 * (chips_ - 1);
    op.step_bytes = piece * kSumBytes;
    op.memory_bytes = 2 * values * kSumBytes;
    ops.push_back(op);
  }

  void push_argmax_gather(std::vector<Op>& ops) const {
    if (chips_ == 1) return;
    Op op;
    op.kind = OpKind::kCollective;
    op.vector = VectorKind::kArgmax;
    op.site = SiteKind::kHead;
    op.name = "argmax_gather";
    op.elements = phase_.last_tokens * chips_;
    op.ring_steps = chips_ - 1;
    op.step_bytes = phase_.last_tokens * kPairBytes;
    op.memory_bytes = 2 * op.elements * kPairBytes;
    ops.push_back(op);
  }

  // From every chip of a stage to its peer in another: one step, nothing to combine.
  void push_transfer(std::string name, SiteKind site, int64_t bytes, std::vector<Op>& ops) const {
    if (stages_ == 1) return;
    Op op;
    op.kind = OpKind::kCollective;
    op.site = site;
    op.name = std::move(name);
    op.ring_steps = 1;
    op.step_bytes = bytes;
    op.memory_bytes = 2 * bytes;
    ops.push_back(op);
  }

  void push_attention(std::vector<Op>& layer) const {
    const bool grows = phase_.context == 0;
    Op scores;
    scores.kind = OpKind::kScores;
    scores.site = SiteKind::kKv;
    scores.name = "scores";
    scores.m = phase_.query_tokens * (shape_.num_heads / shape_.num_kv_heads);
    scores.k = shape_.head_dim;
    scores.n = phase_.context;
    scores.copies = workload_.batch * shape_.num_kv_heads;
    scores.grows_with_context = grows;
    Op softmax;
    softmax.kind = OpKind::kVector;
    softmax.vector = VectorKind::kSoftmax;
    softmax.site = SiteKind::kKv;
    softmax.name = "softmax";
    // A causal row of token t has t + 1 elements; in decode every context token adds one per head.
    const int64_t causal = phase_.context * (phase_.context + 1) / 2;
    softmax.elements = workload_.batch * shape_.num_heads * (grows ? 1 : causal);
    softmax.grows_with_context = grows;
    Op values = scores;
    values.kind = OpKind::kValues;
    values.name = "values";
    values.k = phase_.context;
    values.n = shape_.head_dim;
    layer.insert(layer.end(), {scores, softmax, values});
  }

  const model::ModelShape& shape_;
  const Workload& workload_;
  const int64_t chips_;
  const int64_t stages_;
  const Phase phase_;
};

Status check_inputs(const model::ModelShape& shape, const Workload& workload) {
  struct Named {
    const char* name;
    int64_t value;
  };
  for (const Named& d :
       {Named{"num_layers", shape.num_layers}, Named{"hidden_size", shape.hidden_size},
        Named{"intermediate_size", shape.intermediate_size}, Named{"num_heads", shape.num_heads},
        Named{"num_kv_heads", shape.num_kv_heads}, Named{"head_dim", shape.head_dim},
        Named{"vocab_size", shape.vocab_size}, Named{"prompt_tokens", workload.prompt_tokens},
        Named{"output_tokens", workload.output_tokens}, Named{"batch", workload.batch}}) {
    if (d.value < 1 || d.value > (int64_t{1} << 31)) {
      return invalid_argument(
          fmt::format("{}: {} = {}, want 1..2^31", shape.name, d.name, d.value));
    }
  }
  if (shape.num_heads % shape.num_kv_heads != 0) {
    return invalid_argument(fmt::format("{}: num_heads = {}, want a multiple of num_kv_heads = {}",
                                        shape.name, shape.num_heads, shape.num_kv_heads));
  }
  const int64_t positions = workload.prompt_tokens + workload.output_tokens;
  if (shape.max_positions > 0 && positions > shape.max_positions) {
    return invalid_argument(fmt::format(
        "workload {}: prompt_tokens + output_tokens = {}, want at most {} (the positions "
        "of {})",
        workload.name, positions, shape.max_positions, shape.name));
  }
  if (total_macs(shape, workload) > kMaxExact * 1024) {
    return invalid_argument(fmt::format("workload {}: more than 2^63 operations", workload.name));
  }
  const double attention_elements =
      static_cast<double>(workload.batch) * static_cast<double>(shape.num_heads) *
      static_cast<double>(workload.prompt_tokens) * static_cast<double>(workload.prompt_tokens);
  if (attention_elements > kMaxExact) {
    return invalid_argument(
        fmt::format("workload {}: attention of {} prompt tokens and batch {} has {:.3g} elements, "
                    "want at most 2^53",
                    workload.name, workload.prompt_tokens, workload.batch, attention_elements));
  }
  return {};
}

}  // namespace

Result<model::ModelShape> shard_shape(const model::ModelShape& shape, int64_t tensor_parallel) {
  const int64_t chips = tensor_parallel;
  if (chips < 1 || shape.num_heads % chips != 0) {
    return invalid_argument(
        fmt::format("{}: num_heads = {}, want a multiple of tensor_parallel = {}", shape.name,
                    shape.num_heads, chips));
  }
  if (shape.num_kv_heads % chips != 0 && chips % shape.num_kv_heads != 0) {
    return invalid_argument(
        fmt::format("{}: num_kv_heads = {}, want a multiple or a divisor of tensor_parallel = {}",
                    shape.name, shape.num_kv_heads, chips));
  }
  model::ModelShape shard = shape;
  shard.num_heads /= chips;
  shard.num_kv_heads = std::max<int64_t>(1, shape.num_kv_heads / chips);
  shard.intermediate_size = (shape.intermediate_size + chips - 1) / chips;
  shard.vocab_size = (shape.vocab_size + chips - 1) / chips;
  return shard;
}

std::vector<WorkloadClass> workload_classes(const Workload& workload) {
  std::vector<WorkloadClass> classes = {{.workload = workload, .share_frac = 1}};
  classes[0].workload.mix.clear();
  for (const RequestClass& other : workload.mix) {
    WorkloadClass& added = classes.emplace_back(classes[0]);
    added.workload.prompt_tokens = other.prompt_tokens;
    added.workload.output_tokens = other.output_tokens;
    added.share_frac = other.share_frac;
    classes[0].share_frac -= other.share_frac;
  }
  return classes;
}

Status check_workload(const model::ModelShape& shape, const Workload& workload) {
  if (std::ssize(workload.mix) > kMaxOtherClasses) {
    return invalid_argument(fmt::format("workload {}: mix has {} entries, want at most {}",
                                        workload.name, workload.mix.size(), kMaxOtherClasses));
  }
  const std::vector<WorkloadClass> classes = workload_classes(workload);
  if (!(classes[0].share_frac > 0)) {
    return invalid_argument(fmt::format(
        "workload {}: share_frac of mix sums to {:g}, want less than 1: the rest are "
        "requests of prompt_tokens = {} and output_tokens = {}",
        workload.name, 1 - classes[0].share_frac, workload.prompt_tokens, workload.output_tokens));
  }
  for (const WorkloadClass& one : classes) {
    DOVETAIL_TRY_STATUS(check_inputs(shape, one.workload));
  }
  return {};
}

MicroBatches micro_batches(int64_t batch, const Split& split) {
  const int64_t wanted =
      split.micro_batches > 0 ? split.micro_batches : std::min(split.pipeline_parallel, batch);
  const int64_t size = (batch + wanted - 1) / wanted;
  return {.count = (batch + size - 1) / size, .size = size};
}

Status check_split(const model::ModelShape& shape, const Workload& workload, const Split& split) {
  const auto shard = shard_shape(shape, split.tensor_parallel);
  if (!shard.has_value()) return std::unexpected(shard.error());
  if (split.pipeline_parallel < 1 || split.pipeline_parallel > shape.num_layers) {
    return invalid_argument(fmt::format("{}: num_layers = {}, want at least pipeline_parallel = {}",
                                        shape.name, shape.num_layers, split.pipeline_parallel));
  }
  if (split.micro_batches > workload.batch) {
    return invalid_argument(fmt::format("workload {}: batch = {}, want at least micro_batches = {}",
                                        workload.name, workload.batch, split.micro_batches));
  }
  return {};
}

Result<ModelOps> lower(const model::ModelShape& whole, const Workload& workload,
                       const Split& split) {
  if (!workload.mix.empty()) {
    return invalid_argument(fmt::format(
        "workload {}: has a mix, want one class of it (workload_classes)", workload.name));
  }
  DOVETAIL_TRY_STATUS(check_inputs(whole, workload));
  DOVETAIL_TRY_STATUS(check_split(whole, workload, split));
  DOVETAIL_TRY(const model::ModelShape shape, shard_shape(whole, split.tensor_parallel));
  const MicroBatches parts = micro_batches(workload.batch, split);
  Workload part = workload;
  part.batch = parts.size;
  ModelOps ops;
  ops.num_layers = shape.num_layers;
  ops.num_stages = split.pipeline_parallel;
  ops.num_micro_batches = parts.count;
  ops.batch = part.batch;
  ops.prefill_context = workload.prompt_tokens;
  ops.first_decode_context = workload.prompt_tokens + 1;
  ops.num_decode_steps = workload.output_tokens - 1;
  const Phase prefill = {.tokens = part.batch * part.prompt_tokens,
                         .last_tokens = part.batch,
                         .query_tokens = part.prompt_tokens,
                         .context = part.prompt_tokens};
  const Phase decode = {
      .tokens = part.batch, .last_tokens = part.batch, .query_tokens = 1, .context = 0};
  ops.prefill = PhaseLowering(shape, part, split, prefill).lower();
  ops.decode = PhaseLowering(shape, part, split, decode).lower();
  return ops;
}

double total_macs(const model::ModelShape& shape, const Workload& workload) {
  const auto prompt = static_cast<double>(workload.prompt_tokens);
  const auto output = static_cast<double>(workload.output_tokens);
  const auto batch = static_cast<double>(workload.batch);
  const auto layers = static_cast<double>(shape.num_layers);
  const auto hidden = static_cast<double>(shape.hidden_size);
  const double heads_dim =
      static_cast<double>(shape.num_heads) * static_cast<double>(shape.head_dim);
  const double kv_dim =
      static_cast<double>(shape.num_kv_heads) * static_cast<double>(shape.head_dim);
  const double per_token =
      layers * hidden *
      (2 * heads_dim + 2 * kv_dim + 3 * static_cast<double>(shape.intermediate_size));
  // Keys seen by all queries of a request: 1..P in prefill, P+1..P+G-1 in decode.
  const double last = prompt + output - 1;
  const double keys_seen = last * (last + 1) / 2;
  return batch * ((prompt + output - 1) * per_token +
                  output * hidden * static_cast<double>(shape.vocab_size) +
                  layers * 2 * heads_dim * keys_seen);
}

}  // namespace dovetail::recipe
