// Time of one chip's cost table, bound table and limits for a menu of 30 treatments (8B shape).
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "chip/chip.h"
#include "silicon/cost_table.h"

namespace dovetail::silicon {
namespace {

recipe::Menu menu_of_30() {
  recipe::Menu menu = {.linear = {{}}, .kv = {{}}};
  for (const char* weight :
       {"int3_g32", "int3_g64", "int4_g32", "int4_asym_g32", "int4_g64", "int4_g128", "int5_g32",
        "int5_g64", "int6_g64", "int6_g128", "int8_g128", "int8"}) {
    for (const char* activation : {"", "+a:int8_token"}) {
      menu.linear.push_back(*recipe::parse_linear_treatment(std::string(weight) + activation));
    }
  }
  for (const char* kv : {"int8", "int4", "int8+q:int8_token", "int4+q:int8_token"}) {
    menu.kv.push_back(*recipe::parse_kv_treatment(kv));
  }
  return menu;  // 25 linear and 5 kv treatments
}

CostModel make_model() {
  const auto shape = model::load_shape("data/models/llama-3-8b/config.json");
  const auto technology = Technology::load("data/technology");
  if (!shape.has_value() || !technology.has_value()) std::abort();
  return std::move(*CostModel::create(
      *shape, {.name = "w", .prompt_tokens = 1024, .output_tokens = 256, .batch = 32}, menu_of_30(),
      *technology));
}

// Chips that differ in everything a mapping does not depend on.
std::vector<chip::Chip> chips_of_one_grid() {
  std::vector<chip::Chip> chips;
  const auto base = chip::load_chip("data/chips/reference_cloud.toml");
  if (!base.has_value()) std::abort();
  for (const double clock : {900.0, 1000.0, 1200.0, 1500.0}) {
    for (const double sram : {8.0, 16.0, 32.0, 64.0}) {
      for (const int64_t lanes : {64, 128, 256}) {
        chips.push_back(*base);
        chips.back().clock_mhz = clock;
        chips.back().sram_mib = sram;
        chips.back().vector_lanes = lanes;
      }
    }
  }
  return chips;
}

void fill_table(benchmark::State& state) {
  const CostModel model = make_model();
  const auto chips = chips_of_one_grid();
  CostTable table;
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(model.fill_table(chips[i++ % chips.size()], table).has_value());
  }
}
BENCHMARK(fill_table)->Unit(benchmark::kMicrosecond);

// Every chip has buffers of its own: the mapper runs each time.
void fill_table_new_grid(benchmark::State& state) {
  const CostModel model = make_model();
  auto chip = chips_of_one_grid().front();
  CostTable table;
  for (auto _ : state) {
    ++chip.activation_buffer_kib;
    benchmark::DoNotOptimize(model.fill_table(chip, table).has_value());
  }
}
BENCHMARK(fill_table_new_grid)->Unit(benchmark::kMicrosecond);

void fill_bound(benchmark::State& state) {
  const CostModel model = make_model();
  const auto chips = chips_of_one_grid();
  CostTable table;
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(model.fill_bound(chips[i++ % chips.size()], table).has_value());
  }
}
BENCHMARK(fill_bound)->Unit(benchmark::kMicrosecond);

void limits(benchmark::State& state) {
  const CostModel model = make_model();
  const auto chips = chips_of_one_grid();
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(model.limits(chips[i++ % chips.size()]).has_value());
  }
}
BENCHMARK(limits)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dovetail::silicon

BENCHMARK_MAIN();
