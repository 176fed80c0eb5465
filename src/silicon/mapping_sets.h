// The mapper of `CostModel`: per op and treatment the Pareto set of mappings on one grid.
//
// Depends on the units, the buffers, the number of cores, the DRAM burst and the shared SRAM that
// activations may take; not on clock, bandwidth, lanes or node. The lists themselves belong to one
// memo of the process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chip/chip.h"
#include "recipe/lower.h"
#include "recipe/site.h"
#include "silicon/constants.h"
#include "silicon/decode_steps.h"
#include "silicon/mapper.h"
#include "silicon/mapping_memo.h"
#include "silicon/pipeline.h"

namespace dovetail::silicon {

// One linear of the op list, with what depends on the treatment alone.
enum WorkRow : uint8_t {
  kActivationBytes,  // of one element, its share of the scales included
  kVectorCycles,     // quantise and convert
  kTurned,           // elements through the Hadamard unit
  kTurnAdds,         // their additions
  kQuantizeBytes,    // traffic of quantising
  kGranules,         // scaled sums, one a granule
  kStoredRowBytes,   // of one weight row, before burst padding
  kNumWorkRows,
};
struct LinearWork {
  int64_t site = 0;  // SiteKind as index
  double times = 0;  // runs per micro-batch and layer: 1 in prefill, the steps in decode
  PhaseRuns runs;
  double m = 0, k = 0, n = 0;
  std::vector<double> rows;  // (WorkRow, treatment)
  size_t treatments = 0;

  [[nodiscard]] double at(WorkRow row, size_t t) const { return rows[row * treatments + t]; }
};

// What a linear costs on one unit under any mapping, per treatment.
enum UnitRow : uint8_t {
  kFirstWeightBytes,
  kFirstQuantizeCycles,
  kLastConvertCycles,
  kMacUm2,      // MACs times lane area
  kScaledSums,  // sums multiplied by scales
  kActivationBufferBytes,
  kBlockBufferBytes,    // out of the weight buffers, per block of tokens
  kBlockDecodedValues,  // by all decoders, per block of tokens; 0 where the pair takes the element
  kNumUnitRows,
};

struct UnitMappings {
  std::vector<double> rows;  // (UnitRow, treatment)
  // Per treatment; none where it is not legal.
  std::vector<MappingList> streamed;  // weights from DRAM
  std::vector<MappingList> resident;  // weights in shared SRAM; empty without one
};

struct LinearMappings {
  std::vector<double> weight_bytes;  // one pass, padded to the burst
  std::vector<UnitMappings> units;   // those that execute at least one treatment
};

// Attention of one layer under one kv treatment on one unit.
struct AttentionMapping {
  bool legal = false;
  double lane_um2 = 0;             // mean of the pairs of keys and of values
  double decoded_operands = 0;     // of keys and values: 0, 1 or 2
  double prefill_cycles = 0;       // of the busiest core
  double prefill_read_tokens = 0;  // of one problem, all blocks
  double row_tiles = 0;
  std::vector<double> decode_cycles;  // per context node
};

struct MappingSets {
  std::vector<bool> linear_legal;                        // per treatment, any unit
  std::vector<LinearMappings> linears;                   // as the works
  std::vector<std::vector<AttentionMapping>> attention;  // [unit][kv treatment]
  OwnLists own;                                          // what the memo did not take

  [[nodiscard]] size_t bytes() const;  // about
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
                                                     const chip::Chip& chip, double burst_bytes,
                                                     double working_bytes);

// The fields that build_mapping_sets reads, appended to `key`.
void append_mapping_key(const chip::Chip& chip, double burst_bytes, double working_bytes,
                        std::string& key);

// What the mapper may use on one unit of the chip for one linear. `activation_bytes`: of inputs and
// outputs at bf16; `working_bytes`: shared SRAM for them. What is left holds panels.
[[nodiscard]] MapperRoom mapper_room(const Constants& constants, const chip::Chip& chip,
                                     const chip::MatrixUnit& unit, double activation_bytes,
                                     double working_bytes);

}  // namespace dovetail::silicon
