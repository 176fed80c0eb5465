// Random chips, shapes, workloads and treatments for the property tests of this folder.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"
#include "chip/chip.h"
#include "model/model.h"
#include "recipe/lower.h"
#include "recipe/site.h"
#include "recipe/workload.h"

namespace dovetail::silicon::testing {

template <typename T>
T pick(Random& random, const std::vector<T>& values) {
  return values[static_cast<size_t>(random.below(static_cast<int64_t>(values.size())))];
}

inline chip::MatrixUnit random_unit(Random& random) {
  const std::vector<std::vector<chip::NativePair>> sets = {
      {{"int9", "int8"}, {"bf16", "bf16", 0.5}},
      {{"int4", "int8", 2}, {"int9", "int8"}, {"bf16", "bf16", 0.25}},
      {{"int5", "int8"}, {"bf16", "bf16"}},
      {{"fp4_e2m1", "fp8_e4m3fn", 2}, {"fp8_e4m3fn", "fp8_e4m3fn"}, {"bf16", "bf16", 0.5}},
      {{"int4", "bf16"}, {"bf16", "bf16"}},
      {{"int5", "int4", 2}, {"int9", "int8"}, {"bf16", "bf16"}},
      {{"fp4_e2m1", "fp4_e2m1", 2}, {"fp8_e4m3fn", "fp8_e4m3fn"}, {"bf16", "bf16", 0.5}},
      {{"int6", "int8"}}};
  chip::MatrixUnit unit;
  unit.rows = pick<int64_t>(random, {1, 2, 3, 8, 16, 32});
  unit.cols = pick<int64_t>(random, {1, 4, 16, 24, 64});
  unit.depth = pick<int64_t>(random, {1, 4, 16, 64});
  unit.sharing = pick<std::string>(random, {"separate", "shared", "composed"});
  unit.pairs = pick(random, sets);
  return unit;
}

inline chip::Chip random_chip(Random& random) {
  chip::Chip chip;
  chip.name = "random";
  chip.node = pick<std::string>(random, {"n28", "n16", "n12", "n10", "n7", "n5", "n3"});
  chip.clock_mhz = pick<double>(random, {300, 800, 1000, 1700});
  chip.cores = pick<int64_t>(random, {1, 2, 3, 4, 6, 16});
  chip.units = {random_unit(random)};
  if (random.below(4) == 0) chip.units.push_back(random_unit(random));
  chip.decoder_values_per_cycle = pick<int64_t>(random, {1, 64, 512, 4096});
  chip.vector_lanes = pick<int64_t>(random, {1, 16, 64, 256});
  chip.hadamard_lanes = pick<int64_t>(random, {0, 0, 8, 128});
  chip.weight_buffer_kib = pick<int64_t>(random, {32, 64, 256});
  chip.activation_buffer_kib = pick<int64_t>(random, {32, 64, 256});
  chip.accumulator_kib = pick<int64_t>(random, {8, 16, 64});
  chip.sram_mib = pick<double>(random, {0, 0.25, 2, 8, 64});
  chip.kv_page_tokens = pick<int64_t>(random, {1, 16, 16, 100, 4096});
  chip.dram.kind = pick<std::string>(
      random, {"lpddr4x", "lpddr5", "lpddr5x", "ddr5", "gddr6", "hbm2e", "hbm3", "hbm3e"});
  chip.dram.channels = pick<int64_t>(random, {1, 2, 4, 8});
  return chip;
}

// Chips that can share the shape and a batch, on links of any kind, in stages of layers.
inline chip::ScaleUp random_scale_up(Random& random, const model::ModelShape& shape,
                                     int64_t batch) {
  std::vector<int64_t> possible;
  for (const int64_t chips : {1, 2, 4, 8}) {
    if (recipe::shard_shape(shape, chips).has_value()) possible.push_back(chips);
  }
  const int64_t stages =
      random.below(2) == 0 ? 1 + random.below(shape.num_layers) : shape.num_layers;
  return {.tensor_parallel = pick(random, possible),
          .pipeline_parallel = stages,
          .micro_batches = stages == 1 ? 0 : random.below(std::min<int64_t>(batch, 9) + 1),
          .link_kind = pick<std::string>(random, {"nvlink3", "nvlink4", "pcie5_x16", "c2c"}),
          .links = pick<int64_t>(random, {1, 4, 18})};
}

inline model::ModelShape random_shape(Random& random) {
  model::ModelShape shape;
  shape.name = "random";
  shape.num_layers = 1 + random.below(4);
  shape.num_kv_heads = 1 + random.below(8);
  shape.num_heads = shape.num_kv_heads * (1 + random.below(4));
  shape.head_dim = pick<int64_t>(random, {32, 64, 128});
  shape.hidden_size = pick<int64_t>(random, {64, 576, 1024, 2050});
  shape.intermediate_size = pick<int64_t>(random, {96, 1536, 4864});
  shape.vocab_size = 100 + random.below(50000);
  shape.tied_embedding = random.below(2) == 0;
  shape.qkv_bias = random.below(2) == 0;
  return shape;
}

// The same with heads that chips divide, KV heads fewer than chips among them.
inline model::ModelShape random_shared_shape(Random& random) {
  model::ModelShape shape = random_shape(random);
  shape.num_kv_heads = pick<int64_t>(random, {1, 2, 4, 8});
  shape.num_heads = 8 * (1 + random.below(3));
  return shape;
}

inline recipe::Workload random_workload(Random& random) {
  recipe::Workload workload = {.name = "random",
                               .prompt_tokens = 1 + random.below(random.below(2) == 0 ? 20 : 900),
                               .output_tokens = 1 + random.below(random.below(2) == 0 ? 8 : 200),
                               .batch = pick<int64_t>(random, {1, 1, 2, 7, 32})};
  const int64_t others = std::max<int64_t>(0, random.below(5) - 2);
  for (int64_t i = 0; i < others; ++i) {
    workload.mix.push_back({.prompt_tokens = 1 + random.below(300),
                            .output_tokens = 1 + random.below(50),
                            .share_frac = 0.1 + 0.3 * random.uniform()});
  }
  return workload;
}

inline recipe::Menu whole_menu() {
  recipe::Menu menu = {.linear = {{}}, .kv = {{}}};
  for (const char* name : {"int2_g32", "int3_g64", "int4_g128", "int4_asym_g32", "int5", "int6_g64",
                           "int8", "int8_asym_g128", "fp8_e4m3fn", "mxfp4", "nvfp4"}) {
    for (const char* activation : {"", "+a:int8_token", "+a:fp8_token", "+a:int4_token",
                                   "+a:int8_g64", "+a:nvfp4", "+a:mxfp8", "+a:int4_g32+h:32"}) {
      menu.linear.push_back(*recipe::parse_linear_treatment(std::string(name) + activation));
    }
  }
  for (const char* name : {"int8", "int4", "int8+q:int8_token", "int4+q:int8_token",
                           "k:int8+v:int4+q:int8_token", "k:int4+v:bf16", "int4+qkh:32"}) {
    menu.kv.push_back(*recipe::parse_kv_treatment(name));
  }
  return menu;
}

}  // namespace dovetail::silicon::testing
