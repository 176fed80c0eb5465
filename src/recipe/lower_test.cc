#include "recipe/lower.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/random.h"

namespace dovetail::recipe {
namespace {

model::ModelShape llama3_8b() {
  model::ModelShape shape;
  shape.name = "llama-3-8b";
  shape.num_layers = 32;
  shape.hidden_size = 4096;
  shape.intermediate_size = 14336;
  shape.num_heads = 32;
  shape.num_kv_heads = 8;
  shape.head_dim = 128;
  shape.vocab_size = 128256;
  shape.max_positions = 8192;
  shape.tied_embedding = false;
  return shape;
}

// Oracle: walks the op list and every decode step one by one.
double macs_of_ops(const ModelOps& ops) {
  const auto phase = [&](const PhaseOps& p, int64_t context, bool causal) {
    double layer = 0;
    double after = 0;
    for (const Op& op : p.layer) {
      const auto copies = static_cast<double>(op.copies);
      if (op.kind == OpKind::kLinear) layer += static_cast<double>(op.m * op.k * op.n);
      if (op.kind != OpKind::kScores && op.kind != OpKind::kValues) continue;
      const int64_t width = op.kind == OpKind::kScores ? op.k : op.n;
      if (!causal) layer += copies * static_cast<double>(op.m * width * context);
      for (int64_t t = 0; causal && t < context; ++t) {
        layer += copies * static_cast<double>(op.m / context * width * (t + 1));
      }
    }
    for (const Op& op : p.after) after += static_cast<double>(op.m * op.k * op.n);
    return static_cast<double>(ops.num_layers) * layer + after;
  };
  double total = phase(ops.prefill, ops.prefill_context, true);
  for (int64_t i = 0; i < ops.num_decode_steps; ++i) {
    total += phase(ops.decode, ops.first_decode_context + i, false);
  }
  return total;
}

const Op& find(const std::vector<Op>& ops, const std::string& name) {
  const auto it =
      std::find_if(ops.begin(), ops.end(), [&](const Op& op) { return op.name == name; });
  EXPECT_NE(it, ops.end()) << name;
  return *it;
}

TEST(Lower, MatchesHandWorkedLlama3) {
  const Workload workload{.name = "w", .prompt_tokens = 512, .output_tokens = 256, .batch = 2};
  const auto ops = lower(llama3_8b(), workload);
  ASSERT_TRUE(ops.has_value()) << ops.error().message;
  EXPECT_EQ(ops->num_layers, 32);
  EXPECT_EQ(ops->first_decode_context, 513);
  EXPECT_EQ(ops->num_decode_steps, 255);
  const Op& qkv = find(ops->prefill.layer, "attn_qkv");
  EXPECT_EQ(qkv.m, 1024);
  EXPECT_EQ(qkv.k, 4096);
  EXPECT_EQ(qkv.n, 4096 + 2 * 1024);
  const Op& gate_up = find(ops->decode.layer, "mlp_gate_up");
  EXPECT_EQ(gate_up.m, 2);
  EXPECT_EQ(gate_up.n, 28672);
  // Four query heads share a key head; one copy per request and key head.
  const Op& scores = find(ops->prefill.layer, "scores");
  EXPECT_EQ(scores.m, 2048);
  EXPECT_EQ(scores.k, 128);
  EXPECT_EQ(scores.n, 512);
  EXPECT_EQ(scores.copies, 16);
  EXPECT_EQ(find(ops->decode.layer, "scores").m, 4);
  EXPECT_EQ(find(ops->decode.layer, "scores").n, 0);
  EXPECT_EQ(find(ops->prefill.layer, "softmax").elements, 2 * 32 * (512 * 513 / 2));
  EXPECT_EQ(find(ops->decode.layer, "softmax").elements, 64);
  EXPECT_EQ(find(ops->prefill.layer, "rope").elements, 1024 * (4096 + 1024));
  // The head runs for the last token of each request only.
  EXPECT_EQ(find(ops->prefill.after, "head").m, 2);
  EXPECT_EQ(find(ops->prefill.after, "head").n, 128256);
  EXPECT_EQ(find(ops->prefill.after, "argmax").elements, 2 * 128256);
}

TEST(TotalMacs, MatchesHandWorkedLlama3) {
  // Linears of the blocks: 32 * (2 * 4096^2 + 2 * 4096 * 1024 + 3 * 4096 * 14336) = 6,979,321,856.
  // Head: 128,256 * 4,096 = 525,336,576. One prompt token, one output token, attention over one
  // key: 2 * 32 layers * 4096.
  const Workload one{.name = "w", .prompt_tokens = 1, .output_tokens = 1, .batch = 1};
  EXPECT_DOUBLE_EQ(total_macs(llama3_8b(), one), 6979321856.0 + 525336576.0 + 262144.0);
}

TEST(TotalMacs, AgreesWithTheOpListOnRandomShapes) {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    model::ModelShape shape;
    shape.name = "random";
    shape.num_layers = 1 + random.below(4);
    shape.hidden_size = 1 + random.below(100);
    shape.intermediate_size = 1 + random.below(200);
    shape.num_kv_heads = 1 + random.below(4);
    shape.num_heads = shape.num_kv_heads * (1 + random.below(4));
    shape.head_dim = 2 * (1 + random.below(16));
    shape.vocab_size = 1 + random.below(300);
    const Workload workload{.name = "w",
                            .prompt_tokens = 1 + random.below(40),
                            .output_tokens = 1 + random.below(20),
                            .batch = 1 + random.below(5)};
    const auto ops = lower(shape, workload);
    ASSERT_TRUE(ops.has_value()) << ops.error().message;
    ASSERT_DOUBLE_EQ(total_macs(shape, workload), macs_of_ops(*ops)) << i;
  }
}

TEST(Lower, OneOfEightChipsMatchesHandWorkedLlama3) {
  const Workload workload{.name = "w", .prompt_tokens = 512, .output_tokens = 256, .batch = 2};
  const auto ops = lower(llama3_8b(), workload, {.tensor_parallel = 8});
  ASSERT_TRUE(ops.has_value()) << ops.error().message;
  EXPECT_EQ(find(ops->prefill.layer, "attn_qkv").n, 512 + 2 * 128);
  EXPECT_EQ(find(ops->prefill.layer, "attn_qkv").k, 4096);
  EXPECT_EQ(find(ops->prefill.layer, "attn_o").k, 512);
  EXPECT_EQ(find(ops->prefill.layer, "attn_o").n, 4096);
  EXPECT_EQ(find(ops->prefill.layer, "mlp_gate_up").n, 28672 / 8);
  EXPECT_EQ(find(ops->prefill.layer, "mlp_down").k, 14336 / 8);
  EXPECT_EQ(find(ops->decode.after, "head").n, 128256 / 8);
  EXPECT_EQ(find(ops->decode.layer, "scores").copies, 2);  // one KV head for each request
  EXPECT_EQ(find(ops->decode.layer, "attn_norm").elements, 2 * 4096);
  // 2 tokens of 4,096 sums in pieces of 1,024, fourteen steps; seven pieces are added.
  for (const char* name : {"attn_all_reduce", "mlp_all_reduce"}) {
    const Op& sum = find(ops->decode.layer, name);
    EXPECT_EQ(sum.ring_steps, 14);
    EXPECT_EQ(sum.step_bytes, 1024 * 2);
    EXPECT_EQ(sum.elements, 7 * 1024);
    EXPECT_EQ(sum.memory_bytes, 2 * 2 * 4096 * 2);
    EXPECT_EQ(find(ops->prefill.layer, name).step_bytes, 512 * 1024 * 2);
  }
  EXPECT_EQ(find(ops->prefill.before, "embedding_all_reduce").step_bytes, 512 * 1024 * 2);
  const Op& gather = find(ops->decode.after, "argmax_gather");
  EXPECT_EQ(gather.ring_steps, 7);
  EXPECT_EQ(gather.step_bytes, 2 * 8);
  EXPECT_EQ(gather.elements, 16);
}

TEST(Lower, ChipsTogetherDoTheWholeModel) {
  const Workload workload{.name = "w", .prompt_tokens = 33, .output_tokens = 9, .batch = 3};
  for (const int64_t chips : {1, 2, 4, 8}) {
    const auto ops = lower(llama3_8b(), workload, {.tensor_parallel = chips});
    ASSERT_TRUE(ops.has_value()) << ops.error().message;
    EXPECT_DOUBLE_EQ(static_cast<double>(chips) * macs_of_ops(*ops),
                     total_macs(llama3_8b(), workload));
  }
}

TEST(ShardShape, RepeatsKvHeadsAndRoundsUp) {
  model::ModelShape shape = llama3_8b();
  shape.intermediate_size = 14337;
  const auto sixteen = shard_shape(shape, 16);
  ASSERT_TRUE(sixteen.has_value());
  EXPECT_EQ(sixteen->num_kv_heads, 1);  // each on two chips
  EXPECT_EQ(sixteen->num_heads, 2);
  EXPECT_EQ(sixteen->intermediate_size, 897);
  EXPECT_EQ(sixteen->hidden_size, 4096);
  EXPECT_EQ(shard_shape(shape, 3).error().message,
            "llama-3-8b: num_heads = 32, want a multiple of tensor_parallel = 3");
  shape.num_heads = 36;
  shape.num_kv_heads = 6;
  EXPECT_EQ(shard_shape(shape, 4).error().message,
            "llama-3-8b: num_kv_heads = 6, want a multiple or a divisor of tensor_parallel = 4");
}

TEST(MicroBatches, AreAsFewAsTheirSizeAllows) {
  const auto check = [](int64_t batch, Split split, int64_t count, int64_t size) {
    const MicroBatches parts = micro_batches(batch, split);
    EXPECT_EQ(parts.count, count) << batch;
    EXPECT_EQ(parts.size, size) << batch;
  };
  check(32, {}, 1, 32);
  check(32, {.pipeline_parallel = 4}, 4, 8);
  check(32, {.pipeline_parallel = 4, .micro_batches = 16}, 16, 2);
  check(1, {.pipeline_parallel = 4}, 1, 1);
  check(7, {.pipeline_parallel = 4}, 4, 2);  // 2, 2, 2, 1
  check(7, {.pipeline_parallel = 5}, 4, 2);  // five would hold as many
  check(7, {.pipeline_parallel = 2, .micro_batches = 1}, 1, 7);
}

// One micro-batch's ops, the hand-overs between its stages and the token back to the first.
TEST(Lower, APipelineRunsMicroBatchesAndHandsOver) {
  const Workload workload{.name = "w", .prompt_tokens = 100, .output_tokens = 5, .batch = 12};
  const auto whole = lower(llama3_8b(), workload, {.tensor_parallel = 2});
  const auto ops = lower(llama3_8b(), workload, {.tensor_parallel = 2, .pipeline_parallel = 3});
  ASSERT_TRUE(ops.has_value()) << ops.error().message;
  EXPECT_EQ(ops->num_stages, 3);
  EXPECT_EQ(ops->num_micro_batches, 3);
  EXPECT_EQ(ops->batch, 4);
  EXPECT_DOUBLE_EQ(3 * macs_of_ops(*ops), macs_of_ops(*whole));
  EXPECT_TRUE(whole->prefill.between.empty());
  EXPECT_EQ(whole->batch, 12);
  ASSERT_EQ(ops->prefill.between.size(), 1U);
  const Op& hand_over = ops->prefill.between[0];
  EXPECT_EQ(hand_over.kind, OpKind::kCollective);
  EXPECT_EQ(hand_over.name, "stage_transfer");
  EXPECT_EQ(hand_over.ring_steps, 1);
  EXPECT_EQ(hand_over.elements, 0);
  EXPECT_EQ(hand_over.step_bytes, 4 * 100 * 4096 * 2);  // every chip sends all hidden states
  EXPECT_EQ(hand_over.memory_bytes, 2 * hand_over.step_bytes);
  EXPECT_EQ(ops->decode.between[0].step_bytes, 4 * 4096 * 2);
  EXPECT_EQ(ops->decode.after.back().name, "token_transfer");
  EXPECT_EQ(ops->decode.after.back().step_bytes, 4 * 4);
  EXPECT_EQ(ops->decode.layer.size(), whole->decode.layer.size());
  EXPECT_EQ(ops->decode.after.size(), whole->decode.after.size() + 1);
}

TEST(Lower, RefusesMoreStagesThanLayersAndMoreMicroBatchesThanRequests) {
  const Workload workload{.name = "w", .prompt_tokens = 8, .output_tokens = 2, .batch = 4};
  EXPECT_TRUE(lower(llama3_8b(), workload, {.pipeline_parallel = 32}).has_value());
  EXPECT_EQ(lower(llama3_8b(), workload, {.pipeline_parallel = 33}).error().message,
            "llama-3-8b: num_layers = 32, want at least pipeline_parallel = 33");
  EXPECT_EQ(
      lower(llama3_8b(), workload, {.pipeline_parallel = 2, .micro_batches = 5}).error().message,
      "workload w: batch = 4, want at least micro_batches = 5");
}

TEST(Lower, RejectsWhatCannotRun) {
  const Workload workload{.name = "long", .prompt_tokens = 8192, .output_tokens = 1, .batch = 1};
  const auto too_long = lower(llama3_8b(), workload);
  ASSERT_FALSE(too_long.has_value());
  EXPECT_EQ(
      too_long.error().message,
      "workload long: prompt_tokens + output_tokens = 8193, want at most 8192 (the positions of "
      "llama-3-8b)");
  model::ModelShape shape = llama3_8b();
  shape.num_kv_heads = 5;
  EXPECT_FALSE(lower(shape, {.name = "w"}).has_value());
  shape.num_kv_heads = 0;
  EXPECT_FALSE(lower(shape, {.name = "w"}).has_value());
}

TEST(Workload, AMixIsReadAndLoweredClassByClass) {
  const char* text =
      "name = 'cloud'\nprompt_tokens = 100\noutput_tokens = 10\nbatch = 4\n"
      "[[mix]]\nprompt_tokens = 1000\noutput_tokens = 20\nshare_frac = 0.25\n"
      "[[mix]]\nprompt_tokens = 5\noutput_tokens = 500\nshare_frac = 0.5\n";
  const auto workload = read_config_text<Workload>(text, "w.toml");
  ASSERT_TRUE(workload.has_value()) << workload.error().message;
  const auto classes = workload_classes(*workload);
  ASSERT_EQ(classes.size(), 3U);
  const std::vector<std::array<double, 3>> want = {
      {100, 10, 0.25}, {1000, 20, 0.25}, {5, 500, 0.5}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(classes[i].workload.prompt_tokens, want[i][0]);
    EXPECT_EQ(classes[i].workload.output_tokens, want[i][1]);
    EXPECT_DOUBLE_EQ(classes[i].share_frac, want[i][2]);
    EXPECT_EQ(classes[i].workload.batch, 4);
    EXPECT_TRUE(lower(llama3_8b(), classes[i].workload).has_value());
  }
  EXPECT_TRUE(check_workload(llama3_8b(), *workload).has_value());
  EXPECT_EQ(lower(llama3_8b(), *workload).error().message,
            "workload cloud: has a mix, want one class of it (workload_classes)");
}

TEST(WorkloadError, NamesWhatIsWrongWithAMix) {
  const auto message = [](const std::string& tail) {
    const auto workload = read_config_text<Workload>(
        "name = 'w'\nprompt_tokens = 100\noutput_tokens = 10\n[[mix]]\n" + tail, "w.toml");
    if (!workload.has_value()) return workload.error().message;
    const Status checked = check_workload(llama3_8b(), *workload);
    return checked.has_value() ? std::string() : checked.error().message;
  };
  const std::string lengths = "prompt_tokens = 7\noutput_tokens = 1\n";
  EXPECT_EQ(message(lengths + "share_frac = 0.5"), "");
  EXPECT_NE(message(lengths).find("mix[0].share_frac"), std::string::npos) << message(lengths);
  EXPECT_NE(message(lengths + "share_frac = 1").find("mix[0].share_frac"), std::string::npos);
  EXPECT_NE(message(lengths + "share = 0.5").find("mix[0].share"), std::string::npos);
  EXPECT_EQ(
      message(lengths + "share_frac = 0.5\n[[mix]]\n" + lengths + "share_frac = 0.75"),
      "workload w: share_frac of mix sums to 1.25, want less than 1: the rest are requests of "
      "prompt_tokens = 100 and output_tokens = 10");
  // A class that the model cannot read is found, wherever it stands.
  EXPECT_NE(message("prompt_tokens = 100000\noutput_tokens = 1\nshare_frac = 0.5")
                .find("prompt_tokens + output_tokens = 100001"),
            std::string::npos);
}

}  // namespace
}  // namespace dovetail::recipe
