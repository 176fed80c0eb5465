#include "compress/compress_plan.h"

#include <gtest/gtest.h>

namespace dovetail::compress {
namespace {

model::ModelShape shape(int64_t layers, int64_t hidden, int64_t intermediate, int64_t heads,
                        int64_t kv_heads, int64_t vocab) {
  model::ModelShape s;
  s.name = "planned";
  s.num_layers = layers;
  s.hidden_size = hidden;
  s.intermediate_size = intermediate;
  s.num_heads = heads;
  s.num_kv_heads = kv_heads;
  s.head_dim = 128;
  s.vocab_size = vocab;
  s.max_positions = 4096;
  return s;
}

recipe::Recipe uniform(const model::ModelShape& s, std::string_view name) {
  return recipe::parse_uniform_recipe(s, name).value();
}

constexpr int64_t kGib = int64_t{1} << 30;

model::ModelShape smollm2_shape() {
  model::ModelShape s = shape(30, 576, 1536, 9, 3, 49152);
  s.head_dim = 64;
  return s;
}

PlanInputs text_of_64_x_512() {
  return {.sequences = 64, .seq = 512, .memory_bytes = 20 * kGib, .fp32_flops_per_s = 1e11};
}

TEST(CompressPlan, MemoryDoesNotGrowWithTheLayers) {
  const PlanInputs inputs{.sequences = 64, .seq = 512, .memory_bytes = 400 * kGib};
  const auto few = shape(2, 8192, 28672, 64, 8, 128256);
  const auto many = shape(80, 8192, 28672, 64, 8, 128256);
  const auto a = plan_compression(few, uniform(few, "int4_g128_gptq"), inputs).value();
  const auto b = plan_compression(many, uniform(many, "int4_g128_gptq"), inputs).value();
  EXPECT_EQ(a.peak_bytes, b.peak_bytes);
  EXPECT_EQ(a.peak_step, b.peak_step);
  EXPECT_NEAR(b.forward_flops / a.forward_flops, 40, 1e-9);
}

// Counted by hand for one linear shape: SmolLM2-135M, 64 x 512 tokens.
TEST(CompressPlan, CountsTheArithmeticOfAKnownModel) {
  const model::ModelShape s = smollm2_shape();
  const PlanInputs inputs = text_of_64_x_512();
  const auto plan = plan_compression(s, uniform(s, "int4_g64_gptq"), inputs).value();
  const double linears = 576.0 * (576 + 2 * 192) + 576.0 * 576 + 3.0 * 576 * 1536;
  EXPECT_NEAR(plan.forward_flops, 30 * 32768.0 * (2 * linears + 2 * 512.0 * 576), 1e6);
  EXPECT_NEAR(plan.moment_flops, 30 * 32768.0 * (3 * 576.0 * 576 + 1536.0 * 1536), 1e6);
  EXPECT_FALSE(plan.spills);
  EXPECT_NEAR(plan.duration_s, (plan.forward_flops + plan.moment_flops + plan.solve_flops) / 1e11,
              1e-6);
}

TEST(CompressPlan, CountsTheOriginalThatRunsBeside) {
  const model::ModelShape s = shape(30, 1536, 8960, 12, 2, 151936);
  const PlanInputs inputs{.sequences = 64, .seq = 512, .memory_bytes = 20 * kGib};
  const auto alone = plan_compression(s, uniform(s, "int4_g64_gptq"), inputs).value();
  const auto beside = plan_compression(s, uniform(s, "int4_g64_gptq+qep:0.5"), inputs).value();
  EXPECT_EQ(beside.forward_flops, 2 * alone.forward_flops);
  EXPECT_NEAR(beside.moment_flops, 3 * alone.moment_flops, 1e-6 * alone.moment_flops);
  // Its text and its layer at least.
  EXPECT_GT(beside.peak_bytes - alone.peak_bytes, 4 * 32768 * (1536 + 8960));
  // Both texts go to disk.
  const PlanInputs little{.sequences = 64, .seq = 512, .memory_bytes = 3 * kGib};
  const auto spilled = plan_compression(s, uniform(s, "int4_g64_gptq"), little).value();
  const auto both = plan_compression(s, uniform(s, "int4_g64_gptq+qep:0.5"), little).value();
  ASSERT_TRUE(spilled.spills && both.spills);
  EXPECT_EQ(both.work_disk_bytes - spilled.work_disk_bytes, int64_t{4} * 32768 * (1536 + 8960));
}

// Sizes of what is left; scoring is three times a forward pass and more, over what was there.
TEST(CompressPlan, CountsThePrunedModelAndWhatItTakesToPruneIt) {
  const model::ModelShape s = smollm2_shape();
  const PlanInputs inputs = text_of_64_x_512();
  const auto plan = plan_compression(s, uniform(s, "int4_g64_gptq+mlp:1344"), inputs).value();
  model::ModelShape left = s;
  left.intermediate_size = 1344;
  const auto small = plan_compression(left, uniform(left, "int4_g64_gptq"), inputs).value();
  EXPECT_EQ(plan.out_disk_bytes, small.out_disk_bytes);
  EXPECT_EQ(plan.moment_flops, small.moment_flops);
  EXPECT_EQ(small.scoring_flops, 0);
  const double linears = 576.0 * (576 + 2 * 192) + 576.0 * 576 + 3.0 * 576 * 1536;
  EXPECT_NEAR(plan.scoring_flops,
              32768.0 * (30 * (3 * 2 * linears + 4.5 * 2 * 512.0 * 576) + 4 * 49152.0 * 576), 1e6);
  EXPECT_GE(plan.peak_bytes, 31 * 32768 * int64_t{576} * 4);
  EXPECT_NE(to_text(plan).find("scoring what is pruned"), std::string::npos);
  // On disk the streams of all layers are no longer memory's.
  PlanInputs tight = inputs;
  tight.memory_bytes = 2 * kGib;
  const auto spilled = plan_compression(s, uniform(s, "int4_g64_gptq+mlp:1344"), tight).value();
  EXPECT_TRUE(spilled.spills);
  EXPECT_GE(spilled.work_disk_bytes, 31 * 32768 * int64_t{576} * 4);
  // Pruning alone asks nothing of the text afterwards.
  const auto alone = plan_compression(s, uniform(s, "bf16+mlp:1344"), inputs).value();
  EXPECT_EQ(alone.forward_flops, 0);
  EXPECT_EQ(alone.scoring_flops, plan.scoring_flops);
}

TEST(CompressPlan, SpillsBeforeItRefuses) {
  const auto s = shape(28, 1536, 8960, 12, 2, 151936);
  const recipe::Recipe recipe = uniform(s, "int4_g128_gptq");
  PlanInputs inputs{.sequences = 64, .seq = 512, .memory_bytes = 40 * kGib};
  const auto roomy = plan_compression(s, recipe, inputs).value();
  EXPECT_FALSE(roomy.spills);
  inputs.memory_bytes = 3 * kGib;
  const auto tight = plan_compression(s, recipe, inputs).value();
  EXPECT_TRUE(tight.spills);
  EXPECT_LE(tight.peak_bytes, 3 * kGib);
  EXPECT_GT(tight.work_disk_bytes, roomy.work_disk_bytes);
  inputs.memory_bytes = kGib / 2;
  const auto refused = plan_compression(s, recipe, inputs);
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().message.starts_with("memory: 0.50 GiB are allowed, want at least "))
      << refused.error().message;
}

TEST(CompressPlan, TextSaysWhatDecides) {
  const auto s = shape(28, 1536, 8960, 12, 2, 151936);
  const PlanInputs inputs{
      .sequences = 64, .seq = 512, .memory_bytes = 40 * kGib, .fp32_flops_per_s = 2e11};
  const std::string text =
      to_text(plan_compression(s, uniform(s, "int4_g128_gptq"), inputs).value());
  for (const char* word : {"memory", "mlp_down (int4_g128_gptq)", "disk", "TFLOP", "200 GFLOP/s"})
    EXPECT_NE(text.find(word), std::string::npos) << word << "\n" << text;
}

}  // namespace
}  // namespace dovetail::compress
