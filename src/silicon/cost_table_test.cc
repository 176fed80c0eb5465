#include "silicon/cost_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/parallel.h"
#include "silicon/decode_steps.h"
#include "silicon/estimate.h"
#include "silicon/random_points.h"

namespace dovetail::silicon {
namespace {

using recipe::SiteKind;
using testing::random_chip;
using testing::random_scale_up;
using testing::random_shape;
using testing::random_shared_shape;
using testing::random_workload;
using testing::whole_menu;

const Technology& technology() {
  static const Technology loaded = *Technology::load("data/technology");
  return loaded;
}

double close(double a, double b) {
  return std::abs(a - b) / std::max(std::abs(a), 1e-300);
}

// A random choice among the treatments that the table calls legal; empty if a site has none.
std::vector<int32_t> random_choice(Random& random, const model::ModelShape& shape,
                                   const CostTable& table) {
  std::vector<int32_t> choice;
  for (int64_t s = 0; s < recipe::num_sites(shape); ++s) {
    const SiteCosts& site = table.sites[static_cast<size_t>(recipe::site_at(shape, s).kind)];
    std::vector<int32_t> legal;
    for (size_t t = 0; t < site.latency_ns.size(); ++t) {
      if (site.latency_ns[t] < kIllegal) legal.push_back(static_cast<int32_t>(t));
    }
    if (legal.empty()) return {};
    choice.push_back(testing::pick(random, legal));
  }
  return choice;
}

TEST(CostTable, AgreesWithTheSlowSumOverOps) {
  Random random(11);
  const recipe::Menu menu = whole_menu();
  int compared = 0;
  std::map<int64_t, int> shared;  // comparisons by chips of a stage
  std::map<int64_t, int> staged;  // by stages
  int idle = 0;                   // of stages that wait in decode
  for (int i = 0; i < 260; ++i) {
    const auto shape = i % 2 == 0 ? random_shape(random) : random_shared_shape(random);
    const auto workload = random_workload(random);
    const auto model = CostModel::create(shape, workload, menu, technology());
    ASSERT_TRUE(model.has_value()) << model.error().message;
    auto chip = random_chip(random);
    if (i % 2 == 1) chip.scale_up = random_scale_up(random, shape, workload.batch);
    if (!chip::check_chip(chip).has_value()) continue;
    CostTable table;
    ASSERT_TRUE(model->fill_table(chip, table).has_value());
    const std::vector<int32_t> choice = random_choice(random, shape, table);
    if (choice.empty()) continue;
    const bool has_sram = chip.sram_mib > 0;
    Residency residency;
    for (size_t s = 0; s < choice.size(); ++s) {
      residency.push_back(has_sram ? static_cast<double>(random.below(3)) / 2 : 0);
    }
    const recipe::Recipe recipe = recipe::make_recipe(shape, menu, choice);
    const auto report = estimate_cost(chip, technology(), shape, workload, recipe, residency);
    ASSERT_TRUE(report.has_value()) << report.error().message;
    double latency = table.fixed_latency_ns;
    double energy = table.fixed_energy_pj;
    double bytes = 0;
    for (size_t s = 0; s < choice.size(); ++s) {
      const auto kind = recipe::site_at(shape, static_cast<int64_t>(s)).kind;
      const SiteCosts& site = table.sites[static_cast<size_t>(kind)];
      const auto t = static_cast<size_t>(choice[s]);
      const double f = residency[s];
      latency += (1 - f) * static_cast<double>(site.latency_ns[t]);
      energy += (1 - f) * static_cast<double>(site.energy_pj[t]);
      bytes += static_cast<double>(site.bytes[t]);
      if (f == 0) continue;
      latency += f * static_cast<double>(site.resident_latency_ns[t]);
      energy += f * static_cast<double>(site.resident_energy_pj[t]);
    }
    ASSERT_LT(close(report->latency_ns, latency), 1e-5) << i;
    ASSERT_LT(close(report->energy_pj, energy), 1e-5) << i;
    ASSERT_LT(close(report->weight_bytes + report->kv_bytes, bytes), 1e-5) << i;
    ASSERT_DOUBLE_EQ(report->sram_bytes, table.sram_bytes);
    ASSERT_DOUBLE_EQ(report->dram_bytes, table.dram_bytes);
    ASSERT_LE(report->bound_latency_ns, report->latency_ns);
    ++compared;
    ++shared[chip.scale_up.tensor_parallel];
    ++staged[report->num_stages];
    idle += report->num_micro_batches < report->num_stages ? 1 : 0;
  }
  EXPECT_GT(compared, 100);
  for (const int chips : {2, 4, 8}) EXPECT_GT(shared[chips], 8) << chips;
  for (const int stages : {2, 3, 4}) EXPECT_GT(staged[stages], 4) << stages;
  EXPECT_GT(idle, 4);
}

void expect_bounded(const CostTable& bound, const CostTable& table, int64_t& pairs) {
  ASSERT_LE(bound.fixed_latency_ns, table.fixed_latency_ns);
  ASSERT_LE(bound.fixed_energy_pj, table.fixed_energy_pj);
  ASSERT_GE(bound.sram_bytes, table.sram_bytes);
  ASSERT_LE(bound.fixed_dram_bytes, table.fixed_dram_bytes);
  for (size_t kind = 0; kind < table.sites.size(); ++kind) {
    const SiteCosts& low = bound.sites[kind];
    const SiteCosts& high = table.sites[kind];
    for (size_t t = 0; t < high.latency_ns.size(); ++t) {
      ASSERT_LE(low.latency_ns[t], high.latency_ns[t]) << kind << " " << t;
      ASSERT_LE(low.energy_pj[t], high.energy_pj[t]) << kind << " " << t;
      ASSERT_LE(low.resident_latency_ns[t], high.resident_latency_ns[t]) << kind << " " << t;
      ASSERT_LE(low.resident_energy_pj[t], high.resident_energy_pj[t]) << kind << " " << t;
      ASSERT_LE(low.bytes[t], high.bytes[t]) << kind << " " << t;
      ASSERT_EQ(low.latency_ns[t] == kIllegal, high.latency_ns[t] == kIllegal);
      ASSERT_EQ(low.resident_latency_ns[t] == kIllegal, high.resident_latency_ns[t] == kIllegal);
      if (high.latency_ns[t] < kIllegal) ++pairs;
    }
  }
}

TEST(CostBound, NeverAboveTheTable) {
  Random random(5);
  const recipe::Menu menu = whole_menu();
  int64_t pairs = 0;
  for (int i = 0; i < 100; ++i) {
    const auto shape = i % 2 == 0 ? random_shape(random) : random_shared_shape(random);
    const auto workload = random_workload(random);
    const auto model = CostModel::create(shape, workload, menu, technology());
    ASSERT_TRUE(model.has_value()) << model.error().message;
    for (int j = 0; j < 10; ++j) {
      auto chip = random_chip(random);
      if (i % 2 == 1) chip.scale_up = random_scale_up(random, shape, workload.batch);
      if (!chip::check_chip(chip).has_value()) continue;
      CostTable table;
      CostTable bound;
      ASSERT_TRUE(model->fill_table(chip, table).has_value());
      ASSERT_TRUE(model->fill_bound(chip, bound).has_value());
      expect_bounded(bound, table, pairs);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(pairs, 10000);
}

TEST(CostBound, DependsOnItsKeyAlone) {
  Random random(9);
  const auto model =
      CostModel::create(random_shape(random), random_workload(random), whole_menu(), technology());
  ASSERT_TRUE(model.has_value());
  int same_keys = 0;
  for (int i = 0; i < 300; ++i) {
    auto chip = random_chip(random);
    chip.units.resize(1);
    auto other = chip;
    // The same multiply-accumulates and lanes in another arrangement, other buffers and decoder.
    std::swap(other.units[0].rows, other.units[0].cols);
    if (other.cores % 2 == 0) {
      other.cores /= 2;
      other.units[0].rows *= 2;
      other.vector_lanes *= 2;
    }
    other.weight_buffer_kib *= 2;
    other.accumulator_kib *= 2;
    other.decoder_values_per_cycle += 7;
    other.units[0].sharing = "separate";
    ASSERT_EQ(CostModel::bound_key(chip), CostModel::bound_key(other));
    CostTable a;
    CostTable b;
    ASSERT_TRUE(model->fill_bound(chip, a).has_value());
    ASSERT_TRUE(model->fill_bound(other, b).has_value());
    ASSERT_EQ(a.fixed_latency_ns, b.fixed_latency_ns);
    for (size_t kind = 0; kind < a.sites.size(); ++kind) {
      ASSERT_EQ(a.sites[kind].latency_ns, b.sites[kind].latency_ns);
      ASSERT_EQ(a.sites[kind].energy_pj, b.sites[kind].energy_pj);
      ASSERT_EQ(a.sites[kind].resident_latency_ns, b.sites[kind].resident_latency_ns);
      ASSERT_EQ(a.sites[kind].bytes, b.sites[kind].bytes);
    }
    ++same_keys;
    other.clock_mhz += 1;
    ASSERT_NE(CostModel::bound_key(chip), CostModel::bound_key(other));
    other = chip;
    other.scale_up.links = 3;
    ASSERT_NE(CostModel::bound_key(chip), CostModel::bound_key(other));
    other.scale_up = chip.scale_up;
    other.scale_up.pipeline_parallel = 2;
    ASSERT_NE(CostModel::bound_key(chip), CostModel::bound_key(other));
    chip.scale_up = other.scale_up;
    other.scale_up.micro_batches = 2;
    ASSERT_NE(CostModel::bound_key(chip), CostModel::bound_key(other));
  }
  EXPECT_EQ(same_keys, 300);
}

TEST(CostTable, ThreadsAndReusedTablesGiveTheSameNumbers) {
  Random random(3);
  const auto model =
      CostModel::create(random_shape(random), random_workload(random), whole_menu(), technology());
  ASSERT_TRUE(model.has_value());
  std::vector<chip::Chip> chips;
  for (int i = 0; i < 64; ++i) chips.push_back(random_chip(random));
  std::vector<CostTable> fresh(chips.size());
  for (size_t i = 0; i < chips.size(); ++i) {
    ASSERT_TRUE(model->fill_table(chips[i], fresh[i]).has_value());
  }
  std::vector<CostTable> reused(static_cast<size_t>(num_threads()));
  std::vector<int> differs(chips.size(), 0);
  parallel_for(static_cast<int64_t>(chips.size()), [&](int64_t i, int64_t worker) {
    CostTable& table = reused[static_cast<size_t>(worker)];
    const auto c = static_cast<size_t>(i);
    const bool filled = model->fill_table(chips[c], table).has_value();
    for (size_t kind = 0; filled && kind < table.sites.size(); ++kind) {
      if (table.sites[kind].latency_ns != fresh[c].sites[kind].latency_ns) differs[c] = 1;
      if (table.sites[kind].energy_pj != fresh[c].sites[kind].energy_pj) differs[c] = 1;
    }
    if (!filled) differs[c] = 1;
  });
  EXPECT_EQ(differs, std::vector<int>(chips.size(), 0));
}

TEST(CostTable, ForbidsChipsThatCannotShareTheModel) {
  Random random(4);
  auto shape = random_shared_shape(random);
  shape.num_heads = 8;
  const auto model = CostModel::create(shape, random_workload(random), whole_menu(), technology());
  ASSERT_TRUE(model.has_value());
  auto chip = random_chip(random);
  chip.scale_up = {.tensor_parallel = 3, .links = 2};
  EXPECT_FALSE(model->can_share(chip));
  CostTable table;
  for (const bool bound : {false, true}) {
    ASSERT_TRUE(
        (bound ? model->fill_bound(chip, table) : model->fill_table(chip, table)).has_value());
    for (const SiteCosts& site : table.sites) {
      ASSERT_FALSE(site.latency_ns.empty());
      for (const auto* costs : {&site.latency_ns, &site.energy_pj, &site.resident_latency_ns}) {
        EXPECT_EQ(*costs, std::vector<float>(costs->size(), kIllegal));
      }
    }
  }
  chip.scale_up = {.pipeline_parallel = shape.num_layers + 1, .links = 2};
  EXPECT_FALSE(model->can_share(chip));
  ASSERT_TRUE(model->fill_table(chip, table).has_value());
  EXPECT_EQ(table.sites[0].latency_ns[0], kIllegal);
  // A table that was filled before says so too.
  chip.scale_up = {.tensor_parallel = 2, .links = 2};
  ASSERT_TRUE(model->fill_table(chip, table).has_value());
  EXPECT_GT(table.dram_bytes, 0);
  EXPECT_TRUE(model->can_share(chip));
}

TEST(CostTable, NamesUnknownNodesAndKinds) {
  Random random(1);
  const auto model =
      CostModel::create(random_shape(random), random_workload(random), whole_menu(), technology());
  ASSERT_TRUE(model.has_value());
  auto chip = random_chip(random);
  chip.node = "n1";
  CostTable table;
  EXPECT_EQ(model->fill_table(chip, table).error().message,
            "node = \"n1\", want one of n10, n12, n16, n28, n3, n5, n7 (did you mean n10?)");
  chip = random_chip(random);
  chip.dram.kind = "ddr";
  EXPECT_FALSE(model->fill_bound(chip, table).has_value());
  EXPECT_FALSE(model->limits(chip).has_value());
}

TEST(DecodeNodes, CoverAllStepsAndKeepTheMean) {
  for (const int64_t steps : {1, 3, 8, 9, 255}) {
    double covered = 0;
    double tokens = 0;
    for (const ContextNode& node : decode_nodes(513, steps, kMaxContextNodes)) {
      covered += node.steps;
      tokens += node.steps * node.tokens;
    }
    double exact = 0;
    for (int64_t i = 0; i < steps; ++i) exact += static_cast<double>(513 + i);
    EXPECT_DOUBLE_EQ(covered, static_cast<double>(steps));
    EXPECT_DOUBLE_EQ(tokens, exact);
  }
  EXPECT_TRUE(decode_nodes(513, 0, kMaxContextNodes).empty());
}

TEST(DecodeNodes, CountPagesStepByStep) {
  for (const int64_t page : {1, 3, 16, 4096}) {
    for (const int64_t steps : {1, 2, 7, 200}) {
      double pages = 0;
      for (const ContextNode& node : decode_nodes(31, steps, kMaxContextNodes)) {
        pages += node.steps * mean_pages(node, page);
      }
      int64_t exact = 0;
      for (int64_t t = 31; t < 31 + steps; ++t) exact += (t + page - 1) / page;
      EXPECT_NEAR(pages, static_cast<double>(exact), 1e-9) << page << " " << steps;
    }
  }
}

}  // namespace
}  // namespace dovetail::silicon
