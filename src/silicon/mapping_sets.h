// The mapper of `CostModel`: per op and treatment the Pareto set of mappings on one grid.
//
// Depends on the units, the buffers, the number of cores and the DRAM burst; not on clock,
// bandwidth, shared SRAM, lanes or node. Arrays run over treatments, so that pricing a slot is one
// flat loop.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "recipe/lower.h"
#include "recipe/site.h"
#include "silicon/constants.h"
#include "silicon/decode_steps.h"

namespace dovetail::silicon {

// One linear of the op list, with what depends on the treatment alone.
enum WorkRow : uint8_t {
  kActivationBytes,  // of one element
  kVectorCycles,     // quantise and convert
  kQuantizeBytes,    // traffic of quantising
  kGranules,         // scaled sums
  kStoredRowBytes,   // of one weight row, before burst padding
  kNumWorkRows,
};
struct LinearWork {
  int64_t site = 0;  // SiteKind as index
  double times = 0;  // runs per request and layer: 1 in prefill, the steps in decode
  double m = 0, k = 0, n = 0;
  std::vector<double> rows;  // (WorkRow, treatment)
  size_t treatments = 0;

  [[nodiscard]] double at(WorkRow row, size_t t) const { return rows[row * treatments + t]; }
};

// One candidate mapping for every treatment: a row per quantity, each as long as the menu. Where a
// treatment has fewer candidates than others, its first one stands again.
enum SlotRow : uint8_t {
  kComputeCycles,
  kWeightPasses,
  kActivationPasses,
  kDecodedPerCore,  // values; 0 where the pair takes the stored element
  kDecodedValues,   // whole chip
  kWeightBufferBytes,
  kActivationBufferBytes,
  kFirstWeightBytes,
  kFirstQuantizeCycles,
  kLastConvertCycles,
  kMacUm2,  // MACs times lane area
  kNumSlotRows,
};
using MappingSlot = std::vector<double>;  // (row, treatment)

struct LinearMappings {
  std::vector<double> weight_bytes;  // one pass, padded to the burst
  std::vector<MappingSlot> slots;    // empty if no treatment is legal
};

// Attention of one layer under one kv treatment on one unit.
struct AttentionMapping {
  bool legal = false;
  double lane_um2 = 0;
  bool needs_decoder = false;
  double prefill_cycles = 0;       // of the busiest core
  double prefill_read_tokens = 0;  // of one problem, all blocks
  double row_tiles = 0;
  std::vector<double> decode_cycles;  // per context node
};

struct MappingSets {
  std::vector<bool> linear_legal;                        // per treatment, any unit
  std::vector<LinearMappings> linears;                   // as the works
  std::vector<std::vector<AttentionMapping>> attention;  // [unit][kv treatment]
};

struct MapperInput {
  const Constants* constants = nullptr;
  const recipe::Menu* menu = nullptr;
  const std::vector<LinearWork>* works = nullptr;
  const std::vector<ContextNode>* nodes = nullptr;
  double batch = 0;
  double kv_heads = 0;
  double group = 0;
  double head_dim = 0;
  double prompt = 0;
};

// Errors: kInvalidArgument (a pair without a lane area).
[[nodiscard]] Result<MappingSets> build_mapping_sets(const MapperInput& input,
                                                     const chip::Chip& chip, double burst_bytes);

// The fields that build_mapping_sets reads, appended to `key`.
void append_mapping_key(const chip::Chip& chip, double burst_bytes, std::string& key);

}  // namespace dovetail::silicon
