// Several chips that share one model: links, exchanges, and what all chips hold, burn and cost.
#include <gtest/gtest.h>

#include <cmath>

#include "silicon/check_chip.h"
#include "silicon/cost_table.h"
#include "silicon/estimate.h"
#include "silicon/random_points.h"

namespace dovetail::silicon {
namespace {

const Technology& technology() {
  static const Technology loaded = *Technology::load("data/technology");
  return loaded;
}

chip::Chip cloud(int64_t chips) {
  chip::Chip chip = *chip::load_chip("data/chips/reference_cloud_large_tp8.toml");
  chip.scale_up.tensor_parallel = chips;
  return chip;
}

model::ModelShape llama3_70b() {
  return *model::load_shape("data/models/llama-3-70b/config.json");
}

CostReport cost_of(const chip::Chip& chip, const char* treatment,
                   const recipe::Workload& workload) {
  const auto shape = llama3_70b();
  const auto recipe = *recipe::parse_uniform_recipe(shape, treatment);
  const auto report = estimate_cost(chip, technology(), shape, workload, recipe, {});
  EXPECT_TRUE(report.has_value()) << report.error().message;
  return *report;
}

const recipe::Workload kBatch32 = {
    .name = "w", .prompt_tokens = 1024, .output_tokens = 33, .batch = 32};

// Whatever the links are, a chip without any costs the same to the last bit.
TEST(OneChip, KnowsNothingOfLinks) {
  Technology moved = technology();
  int links = 0;
  for (const auto& [key, constant] : technology().constants()) {
    if (!key.starts_with("links.")) continue;
    moved = moved.with(key, key.ends_with("_frac") ? constant.value / 2 : 3 * constant.value);
    ++links;
  }
  ASSERT_GT(links, 20);
  Random random(17);
  int compared = 0;
  for (int i = 0; i < 60; ++i) {
    const auto chip = testing::random_chip(random);
    const auto shape = testing::random_shape(random);
    const auto workload = testing::random_workload(random);
    if (!chip::check_chip(chip).has_value()) continue;
    const auto recipe = *recipe::parse_uniform_recipe(shape, "bf16");
    const auto a = estimate_cost(chip, technology(), shape, workload, recipe, {});
    const auto b = estimate_cost(chip, moved, shape, workload, recipe, {});
    ASSERT_EQ(a.has_value(), b.has_value());
    if (!a.has_value()) continue;  // no bf16 pair
    ASSERT_EQ(a->latency_ns, b->latency_ns);
    ASSERT_EQ(a->bound_latency_ns, b->bound_latency_ns);
    ASSERT_EQ(a->energy_pj, b->energy_pj);
    ASSERT_EQ(a->area_mm2(), b->area_mm2());
    ASSERT_EQ(a->area_mm2(), a->area.total_mm2());
    ASSERT_EQ(a->peak_power_mw(), b->peak_power_mw());
    ASSERT_EQ(a->price_usd(), b->price_usd());
    for (const OpReport& op : a->ops) {
      ASSERT_EQ(op.cost.link_ns, 0);
      ASSERT_EQ(op.cost.energy.link_pj, 0);
    }
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

TEST(Links, AreaPowerAndRatesMatchHandWorkedOnes) {
  const Constants c = *resolve_constants(technology());
  const LinkConstants& link = c.links.at("nvlink4");
  const chip::Chip with = cloud(8);
  chip::Chip without = with;
  without.scale_up = {};
  const ChipArea area = *estimate_area(c, with);
  const ChipArea bare = *estimate_area(c, without);
  EXPECT_DOUBLE_EQ(area.link_phy_mm2, 18 * link.phy_mm2);
  EXPECT_NEAR(area.total_mm2() - bare.total_mm2(), 18 * link.phy_mm2 / (1 - c.other_frac), 1e-9);
  const ChipRates rates = *chip_rates(c, with, bare);
  const ChipRates alone = *chip_rates(c, without, bare);
  EXPECT_DOUBLE_EQ(1 / rates.link_ns_per_byte, 18 * 25 * link.efficiency_frac);
  // 450 GB/s at 5 pJ/bit are 18 W, idle or not.
  const double full_mw = 450 * 8 * link.energy_pj_per_bit;
  EXPECT_NEAR(rates.leakage_mw - alone.leakage_mw, full_mw * link.idle_energy_frac, 1e-6);
  const PeakPower power = *estimate_peak_power(c, with, rates);
  EXPECT_NEAR(power.link_mw, full_mw * (1 - link.idle_energy_frac), 1e-6);
  EXPECT_NEAR(power.total_mw() - estimate_peak_power(c, without, alone)->total_mw(), full_mw, 1e-6);
  chip::Chip unknown = with;
  unknown.scale_up.link_kind = "nvlink44";
  EXPECT_EQ(estimate_area(c, unknown).error().message,
            "scale_up.link_kind = \"nvlink44\", want one of c2c, ici_v6e, nvlink3, nvlink4, "
            "pcie5_x16 (did you mean nvlink4?)");
  EXPECT_FALSE(check_known(unknown, technology(), "a.toml").has_value());
}

TEST(EstimateCollective, MatchesAHandWorkedAllReduce) {
  const Constants c = *resolve_constants(technology());
  const chip::Chip chip = cloud(4);
  const ChipRates rates = *chip_rates(c, chip, *estimate_area(c, chip));
  const recipe::Workload workload = {
      .name = "w", .prompt_tokens = 64, .output_tokens = 2, .batch = 2};
  const auto ops = *recipe::lower(llama3_70b(), workload, {.tensor_parallel = 4});
  const recipe::Op* op = nullptr;
  for (const recipe::Op& each : ops.decode.layer) {
    if (each.name == "mlp_all_reduce") op = &each;
  }
  ASSERT_NE(op, nullptr);
  const OpCost cost = estimate_collective({c, rates, chip, 1e9}, *op);
  // 2 tokens of 8,192 sums of 2 B: every chip sends 6 pieces of a quarter, 8 KiB each.
  EXPECT_DOUBLE_EQ(cost.link_bytes, 6 * 8192);
  const LinkConstants& link = c.links.at("nvlink4");
  const double sending_ns = 6 * 8192 / (18 * 25 * link.efficiency_frac);
  EXPECT_NEAR(cost.link_ns, sending_ns + 6 * link.hop_ns, 1e-9);
  EXPECT_NEAR(cost.latency_ns, c.vector_op_overhead_ns + cost.link_ns, 1e-9);
  EXPECT_EQ(cost.binding(), Resource::kLink);
  EXPECT_DOUBLE_EQ(cost.sram_bytes, 2 * 2 * 8192 * 2);  // own sums in, the result out
  EXPECT_DOUBLE_EQ(cost.dram_bytes, 0);
  EXPECT_NEAR(cost.energy.link_pj,
              6 * 8192 * 8 * link.energy_pj_per_bit * (1 - link.idle_energy_frac), 1e-6);
  // Sums that leave the chip's working space pass through DRAM.
  EXPECT_DOUBLE_EQ(estimate_collective({c, rates, chip, 1e3}, *op).dram_bytes, 2 * 2 * 8192 * 2);
}

TEST(SeveralChips, HoldTheModelOnce) {
  const CostReport one = cost_of(cloud(1), "bf16", kBatch32);
  const CostReport eight = cost_of(cloud(8), "bf16", kBatch32);
  EXPECT_DOUBLE_EQ(eight.weight_bytes, one.weight_bytes);
  EXPECT_DOUBLE_EQ(eight.kv_bytes, one.kv_bytes);
  EXPECT_DOUBLE_EQ(eight.dram_bytes, 8 * one.dram_bytes);
  EXPECT_FALSE(one.fits);  // 141 GB of weights and 11 of KV in 144 GiB with 60 of activations
  EXPECT_TRUE(eight.fits);
  // Sixteen chips hold each of eight KV heads twice.
  const CostReport sixteen = cost_of(cloud(16), "bf16", kBatch32);
  EXPECT_DOUBLE_EQ(sixteen.kv_bytes, 2 * one.kv_bytes);
  const double kv_weights = 80.0 * 2 * 1024 * 8192 * 2;
  EXPECT_DOUBLE_EQ(sixteen.weight_bytes, one.weight_bytes + kv_weights);
}

TEST(SeveralChips, CostAllOfThemAndGainLessThanTheirNumber) {
  CostReport last = cost_of(cloud(1), "int4_g128+a:int8_token", kBatch32);
  const CostReport one = last;
  for (const int64_t chips : {2, 4, 8}) {
    const CostReport report = cost_of(cloud(chips), "int4_g128+a:int8_token", kBatch32);
    const auto count = static_cast<double>(chips);
    EXPECT_DOUBLE_EQ(report.area_mm2(), count * one.area.total_mm2());
    EXPECT_DOUBLE_EQ(report.peak_power_mw(), count * one.peak_power.total_mw());
    EXPECT_DOUBLE_EQ(report.price_usd(), count * one.price_usd());
    EXPECT_LT(report.time_per_token_ns, last.time_per_token_ns) << chips;
    EXPECT_GT(report.time_per_token_ns, one.time_per_token_ns / count) << chips;
    EXPECT_NEAR(report.energy.mac_pj, one.energy.mac_pj, 1e-9 * one.energy.mac_pj) << chips;
    EXPECT_GT(report.energy.link_pj, last.energy.link_pj) << chips;
    EXPECT_LE(report.bound_latency_ns, report.latency_ns);
    EXPECT_LE(report.sustained_power_mw, report.peak_power_mw());
    last = report;
  }
}

TEST(SeveralChips, AMillionTimesBetterLinksLeaveOnlyTheSharedWork) {
  // Without exchanges to wait for, decode is its eighth and what chips do not share: overheads,
  // norms, the start and end of every op.
  const Technology ideal =
      technology().with("links.nvlink4.gb_per_s", 25e6).with("links.nvlink4.hop_ns", 1e-3);
  const auto shape = llama3_70b();
  const auto recipe = *recipe::parse_uniform_recipe(shape, "int4_g128+a:int8_token");
  const auto report = estimate_cost(cloud(8), ideal, shape, kBatch32, recipe, {});
  ASSERT_TRUE(report.has_value());
  double links = 0;
  double waits = 0;
  for (const OpReport& op : report->ops) {
    links += op.cost.link_ns;
    if (op.decode && op.cost.link_bytes > 0) waits += op.cost.latency_ns;
  }
  EXPECT_LT(links, 1e-3 * report->latency_ns);
  const CostReport real = cost_of(cloud(8), "int4_g128+a:int8_token", kBatch32);
  double real_waits = 0;
  for (const OpReport& op : real.ops) {
    if (op.decode && op.cost.link_bytes > 0) real_waits += op.cost.latency_ns;
  }
  EXPECT_NEAR((real.time_per_token_ns - report->time_per_token_ns) * 32, real_waits - waits,
              1e-6 * real_waits);
}

TEST(SeveralChips, RefuseWhatTheyCannotShare) {
  const auto shape = llama3_70b();
  const auto recipe = *recipe::parse_uniform_recipe(shape, "bf16");
  EXPECT_EQ(estimate_cost(cloud(3), technology(), shape, kBatch32, recipe, {}).error().message,
            "llama-3-70b: num_heads = 64, want a multiple of tensor_parallel = 3");
}

chip::Chip staged(int64_t stages, int64_t micro_batches = 0) {
  chip::Chip chip = cloud(1);
  chip.scale_up.pipeline_parallel = stages;
  chip.scale_up.micro_batches = micro_batches;
  return chip;
}

TEST(Pipeline, HoldsTheModelOnceAndCostsAllChips) {
  const CostReport one = cost_of(cloud(1), "bf16", kBatch32);
  const CostReport eight = cost_of(staged(8), "bf16", kBatch32);
  EXPECT_EQ(eight.num_chips, 8);
  EXPECT_EQ(eight.num_stages, 8);
  EXPECT_EQ(eight.num_micro_batches, 8);
  EXPECT_DOUBLE_EQ(eight.weight_bytes, one.weight_bytes);
  EXPECT_DOUBLE_EQ(eight.kv_bytes, one.kv_bytes);  // of the whole batch
  EXPECT_DOUBLE_EQ(eight.dram_bytes, 8 * one.dram_bytes);
  // Eight stages hold activations of four requests each.
  EXPECT_DOUBLE_EQ(eight.fixed_dram_bytes, one.fixed_dram_bytes);
  EXPECT_DOUBLE_EQ(eight.area_mm2(), 8 * one.area_mm2());
  EXPECT_DOUBLE_EQ(eight.price_usd(), 8 * one.price_usd());
  EXPECT_FALSE(one.fits);
  EXPECT_TRUE(eight.fits);
}

// Weights are read by every micro-batch, multiply-accumulates are the same, all chips leak always.
TEST(Pipeline, EnergyIsOfAllMicroBatchesAndAllChips) {
  const CostReport one = cost_of(cloud(1), "int4_g128+a:int8_token", kBatch32);
  const Constants c = *resolve_constants(technology());
  for (const int64_t micro_batches : {1, 2, 4, 8}) {
    const chip::Chip chip = staged(4, micro_batches);
    const CostReport report = cost_of(chip, "int4_g128+a:int8_token", kBatch32);
    const double leakage_mw = chip_rates(c, chip, report.area)->leakage_mw;
    EXPECT_NEAR(report.energy.leakage_pj, 4 * leakage_mw * report.latency_ns,
                1e-9 * report.energy.leakage_pj);
    EXPECT_NEAR(report.energy.mac_pj, one.energy.mac_pj, 1e-9 * one.energy.mac_pj);
    double linear_bytes = 0;
    for (const OpReport& op : report.ops) {
      if (op.decode && op.name == "mlp_down") linear_bytes += op.cost.dram_bytes;
    }
    const double weights = 80.0 * 8192 * 28672 * (4.0 + 16.0 / 128) / 8;
    EXPECT_NEAR(linear_bytes / 32, static_cast<double>(micro_batches) * weights, 1e-3 * weights);
    EXPECT_LE(report.bound_latency_ns, report.latency_ns);
    EXPECT_LE(report.sustained_power_mw, report.peak_power_mw());
  }
}

TEST(Pipeline, OneRequestGainsCapacityAlone) {
  recipe::Workload alone = kBatch32;
  alone.batch = 1;
  const CostReport one = cost_of(cloud(1), "int8", alone);
  const CostReport four = cost_of(staged(4), "int8", alone);
  EXPECT_EQ(four.num_micro_batches, 1);
  double transfers = 0;
  for (const OpReport& op : four.ops) {
    if (op.name == "stage_transfer" || op.name == "token_transfer") transfers += op.cost.latency_ns;
  }
  EXPECT_GT(transfers, 0);
  EXPECT_NEAR(four.latency_ns - transfers, one.latency_ns, 1e-9 * one.latency_ns);
}

TEST(Pipeline, WholeLayersAreNeverQuickerThanEqualStages) {
  for (const int64_t stages : {2, 3, 7, 8}) {
    const CostReport report = cost_of(staged(stages), "int4_g128+a:int8_token", kBatch32);
    ASSERT_TRUE(report.whole_layers.has_value());
    const WholeLayerStages& whole = *report.whole_layers;
    int64_t layers = 0;
    for (const int64_t count : whole.layers) layers += count;
    EXPECT_EQ(layers, 80);
    EXPECT_EQ(std::ssize(whole.layers), stages);
    EXPECT_GE(whole.largest_over_mean, 1);
    EXPECT_GE(whole.latency_ns, report.latency_ns * (1 - 1e-12));
    EXPECT_GE(whole.prefill_latency_ns, report.prefill_latency_ns * (1 - 1e-12));
    EXPECT_GE(whole.time_per_token_ns, report.time_per_token_ns * (1 - 1e-12));
    EXPECT_GE(whole.dram_bytes_needed * static_cast<double>(stages), report.dram_bytes_needed);
    // At most one layer's or the head's share above the mean.
    EXPECT_LT(whole.latency_ns, 1.2 * report.latency_ns) << stages;
  }
  EXPECT_FALSE(cost_of(cloud(8), "int8", kBatch32).whole_layers.has_value());
}

TEST(SeveralChips, LimitsAreOfAllDies) {
  const auto menu = recipe::Menu{.linear = {{}}, .kv = {{}}};
  const auto model = CostModel::create(llama3_70b(), kBatch32, menu, technology());
  ASSERT_TRUE(model.has_value());
  const ChipLimits one = *model->limits(cloud(1));
  const ChipLimits four = *model->limits(cloud(4));
  EXPECT_EQ(four.num_chips, 4);
  EXPECT_DOUBLE_EQ(four.area_mm2, 4 * one.area_mm2);
  EXPECT_DOUBLE_EQ(four.peak_power_mw, 4 * one.peak_power_mw);
  EXPECT_DOUBLE_EQ(four.die_peak_power_mw, 4 * one.die_peak_power_mw);
  EXPECT_DOUBLE_EQ(four.die_price_usd, 4 * one.die_price_usd);
  EXPECT_DOUBLE_EQ(four.dram_price_usd, 4 * one.dram_price_usd);
  EXPECT_DOUBLE_EQ(four.dram_gb_per_s, 4 * one.dram_gb_per_s);
}

}  // namespace
}  // namespace dovetail::silicon
