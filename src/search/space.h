// The chips that a study may choose from: a cross product of lists, and the limits of the silicon.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "chip/chip.h"

namespace dovetail::search {

// A named set of native pairs and how they share silicon.
struct FormatSet {
  std::string name;
  std::string sharing = "shared";
  std::vector<chip::NativePair> pairs;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "short name used in reports"});
    v.text("sharing", s.sharing,
           {.choices = {"separate", "shared", "composed"}, .help = "how pairs share multipliers"});
    v.list("pairs", s.pairs, {.required = true, .help = "native (weight, activation) pairs"});
  }
};

// Every list is one axis. A chip has one matrix unit per core. Capacity is of one chip; links are
// on every chip that shares a model, a chip alone has none.
struct Space {
  std::vector<std::string> nodes;
  std::vector<double> clock_mhz;
  std::vector<int64_t> cores;
  std::vector<FormatSet> format_sets;
  std::vector<int64_t> rows;
  std::vector<int64_t> cols;
  std::vector<int64_t> depth;
  std::vector<int64_t> vector_lanes;
  std::vector<int64_t> hadamard_lanes = {0};
  std::vector<int64_t> decoder_values_per_cycle;
  std::vector<int64_t> weight_buffer_kib;
  std::vector<int64_t> activation_buffer_kib;
  std::vector<int64_t> accumulator_kib;
  std::vector<double> sram_mib;
  std::vector<std::string> dram_kinds;
  std::vector<int64_t> dram_channels;
  double dram_capacity_gib = 4;
  std::vector<int64_t> tensor_parallel = {1};
  std::string link_kind = "nvlink4";
  int64_t links = 0;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.texts("nodes", s.nodes, {.required = true, .help = "entries of data/technology/nodes.toml"});
    v.numbers("clock_mhz", s.clock_mhz,
              {.min = 50, .max = 4000, .required = true, .help = "clocks"});
    v.numbers("cores", s.cores, {.min = 1, .max = 1024, .required = true, .help = "cores"});
    v.list("format_sets", s.format_sets, {.required = true, .help = "sets of native pairs"});
    v.numbers("rows", s.rows,
              {.min = 1, .max = 1024, .required = true, .help = "dot units along tokens"});
    v.numbers("cols", s.cols,
              {.min = 1, .max = 1024, .required = true, .help = "dot units along outputs"});
    v.numbers("depth", s.depth,
              {.min = 1, .max = 128, .required = true, .help = "reduction per cycle"});
    v.numbers("vector_lanes", s.vector_lanes,
              {.min = 1, .max = 4096, .required = true, .help = "FP32 lanes per core"});
    v.numbers("hadamard_lanes", s.hadamard_lanes,
              {.min = 0,
               .max = 4096,
               .help = "elements per cycle and core of the online Hadamard "
                       "unit; 0: none"});
    v.numbers("decoder_values_per_cycle", s.decoder_values_per_cycle,
              {.min = 1, .max = 65536, .required = true, .help = "decoder width per core"});
    v.numbers("weight_buffer_kib", s.weight_buffer_kib,
              {.min = 1, .max = 65536, .required = true, .help = "per core"});
    v.numbers("activation_buffer_kib", s.activation_buffer_kib,
              {.min = 1, .max = 65536, .required = true, .help = "per core"});
    v.numbers("accumulator_kib", s.accumulator_kib,
              {.min = 1, .max = 65536, .required = true, .help = "per core"});
    v.numbers("sram_mib", s.sram_mib,
              {.min = 0, .max = 4096, .required = true, .help = "shared SRAM"});
    v.texts("dram_kinds", s.dram_kinds,
            {.required = true, .help = "entries of data/technology/dram.toml"});
    v.numbers("dram_channels", s.dram_channels,
              {.min = 1, .max = 256, .required = true, .help = "channels"});
    v.number("dram_capacity_gib", s.dram_capacity_gib,
             {.min = 0.0625, .max = 4096, .required = true, .help = "DRAM capacity"});
    v.numbers("tensor_parallel", s.tensor_parallel,
              {.min = 1, .max = chip::kMaxTensorParallel, .help = "chips that share every layer"});
    v.text("link_kind", s.link_kind, {.help = "entry of data/technology/links.toml"});
    v.number("links", s.links,
             {.min = 0, .max = 256, .help = "links of a chip where several share a model"});
  }
};

// Number of chips in the cross product, before any limit.
[[nodiscard]] int64_t num_chips(const Space& space);
// The most chips that share a model.
[[nodiscard]] int64_t most_tensor_parallel(const Space& space);
// The chip at an index of [0, num_chips). Named "c<index>".
[[nodiscard]] chip::Chip chip_at(const Space& space, int64_t index);
// Errors: kInvalidArgument naming the list and the entry (duplicates, unknown names are for
// silicon).
[[nodiscard]] Status check_space(const Space& space);

// Limits of the silicon. Power is always limited. Area and W/mm2 are of every die; power, price and
// DRAM bandwidth are of all chips that share a model.
struct Budget {
  double max_area_mm2 = 100;
  double max_peak_power_w = 10;
  double max_sustained_power_w = 10;
  double max_power_density_w_per_mm2 = 1.0;
  double max_price_usd = 1e9;
  double max_dram_gb_per_s = 1e9;
  double thermal_headroom_c = 60;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.number("max_area_mm2", s.max_area_mm2,
             {.min = 0.1, .max = 1000, .required = true, .help = "die area"});
    v.number(
        "max_peak_power_w", s.max_peak_power_w,
        {.min = 0.01, .max = 5000, .required = true, .help = "all units at their worst at once"});
    v.number(
        "max_sustained_power_w", s.max_sustained_power_w,
        {.min = 0.01, .max = 5000, .required = true, .help = "worst op's energy over its time"});
    v.number("max_power_density_w_per_mm2", s.max_power_density_w_per_mm2,
             {.min = 0.01, .max = 10, .help = "the die's peak power over its area"});
    v.number("max_price_usd", s.max_price_usd, {.min = 0.1, .help = "die, package and DRAM"});
    v.number("max_dram_gb_per_s", s.max_dram_gb_per_s,
             {.min = 0.1, .help = "peak DRAM bandwidth, 1e9 B/s"});
    v.number("thermal_headroom_c", s.thermal_headroom_c,
             {.min = 1,
              .max = 200,
              .help = "junction minus ambient temperature that the limits on heat stand for; only "
                      "the worth of one more degree rests on it"});
  }
};

}  // namespace dovetail::search
