// Models, losses and spaces for tests and benchmarks: real shapes and constants, invented losses.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "search/enumerate.h"

namespace dovetail::search::synthetic {

inline model::ModelShape smollm2_shape() {
  model::ModelShape shape;
  shape.name = "smollm2-135m";
  shape.num_layers = 30;
  shape.hidden_size = 576;
  shape.intermediate_size = 1536;
  shape.num_heads = 9;
  shape.num_kv_heads = 3;
  shape.head_dim = 64;
  shape.vocab_size = 49152;
  shape.max_positions = 8192;
  return shape;
}

inline model::ModelShape small_shape(int64_t num_layers) {
  model::ModelShape shape = smollm2_shape();
  shape.name = "small";
  shape.num_layers = num_layers;
  shape.vocab_size = 4096;
  return shape;
}

inline recipe::Menu make_menu(const std::vector<std::string>& linear,
                              const std::vector<std::string>& kv) {
  recipe::Menu menu;
  for (const std::string& name : linear) {
    menu.linear.push_back(recipe::parse_linear_treatment(name).value());
  }
  for (const std::string& name : kv) menu.kv.push_back(recipe::parse_kv_treatment(name).value());
  return menu;
}

inline recipe::Menu small_menu() {
  return make_menu({"bf16", "int8+a:int8_token", "int8", "int6_g64+a:int8_token", "int4_g128",
                    "int4_g128+a:int8_token", "int4_g32+a:int8_token", "int3_g32+a:int8_token"},
                   {"bf16", "int8+q:int8_token", "int4+q:int8_token", "int8"});
}

// The whole quickstart menu: 15 weight formats with two activation formats, five kv treatments.
inline recipe::Menu quickstart_menu() {
  std::vector<std::string> linear = {"bf16"};
  for (const char* weight :
       {"int3_g32", "int3_g64", "int4_g32", "int4_asym_g32", "int4_g64", "int4_g128", "int5_g32",
        "int5_g64", "int6_g64", "int6_g128", "int8_g128", "int8", "fp8_e4m3fn", "nvfp4", "mxfp4"}) {
    linear.emplace_back(weight);
    linear.push_back(std::string(weight) + "+a:int8_token");
  }
  return make_menu(linear, {"bf16", "int8", "int4", "int8+q:int8_token", "int4+q:int8_token"});
}

// loss = c_site * 4^-bits, a little more for larger groups and for 8-bit activations.
inline LossTable make_losses(const model::ModelShape& shape, const recipe::Menu& menu,
                             uint64_t seed) {
  Random random(seed);
  LossTable table{.num_layers = shape.num_layers, .menu = menu, .loss = {}};
  for (int64_t s = 0; s < table.num_sites(); ++s) {
    const double scale =
        std::exp(2.0 * random.uniform() - 1.0) * 40.0 / static_cast<double>(table.num_sites());
    std::vector<double> row;
    if (site_kind(table, s) == recipe::SiteKind::kKv) {
      for (const recipe::KvTreatment& kv : menu.kv) {
        const double bits = kv.keys == formats::KvFormat::kInt4 ? 4.5 : 8;
        const double stored =
            kv.keys == formats::KvFormat::kBf16 ? 0 : scale * std::pow(4.0, -bits);
        row.push_back(stored + (kv.query == formats::ActivationFormat::kBf16 ? 0 : 1e-5 * scale));
      }
    } else {
      for (const recipe::LinearTreatment& linear : menu.linear) {
        const bool plain = linear.weight.element == formats::Element::kBf16;
        const double group =
            static_cast<double>(linear.weight.group_size == 0 ? 576 : linear.weight.group_size);
        const double bits = static_cast<double>(linear.weight.bits) - 0.1 * std::log2(group);
        const double rounded =
            plain ? 0 : scale * std::pow(4.0, -bits) * (1 + 0.01 * random.uniform());
        row.push_back(rounded +
                      (linear.activation == formats::ActivationFormat::kBf16 ? 0 : 1e-5 * scale));
      }
    }
    table.loss.push_back(std::move(row));
  }
  return table;
}

inline FormatSet make_set(const std::string& name,
                          const std::vector<std::pair<std::string, std::string>>& pairs,
                          const std::string& sharing = "shared") {
  FormatSet set{.name = name, .sharing = sharing, .pairs = {}};
  for (const auto& [weight, activation] : pairs) {
    set.pairs.push_back({.weight = weight, .activation = activation});
  }
  return set;
}

// A few hundred chips, different for every seed.
inline Space random_space(uint64_t seed) {
  Random random(seed);
  const auto some = [&random](std::vector<int64_t> all, size_t count) {
    while (all.size() > count) {
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(random.below(std::ssize(all))));
    }
    return all;
  };
  Space space;
  space.nodes = {"n7"};
  space.clock_mhz = {800};
  space.cores = some({1, 2, 3, 4}, 1);
  space.format_sets = {make_set("i9", {{"int9", "int8"}}),
                       make_set("i5+bf16", {{"int5", "int8"}, {"bf16", "bf16"}})};
  space.rows = some({1, 2, 4, 8, 16}, 2);
  space.cols = some({8, 16, 32}, 2);
  space.depth = some({16, 32}, 1);
  space.vector_lanes = some({8, 16, 32, 64}, 2);
  space.decoder_values_per_cycle = some({64, 128, 512, 2048}, 2);
  space.weight_buffer_kib = some({2, 8, 32, 64}, 2);
  space.activation_buffer_kib = some({4, 8, 16, 32, 64}, 2);
  space.accumulator_kib = some({1, 2, 8, 16}, 2);
  space.sram_mib = {0.25, 2.0 + static_cast<double>(random.below(6))};
  space.dram_kinds = {"lpddr5"};
  space.dram_channels = some({1, 2, 4}, 1);
  space.dram_capacity_gib = 1;
  return space;
}

inline Budget edge_budget() {
  return {.max_area_mm2 = 40,
          .max_peak_power_w = 5,
          .max_sustained_power_w = 4,
          .max_power_density_w_per_mm2 = 0.5,
          .max_price_usd = 1e9,
          .max_dram_gb_per_s = 51.2};
}

// A product with its own cost model, which must not move while in use.
struct Model {
  std::unique_ptr<silicon::CostModel> costs;
  Product product;
};
inline Result<Model> make_model(const model::ModelShape& shape, const recipe::Workload& workload,
                                const recipe::Menu& menu, uint64_t seed) {
  DOVETAIL_TRY(const silicon::Technology technology, silicon::Technology::load("data/technology"));
  DOVETAIL_TRY(silicon::CostModel costs,
               silicon::CostModel::create(shape, workload, menu, technology));
  Model result;
  result.costs = std::make_unique<silicon::CostModel>(std::move(costs));
  result.product = {.name = shape.name,
                    .costs = result.costs.get(),
                    .losses = make_losses(shape, menu, seed),
                    .weight = 1.0};
  return result;
}

}  // namespace dovetail::search::synthetic
