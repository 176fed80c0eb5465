// The accelerator description (Tenon, docs/chip.md): one struct, read from TOML by its visit().
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "formats/format.h"
#include "recipe/site.h"

namespace dovetail::chip {

inline constexpr int64_t kMaxTensorParallel = 64;
inline constexpr int64_t kMaxPipelineParallel = 64;

// A pair of element formats that a unit multiplies natively. Weight elements: int2, int3, int4,
// int5, int6, int8, int9 (a zero point takes one bit more than its code), fp4_e2m1, fp8_e4m3fn,
// bf16. Activation elements: int4, int8, fp4_e2m1, fp8_e4m3fn, bf16. A bf16 weight multiplies bf16
// alone, an fp8 weight fp8 and bf16, and fp4 activations meet fp4 weights alone.
struct NativePair {
  std::string weight;
  std::string activation;
  double macs_per_cycle_rel = 1.0;  // of rows * cols * depth
  int64_t scale_granule = 0;        // elements of k, see finest_granule
  friend bool operator==(const NativePair&, const NativePair&) = default;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("weight", s.weight,
           {.choices = {"int2", "int3", "int4", "int5", "int6", "int8", "int9", "fp4_e2m1",
                        "fp8_e4m3fn", "bf16"},
            .required = true,
            .help = "weight element at the multiplier"});
    v.text("activation", s.activation,
           {.choices = {"int4", "int8", "fp4_e2m1", "fp8_e4m3fn", "bf16"},
            .required = true,
            .help = "activation element"});
    v.number("macs_per_cycle_rel", s.macs_per_cycle_rel,
             {.min = 0.0625, .max = 8, .help = "throughput relative to rows * cols * depth"});
    v.number("scale_granule", s.scale_granule,
             {.min = 0,
              .max = 128,
              .help = "elements of k that share a scale and pass at full rate; finer groups wait "
                      "for the scale units; 0: 16 for fp4_e2m1 weights, 32 else"});
  }
};

// rows x cols dot units, each `depth` wide per cycle, output-stationary. Tokens go along rows,
// output features along cols.
struct MatrixUnit {
  std::string format_set;  // name of the set, for reports
  int64_t rows = 16;
  int64_t cols = 16;
  int64_t depth = 16;
  std::string sharing = "shared";  // how several pairs share silicon, see silicon/area.h
  std::vector<NativePair> pairs;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("format_set", s.format_set, {.help = "name of the set of native pairs"});
    v.number("rows", s.rows,
             {.min = 1, .max = 1024, .required = true, .help = "dot units along tokens"});
    v.number("cols", s.cols,
             {.min = 1, .max = 1024, .required = true, .help = "dot units along outputs"});
    v.number("depth", s.depth,
             {.min = 1, .max = 128, .required = true, .help = "reduction per cycle"});
    v.text("sharing", s.sharing,
           {.choices = {"separate", "shared", "composed"}, .help = "how pairs share multipliers"});
    v.list("pairs", s.pairs, {.required = true, .help = "native (weight, activation) pairs"});
  }
};

struct Dram {
  std::string kind = "lpddr5";  // entry of data/technology/dram.toml
  int64_t channels = 4;         // of the kind's channel width
  double capacity_gib = 8;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("kind", s.kind, {.required = true, .help = "entry of data/technology/dram.toml"});
    v.number("channels", s.channels, {.min = 1, .max = 256, .required = true, .help = "channels"});
    v.number("capacity_gib", s.capacity_gib, {.min = 0.0625, .max = 4096, .help = "DRAM capacity"});
  }
};

// Equal chips that run one model together. Tensor parallel: every chip holds a share of every layer
// (recipe::shard_shape says which). Pipeline: stages of layers in order, each of tensor_parallel
// chips, which micro-batches of the requests pass one after the other.
struct ScaleUp {
  int64_t tensor_parallel = 1;        // chips of a stage
  int64_t pipeline_parallel = 1;      // stages
  int64_t micro_batches = 0;          // of the batch, at most; 0: as many as stages
  std::string link_kind = "nvlink4";  // entry of data/technology/links.toml
  int64_t links = 0;                  // per chip
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.number("tensor_parallel", s.tensor_parallel,
             {.min = 1, .max = kMaxTensorParallel, .help = "chips that share every layer"});
    v.number(
        "pipeline_parallel", s.pipeline_parallel,
        {.min = 1, .max = kMaxPipelineParallel, .help = "stages of layers, one after the other"});
    v.number("micro_batches", s.micro_batches,
             {.min = 0,
              .max = 4096,
              .help = "parts of the batch, at most, that pass the stages one after the other; 0: "
                      "as many as stages"});
    v.text("link_kind", s.link_kind, {.help = "entry of data/technology/links.toml"});
    v.number("links", s.links, {.min = 0, .max = 256, .help = "links of a chip to the others"});
  }
};

// Chips that run one model together.
[[nodiscard]] inline int64_t num_chips(const ScaleUp& scale_up) {
  return scale_up.tensor_parallel * scale_up.pipeline_parallel;
}

struct Chip {
  std::string name;
  std::string node = "n7";  // entry of data/technology/nodes.toml
  double clock_mhz = 1000;
  int64_t cores = 1;
  std::vector<MatrixUnit> units;           // per core
  int64_t decoder_values_per_cycle = 256;  // per core: packed weights or KV expanded per cycle
  int64_t vector_lanes = 32;               // per core, FP32
  int64_t hadamard_lanes = 0;              // per core: elements turned per cycle; 0: no unit
  int64_t weight_buffer_kib = 64;          // per core, double-buffered
  int64_t activation_buffer_kib = 64;      // per core, double-buffered
  int64_t accumulator_kib = 16;            // per core
  double sram_mib = 4;                     // shared
  int64_t kv_page_tokens = 16;             // tokens of one head in a page of the KV cache
  Dram dram;                               // of one chip
  ScaleUp scale_up;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "short name used in reports"});
    v.text("node", s.node, {.required = true, .help = "entry of data/technology/nodes.toml"});
    v.number("clock_mhz", s.clock_mhz, {.min = 50, .max = 4000, .required = true, .help = "clock"});
    v.number("cores", s.cores, {.min = 1, .max = 1024, .required = true, .help = "cores"});
    v.list("units", s.units, {.required = true, .help = "matrix units of a core"});
    v.number("decoder_values_per_cycle", s.decoder_values_per_cycle,
             {.min = 1, .max = 65536, .help = "decoder width per core"});
    v.number("vector_lanes", s.vector_lanes,
             {.min = 1, .max = 4096, .help = "FP32 lanes per core"});
    v.number("hadamard_lanes", s.hadamard_lanes,
             {.min = 0,
              .max = 4096,
              .help = "elements per cycle and core of the online Hadamard unit; 0: none"});
    v.number("weight_buffer_kib", s.weight_buffer_kib,
             {.min = 1, .max = 65536, .help = "per core"});
    v.number("activation_buffer_kib", s.activation_buffer_kib,
             {.min = 1, .max = 65536, .help = "per core"});
    v.number("accumulator_kib", s.accumulator_kib, {.min = 1, .max = 65536, .help = "per core"});
    v.number("sram_mib", s.sram_mib, {.min = 0, .max = 4096, .help = "shared SRAM"});
    v.number("kv_page_tokens", s.kv_page_tokens,
             {.min = 1, .max = 65536, .help = "tokens of one head in a page of the KV cache"});
    v.group("dram", s.dram, {.required = true, .help = "external memory"});
    v.group("scale_up", s.scale_up, {.help = "chips that run one model together"});
  }
};

// Errors: kInvalidArgument for what ranges alone cannot say: no unit, no pair or a pair twice, a
// depth that is no power of two (scale granules could not divide it), a scale granule that is none
// or below 8, an accumulator or a buffer
// smaller than one pass of the grid needs, several chips without a link, micro-batches without a
// pipeline.
[[nodiscard]] Status check_chip(const Chip& chip);
// Reads and checks. Errors: kNotFound, kInvalidArgument naming file, key, value and what was
// wanted.
[[nodiscard]] Result<Chip> load_chip(const std::string& path);

// True if every code of the stored format is exactly a value of the pair's weight element (up to a
// power of two that joins the scale), so that the decoder may widen it and results stay the same:
//   int b holds int codes of up to b bits (an asymmetric code takes one more), ternaries, fp4 if
//   b >= 5, fp6_e2m3 and the levels of codebooks if b >= 8; fp4_e2m1 holds fp4, ternaries and
//   symmetric int2, int3; fp8_e4m3fn holds fp8_e4m3fn, fp6, fp4 and codes of up to 5 bits; bf16
//   holds everything. Scales are applied per granule after the dot, never before.
[[nodiscard]] bool holds_codes(const std::string& element, const formats::WeightFormat& weight);

// True if packed weights of this format reach that element without the decoder.
[[nodiscard]] bool stored_natively(const std::string& element, const formats::WeightFormat& weight);

// Activation element at the multiplier: "bf16", "int8", "int4", "fp8_e4m3fn", "fp4_e2m1" (also of
// mxfp8, mxfp4 and nvfp4, whose scales join in after the dot).
[[nodiscard]] std::string activation_element(formats::ActivationFormat activation);

// Which native pair executes this treatment's element formats at the multiplier, -1 if none does.
// The narrowest pair with the same activation that holds every weight code; among equals the one
// with the highest throughput, then the first listed. K and V caches are int, asymmetric, as
// weights.
[[nodiscard]] int64_t native_pair(const MatrixUnit& unit, const formats::WeightFormat& weight,
                                  formats::ActivationFormat activation);

// True if the chip can turn what the treatment turns online.
[[nodiscard]] inline bool can_turn(const Chip& chip, int64_t hadamard) {
  return hadamard == 0 || chip.hadamard_lanes > 0;
}

// Treatments that the cost model prices: all of linears, keys and values per token, no rotation
// that unties an embedding. Errors: kInvalidArgument naming the treatment and what has no price.
[[nodiscard]] Status check_priced(const recipe::KvTreatment& treatment);
[[nodiscard]] Status check_priced(const recipe::Menu& menu);
[[nodiscard]] Status check_priced(const model::ModelShape& shape, const recipe::Recipe& recipe);

// A KV cache format as the weight format that the matrix unit sees.
[[nodiscard]] formats::WeightFormat kv_as_weight(formats::KvFormat kv);

// The finest scale granule that a pair serves at full rate, in elements of k: what the chip states;
// else 16 for fp4 (nvfp4), 32 for the rest.
[[nodiscard]] int64_t finest_granule(const NativePair& pair);

}  // namespace dovetail::chip
