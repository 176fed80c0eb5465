#include "silicon/estimate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "silicon/random_points.h"

namespace dovetail::silicon {
namespace {

const Technology& technology() {
  static const Technology loaded = *Technology::load("data/technology");
  return loaded;
}

model::ModelShape llama3_8b() {
  return *model::load_shape("data/models/llama-3-8b/config.json");
}

recipe::Workload workload_of(const char* name) {
  return *read_config<recipe::Workload>(std::string("data/workloads/") + name + ".toml");
}

// One long stream of LPDDR5: a row of 2 KiB takes 160 ns at 12.8 GB/s, a quarter of 43.5 ns is lost
// at its opening, refresh takes 7.2 %.
constexpr double kStreamFrac = (1 - 0.072) * 160 / (160 + 43.5 / 4);

// One linear on a machine small enough to work by hand.
struct HandWorked {
  Constants constants = *resolve_constants(technology());
  chip::Chip chip = *chip::load_chip("data/chips/reference_edge.toml");
  ChipRates rates;
  recipe::Op op;

  HandWorked() {
    chip.cores = 1;
    chip.units[0].rows = 4;
    chip.units[0].cols = 8;
    chip.units[0].depth = 16;
    chip.units[0].pairs = {{"int8", "int8"}};
    chip.accumulator_kib = 1;  // 8 tiles of 32 sums; half of them hold a block
    rates = *chip_rates(constants, chip, *estimate_area(constants, chip));
    op.kind = recipe::OpKind::kLinear;
    op.m = 1;
    op.k = 64;
    op.n = 32;
  }
};

TEST(EstimateLinear, MatchesAHandWorkedDecodeOp) {
  HandWorked x;
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const auto treatment = *recipe::parse_linear_treatment("int8+a:int8_token");
  const auto cost = estimate_linear(context, x.op, treatment, false);
  ASSERT_TRUE(cost.has_value());
  // Four column tiles of ceil(64 / 16) = 4 cycles in one block: 16 + 12 (fill) + 1 (one row
  // drains).
  EXPECT_DOUBLE_EQ(cost->compute_ns, 29);
  // 32 rows of 64 payload bytes and one FP16 scale, each padded to 32 B: 96 B.
  EXPECT_DOUBLE_EQ(cost->dram_bytes, 32 * 96);
  EXPECT_NEAR(cost->dram_ns, 32 * 96 / (51.2 * kStreamFrac), 1e-9);
  // Activations: one pass of 64 B and an FP32 scale, 32 outputs of bf16, quantising reads bf16 and
  // writes int8 with the scale.
  EXPECT_DOUBLE_EQ(cost->sram_bytes, (64 + 4) + 64 + (64 * 3 + 4));
  EXPECT_DOUBLE_EQ(cost->decoder_ns, 0);
  // 2 cycles for each of 64 inputs and one for each of 32 outputs over 32 lanes.
  EXPECT_DOUBLE_EQ(cost->vector_ns, (2 * 64 + 32) / 32.0);
  EXPECT_DOUBLE_EQ(cost->macs, 64 * 32);
  // The first panel (8 rows) loads and the row is quantised before the grid starts.
  EXPECT_NEAR(cost->prologue_ns, 8 * 96 / (51.2 * kStreamFrac) + 4, 1e-9);
  EXPECT_NEAR(cost->latency_ns, 300 + std::max(cost->dram_ns, cost->prologue_ns + 29) + 8 / 32.0,
              1e-9);
  EXPECT_EQ(cost->binding(), Resource::kDram);
  EXPECT_NEAR(cost->energy.dram_pj, 32 * 96 * 8 * 4.5, 1e-9);
  // Resident: the same op, weights from shared SRAM (4 MiB, 512 B a cycle).
  const auto resident = estimate_linear(context, x.op, treatment, true);
  EXPECT_DOUBLE_EQ(resident->dram_bytes, 0);
  EXPECT_DOUBLE_EQ(resident->sram_bytes, cost->sram_bytes + 32 * 96);
  EXPECT_LT(resident->latency_ns, cost->latency_ns);
}

TEST(EstimateLinear, DecoderStallsNarrowFormats) {
  HandWorked x;
  x.chip.decoder_values_per_cycle = 2;
  x.rates = *chip_rates(x.constants, x.chip, *estimate_area(x.constants, x.chip));
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const auto packed = *recipe::parse_linear_treatment("int4+a:int8_token");
  const auto cost = estimate_linear(context, x.op, packed, false);
  ASSERT_TRUE(cost.has_value());
  EXPECT_DOUBLE_EQ(cost->decoder_ns, 64 * 32 / 2);
  EXPECT_EQ(cost->binding(), Resource::kDecoder);
}

TEST(EstimateLinear, IdleRowsCostAsMuchAsBusyOnes) {
  HandWorked x;
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const auto treatment = *recipe::parse_linear_treatment("int8+a:int8_token");
  const double one = estimate_linear(context, x.op, treatment, false)->compute_ns;
  x.op.m = 4;
  // Only the drain grows: 4 rows instead of 1.
  EXPECT_DOUBLE_EQ(estimate_linear(context, x.op, treatment, false)->compute_ns, one + 3);
  x.op.m = 5;
  EXPECT_GT(estimate_linear(context, x.op, treatment, false)->compute_ns, one + 15);
}

TEST(EstimateAttention, DecodeMatchesAHandWorkedStep) {
  HandWorked x;
  x.chip.units[0].pairs = {{"bf16", "bf16"}};
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const AttentionShape shape = {.batch = 1, .kv_heads = 2, .group = 3, .head_dim = 32};
  const auto cost = estimate_decode_attention(context, shape, {100, 1}, {}, false);
  ASSERT_TRUE(cost.has_value());
  // Two KV heads in turn; scores: ceil(100 / 8) * ceil(32 / 16) = 26 cycles; values:
  // ceil(32 / 8) * ceil(100 / 16) = 28; two fills of 12.
  EXPECT_DOUBLE_EQ(cost->compute_ns, 2 * (26 + 28 + 24));
  // Keys and values of 64 B a token: 100 tokens lie in seven pages of 16.
  EXPECT_DOUBLE_EQ(cost->dram_bytes, 2 * 7 * 16 * 128);
  // Each channel has 512 B of a page, a visit of 40 ns; the next rows open meanwhile.
  EXPECT_NEAR(cost->dram_ns, cost->dram_bytes / (51.2 * kStreamFrac), 1e-9);
  EXPECT_DOUBLE_EQ(cost->macs, 2 * 3 * 100 * 64);
  // Softmax of 600 scores at 4 cycles, 192 outputs at 1, over 32 lanes.
  EXPECT_DOUBLE_EQ(cost->vector_ns, (600 * 4 + 192) / 32.0);
}

TEST(EstimateAttention, PagesArePaddedAndReadWhole) {
  HandWorked x;
  x.chip.units[0].pairs = {{"bf16", "bf16"}};
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const AttentionShape shape = {.batch = 1, .kv_heads = 1, .group = 1, .head_dim = 32};
  const auto int4 = *recipe::parse_kv_treatment("int4");
  const auto bytes = [&](int64_t page_tokens, const ContextNode& node) {
    x.chip.kv_page_tokens = page_tokens;
    return estimate_decode_attention(context, shape, node, int4, false)->dram_bytes;
  };
  // A token: 32 codes of 4 bits, 16 bits of scale and a zero of 4, for keys and for values: 37 B.
  EXPECT_DOUBLE_EQ(bytes(1, {100, 1}), 100 * 64);  // to whole bursts of 32 B
  EXPECT_DOUBLE_EQ(bytes(4, {100, 1}), 25 * 160);
  EXPECT_DOUBLE_EQ(bytes(64, {100, 1}), 2 * 64 * 37);
  // Steps at 63, 64, 65 and 66 tokens: one page, one, two, two.
  EXPECT_DOUBLE_EQ(bytes(64, {64.5, 4}), 1.5 * 64 * 37);
}

TEST(EstimateAttention, SmallPagesOpenARowEach) {
  HandWorked x;
  x.chip.units[0].pairs = {{"bf16", "bf16"}};
  x.chip.dram = {.kind = "hbm3", .channels = 1};
  x.rates = *chip_rates(x.constants, x.chip, *estimate_area(x.constants, x.chip));
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const AttentionShape shape = {.batch = 1, .kv_heads = 1, .group = 1, .head_dim = 32};
  const auto int4 = *recipe::parse_kv_treatment("int4");
  const auto rate_of = [&](int64_t page_tokens) {
    x.chip.kv_page_tokens = page_tokens;
    const auto cost = estimate_decode_attention(context, shape, {4096, 1}, int4, false);
    return cost->dram_ns / cost->dram_bytes;
  };
  // 64 B a page take 2.5 ns of a pseudo-channel, but rows open 3.75 ns apart.
  EXPECT_NEAR(rate_of(1), 3.75 / 64 / 32 / (1 - 0.09), 1e-9);
  EXPECT_GT(rate_of(1), 1.1 * rate_of(16));
  EXPECT_NEAR(rate_of(64), x.rates.dram_stream_ns_per_byte, 1e-12);
}

TEST(EstimateAttention, PrefillCountsTheCausalHalf) {
  HandWorked x;
  x.chip.units[0].pairs = {{"bf16", "bf16"}};
  x.chip.units[0].rows = x.chip.units[0].cols = 1;
  x.chip.units[0].depth = 1;
  x.constants.fill_cycles = 0;
  const OpContext context = {x.constants, x.rates, x.chip, 1e9};
  const AttentionShape shape = {.batch = 2, .kv_heads = 1, .group = 2, .head_dim = 4};
  const auto cost = estimate_prefill_attention(context, shape, 10, {}, false);
  ASSERT_TRUE(cost.has_value());
  // A grid of one multiplier runs exactly the MACs: 2 requests * 2 heads * 55 pairs * 2 * 4.
  EXPECT_DOUBLE_EQ(cost->macs, 2 * 2 * 55 * 8);
  EXPECT_DOUBLE_EQ(cost->compute_ns, cost->macs);
}

TEST(EstimateCost, QuadratureStaysWithinOnePerMilleOfExactSteps) {
  Random random(21);
  double worst = 0;
  for (int i = 0; i < 60; ++i) {
    const auto chip = testing::random_chip(random);
    if (!chip::check_chip(chip).has_value()) continue;
    const auto shape = testing::random_shape(random);
    auto workload = testing::random_workload(random);
    workload.output_tokens += 20;
    const auto recipe = *recipe::parse_uniform_recipe(shape, "bf16");
    const auto nodes = estimate_cost(chip, technology(), shape, workload, recipe, {});
    if (!nodes.has_value()) continue;  // no bf16 pair
    const auto exact =
        estimate_cost(chip, technology(), shape, workload, recipe, {}, {.exact_steps = true});
    ASSERT_TRUE(exact.has_value());
    worst = std::max(worst, std::abs(nodes->latency_ns / exact->latency_ns - 1));
    worst = std::max(worst, std::abs(nodes->energy_pj / exact->energy_pj - 1));
  }
  RecordProperty("worst", std::to_string(worst));
  EXPECT_LT(worst, 1e-2);
  EXPECT_GT(worst, 0);
}

TEST(EstimateCost, TotalsAreTheSumOfTheirParts) {
  const auto chip = *chip::load_chip("data/chips/reference_edge.toml");
  const auto shape = llama3_8b();
  const auto workload = workload_of("chat_512_256");
  const auto recipe = *recipe::parse_uniform_recipe(shape, "int4_g128+a:int8_token");
  const auto report = estimate_cost(chip, technology(), shape, workload, recipe, {});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  double latency = 0;
  double energy = 0;
  double macs = 0;
  for (const OpReport& op : report->ops) {
    latency += op.cost.latency_ns;
    energy += op.cost.energy.total_pj();
    macs += op.cost.macs;
  }
  EXPECT_NEAR(report->latency_ns / latency, 1, 1e-9);
  EXPECT_NEAR(report->energy_pj / energy, 1, 1e-9);
  EXPECT_NEAR(macs / recipe::total_macs(shape, workload), 1, 1e-12);
  EXPECT_NEAR(report->prefill_latency_ns + 255 * report->time_per_token_ns, report->latency_ns,
              1e-6 * report->latency_ns);
  // Batch-1 decode reads every weight once a token: 6,979,321,856 at 4.125 bits and a bf16 head.
  const double bytes = 6979321856.0 * 4.125 / 8 + 2 * 525336576.0;
  EXPECT_NEAR(report->weight_bytes, bytes, 1e-9 * bytes);
  const double floor_ns = bytes / (51.2 * kStreamFrac);
  EXPECT_GT(report->time_per_token_ns, floor_ns);
  EXPECT_LT(report->time_per_token_ns, 1.05 * floor_ns);
  EXPECT_LE(report->bound_latency_ns, report->latency_ns);
  EXPECT_GE(report->sustained_power_mw, report->average_power_mw);
  EXPECT_LE(report->sustained_power_mw, report->peak_power.total_mw());
  EXPECT_TRUE(report->fits);
}

TEST(EstimateCost, AMixIsTheMeanOfItsClasses) {
  const auto chip = *chip::load_chip("data/chips/reference_cloud.toml");
  const auto shape = llama3_8b();
  const auto recipe = *recipe::parse_uniform_recipe(shape, "int4_g128+a:int8_token");
  recipe::Workload shorter = {.name = "w", .prompt_tokens = 200, .output_tokens = 101, .batch = 4};
  recipe::Workload longer = {.name = "w", .prompt_tokens = 900, .output_tokens = 1, .batch = 4};
  recipe::Workload mix = shorter;
  mix.mix = {{.prompt_tokens = 900, .output_tokens = 1, .share_frac = 0.25}};
  const auto price = [&](const recipe::Workload& workload) {
    return *estimate_cost(chip, technology(), shape, workload, recipe, {});
  };
  const CostReport a = price(shorter);
  const CostReport b = price(longer);
  const CostReport mean = price(mix);
  EXPECT_NEAR(mean.latency_ns, 0.75 * a.latency_ns + 0.25 * b.latency_ns, 1e-9 * a.latency_ns);
  EXPECT_NEAR(mean.prefill_latency_ns, 0.75 * a.prefill_latency_ns + 0.25 * b.prefill_latency_ns,
              1e-9 * a.latency_ns);
  EXPECT_NEAR(mean.energy_pj, 0.75 * a.energy_pj + 0.25 * b.energy_pj, 1e-9 * a.energy_pj);
  // 0.75 of the requests have 100 steps, the others none: a step costs what it costs there.
  EXPECT_NEAR(mean.time_per_token_ns, a.time_per_token_ns, 1e-9 * a.time_per_token_ns);
  // A batch of four gives 4 * (0.75 * 101 + 0.25) tokens.
  EXPECT_NEAR(mean.throughput_tokens_per_s, 304 / mean.latency_ns * 1e9, 1e-6);
  EXPECT_DOUBLE_EQ(mean.energy_pj_per_token, mean.energy_pj / 304);
  // The longest cache, 900 tokens, must fit; so must the largest activations.
  EXPECT_DOUBLE_EQ(mean.kv_bytes, b.kv_bytes);
  EXPECT_DOUBLE_EQ(mean.dram_bytes_needed, b.dram_bytes_needed);
  EXPECT_LE(mean.bound_latency_ns, mean.latency_ns);
  mix.mix[0].share_frac = 0.5;
  mix.mix.push_back(mix.mix[0]);
  EXPECT_EQ(estimate_cost(chip, technology(), shape, mix, recipe, {}).error().message,
            "workload w: share_frac of mix sums to 1, want less than 1: the rest are requests of "
            "prompt_tokens = 200 and output_tokens = 101");
}

TEST(EstimateCost, CapacityAndLegalityAreTold) {
  const auto chip = *chip::load_chip("data/chips/reference_edge.toml");
  const auto shape = llama3_8b();
  const auto workload = workload_of("chat_512_256");
  const auto plain = estimate_cost(chip, technology(), shape, workload,
                                   *recipe::parse_uniform_recipe(shape, "bf16"), {});
  ASSERT_TRUE(plain.has_value());
  EXPECT_FALSE(plain->fits);  // 16 GB in 8 GiB
  const auto fp8 =
      estimate_cost(chip, technology(), shape, workload,
                    *recipe::parse_uniform_recipe(shape, "fp8_e4m3fn+a:fp8_token"), {});
  ASSERT_FALSE(fp8.has_value());
  EXPECT_EQ(fp8.error().message,
            "chip reference_edge: layers.0.attn_qkv = fp8_e4m3fn+a:fp8_token: no matrix unit has a "
            "pair for it, natively or behind the decoder");
  EXPECT_FALSE(estimate_cost(chip, technology(), shape, workload,
                             *recipe::parse_uniform_recipe(shape, "bf16"), {0.5})
                   .has_value());
}

TEST(EstimateCost, ReferenceChipsAreWithinTheirClass) {
  struct Class {
    const char* chip;
    double area_mm2, power_w;
  };
  for (const Class& c :
       {Class{"reference_edge_small", 20, 4}, Class{"reference_edge", 40, 8},
        Class{"reference_edge_large", 60, 20}, Class{"reference_cloud_small", 200, 200},
        Class{"reference_cloud", 400, 400}, Class{"reference_cloud_large", 600, 700}}) {
    const auto chip = chip::load_chip(std::string("data/chips/") + c.chip + ".toml");
    ASSERT_TRUE(chip.has_value()) << chip.error().message;
    const auto shape = llama3_8b();
    const auto report =
        estimate_cost(*chip, technology(), shape, workload_of("cloud_1024_256_b32"),
                      *recipe::parse_uniform_recipe(shape, "int4_g128+a:int8_token"), {});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_LT(report->area.total_mm2(), c.area_mm2) << c.chip;
    EXPECT_LT(report->peak_power.total_mw(), 1000 * c.power_w) << c.chip;
    EXPECT_LT(report->peak_power.die_mw(), 1000 * report->area.total_mm2())
        << "1 W/mm2, " << c.chip;
    EXPECT_LE(report->sustained_power_mw, report->peak_power.total_mw()) << c.chip;
  }
}

}  // namespace
}  // namespace dovetail::silicon
