// Time and memory of a search against the number of chips, layers and treatments.
//
// Run in the repository root; every row is a process of its own, so its CPU time and peak memory
// are its own too. Without arguments all rows of docs/design/0004-scale.md are printed; with
//   search_scale_bench CHIPS LAYERS TREATMENTS QUESTION
// one row. QUESTION: "sweep" (two objectives at three caps with fronts, as a study asks first),
// "one" (one objective at one cap, as every later question), "baselines" (all five), "nsga2" (as
// "one"). CHIPS below 0: the space of many small blocks instead of few large ones
// (docs/design/0002).
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "search/baselines.h"
#include "search/synthetic_case.h"

namespace dovetail::search {
namespace {

struct Row {
  int64_t chips = 0;
  int64_t layers = 0;
  int64_t treatments = 0;
  std::string question;
};

// Llama-3-405B with fewer or all of its layers.
model::ModelShape llama_405b(int64_t num_layers) {
  model::ModelShape shape;
  shape.name = "llama-3-405b";
  shape.num_layers = num_layers;
  shape.hidden_size = 16384;
  shape.intermediate_size = 53248;
  shape.num_heads = 128;
  shape.num_kv_heads = 8;
  shape.head_dim = 128;
  shape.vocab_size = 128256;
  shape.max_positions = 8192;
  return shape;
}

// 110 million chips, as studies/cloud_405b.toml.
Space cloud_space() {
  Space space;
  space.nodes = {"n5"};
  space.clock_mhz = {800, 900, 1000, 1100, 1200, 1300, 1400, 1500};
  space.cores = {8, 16, 32, 64, 128};
  space.format_sets = {
      synthetic::make_set("i5", {{"int5", "int8"}}),
      synthetic::make_set("i6", {{"int6", "int8"}}),
      synthetic::make_set("i9", {{"int9", "int8"}}),
      synthetic::make_set("i5+i9", {{"int5", "int8"}, {"int9", "int8"}}, "composed"),
      synthetic::make_set("i5+bf16", {{"int5", "int8"}, {"bf16", "bf16"}}),
      synthetic::make_set("i9+bf16", {{"int9", "int8"}, {"bf16", "bf16"}}),
      synthetic::make_set("bf16", {{"bf16", "bf16"}})};
  space.rows = {8, 16, 32, 64};
  space.cols = {16, 32, 64};
  space.depth = {32, 64};
  space.vector_lanes = {64, 128, 256, 512};
  space.decoder_values_per_cycle = {512, 1024, 2048, 4096};
  space.weight_buffer_kib = {64, 128, 256, 512};
  space.activation_buffer_kib = {64, 128, 256, 512};
  space.accumulator_kib = {16, 32, 64, 128};
  space.sram_mib = {8, 16, 32, 64, 96, 128, 192, 256};
  space.dram_kinds = {"hbm3"};
  space.dram_channels = {6, 8};
  space.dram_capacity_gib = 288;
  return space;
}

// 103 million chips in blocks of 64: the other way to be large.
Space small_blocks() {
  Space space = cloud_space();
  space.clock_mhz.clear();
  for (double mhz = 700; mhz <= 1500; mhz += 50) space.clock_mhz.push_back(mhz);
  space.cores = {4, 8, 16, 24, 32, 48, 64, 96, 128};
  space.rows = {4, 8, 16, 32, 64};
  space.cols = {16, 32, 64, 128};
  space.sram_mib = {4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256};
  space.dram_channels = {4, 6, 8};
  space.vector_lanes = {64, 128, 256, 512};
  space.decoder_values_per_cycle = {1024, 4096};
  space.weight_buffer_kib = {128, 256};
  space.activation_buffer_kib = {128, 256};
  space.accumulator_kib = {32, 64};
  return space;
}

// Drops every second value of the longest list until at most `count` chips are left.
Space thinned(Space space, int64_t count) {
  while (num_chips(space) > count) {
    size_t longest = 0;
    const auto for_each = [&space](const auto& visit) {
      visit(space.clock_mhz);
      visit(space.sram_mib);
      visit(space.cores);
      visit(space.rows);
      visit(space.cols);
      visit(space.vector_lanes);
      visit(space.decoder_values_per_cycle);
      visit(space.weight_buffer_kib);
      visit(space.activation_buffer_kib);
      visit(space.accumulator_kib);
    };
    for_each([&](const auto& list) { longest = std::max(longest, list.size()); });
    bool done = false;
    for_each([&](auto& list) {
      if (done || list.size() != longest) return;
      done = true;
      size_t kept = 0;
      for (size_t i = 0; i < list.size(); i += 2) list[kept++] = list[i];
      list.resize(kept);
    });
  }
  return space;
}

recipe::Menu menu_of(int64_t num_treatments) {
  recipe::Menu menu = synthetic::quickstart_menu();
  for (const char* weight :
       {"int2_g32", "int2_g64", "int3_g128", "int3_asym_g32", "int3_asym_g64", "int4_asym_g64",
        "int4_asym_g128", "int5_asym_g32", "int5_g128", "int6_g32", "int6_asym_g64", "int8_g64",
        "int8_g32", "int8_asym_g128", "int5_asym_g64"}) {
    for (const char* activation : {"", "+a:int8_token"}) {
      const auto treatment = recipe::parse_linear_treatment(std::string(weight) + activation);
      if (treatment.has_value()) menu.linear.push_back(*treatment);
    }
  }
  menu.linear.resize(std::min<size_t>(menu.linear.size(), static_cast<size_t>(num_treatments)));
  return menu;
}

Budget cloud_budget() {
  return {.max_area_mm2 = 800,
          .max_peak_power_w = 900,
          .max_sustained_power_w = 900,
          .max_power_density_w_per_mm2 = 1,
          .max_price_usd = 1e9,
          .max_dram_gb_per_s = 8000};
}

Result<EnumerateStats> ask(const Row& row, const Product& product, const Space& space) {
  const Budget budget = cloud_budget();
  const Scenario one = {{Metric::kLatency, Scale::kArea}, 0.15};
  if (row.question == "baselines") {
    const std::vector<chip::Chip> references = {chip_at(space, num_chips(space) - 1)};
    DOVETAIL_TRY(const std::vector<BaselineResult> results,
                 solve_baselines({product}, space, budget, one, references, {}, {}));
    EnumerateStats stats;
    stats.num_chips = num_chips(space);
    for (const BaselineResult& result : results) stats.num_in_budget += result.feasible ? 1 : 0;
    return stats;
  }
  std::vector<Scenario> scenarios = {one};
  if (row.question == "sweep") {
    scenarios.clear();
    for (const double cap : {0.05, 0.15, 0.4}) {
      scenarios.push_back({{Metric::kLatency, Scale::kNone}, cap});
      scenarios.push_back({{Metric::kLatency, Scale::kArea}, cap});
    }
  }
  EnumerateParams params;
  params.keep_front = row.question == "sweep";
  if (row.question == "nsga2") params.method.method = "nsga2";
  DOVETAIL_TRY(const EnumerateResult result,
               enumerate({product}, space, budget, scenarios, params, {}));
  return result.stats;
}

// In the child.
int answer(const Row& row) {
  recipe::Workload workload{
      .name = "cloud_1024_256_b32", .prompt_tokens = 1024, .output_tokens = 256, .batch = 32};
  const auto model =
      synthetic::make_model(llama_405b(row.layers), workload, menu_of(row.treatments), 1);
  if (!model.has_value()) {
    std::fprintf(stderr, "%s\n", model.error().message.c_str());
    return 1;
  }
  const Space space =
      row.chips < 0 ? thinned(small_blocks(), -row.chips) : thinned(cloud_space(), row.chips);
  const auto start = std::chrono::steady_clock::now();
  const auto stats = ask(row, model->product, space);
  if (!stats.has_value()) {
    std::fprintf(stderr, "%s\n", stats.error().message.c_str());
    return 1;
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  const double cpu = seconds(used.ru_utime) + seconds(used.ru_stime);
  std::printf("| %s | %lld | %lld | %zu | %lld | %lld | %.1f | %.1f | %.2f | %.0f |\n",
              row.question.c_str(), static_cast<long long>(stats->num_chips),
              static_cast<long long>(row.layers), model->product.losses.menu.linear.size(),
              static_cast<long long>(stats->num_in_budget),
              static_cast<long long>(stats->num_allocated), wall.count(), cpu, cpu / wall.count(),
              static_cast<double>(used.ru_maxrss) / 1024);
  std::fflush(stdout);
  return 0;
}

int run(const std::vector<Row>& rows) {
  std::printf("threads: %lld\n", static_cast<long long>(num_threads()));
  std::printf(
      "| question | chips | layers | treatments | in budget | allocated | wall s | CPU s | "
      "CPU/wall "
      "| peak MiB |\n|---|---|---|---|---|---|---|---|---|---|\n");
  std::fflush(stdout);
  for (const Row& row : rows) {
    const pid_t child = fork();
    if (child == 0) _exit(answer(row));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 1;
  }
  return 0;
}

}  // namespace
}  // namespace dovetail::search

int main(int argc, char** argv) {
  using dovetail::search::Row;
  if (argc == 5) {
    return dovetail::search::run(
        {{std::atoll(argv[1]), std::atoll(argv[2]), std::atoll(argv[3]), argv[4]}});
  }
  std::vector<Row> rows;
  for (const char* question : {"sweep", "one", "baselines", "nsga2"}) {
    for (const int64_t chips : {100'000, 1'000'000, 10'000'000, 120'000'000}) {
      rows.push_back({chips, 126, 31, question});
    }
  }
  for (const int64_t chips : {1'000'000, 10'000'000, 120'000'000}) {
    rows.push_back({-chips, 126, 31, "one"});
  }
  for (const int64_t layers : {16, 32, 64}) rows.push_back({10'000'000, layers, 31, "sweep"});
  for (const int64_t treatments : {8, 16, 60}) {
    rows.push_back({10'000'000, 126, treatments, "sweep"});
  }
  return dovetail::search::run(rows);
}
