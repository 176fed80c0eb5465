// The mapper: every way to run one linear on one matrix unit, and the Pareto set of them.
//
// Loop nest, outermost first. k is always innermost, because sums stay in the accumulators until
// they are done, so a mapping never changes values:
//
//   cores   split_m of them divide the tokens, the rest the output features
//   panel   what shared SRAM holds of an operand that lives in DRAM (`Hold`); the loop over panels
//           of the held operand is the outer one
//   block   block_m x block_n tiles: what the accumulators of a core hold; `Order` says which loop
//           is the inner one
//   tile    rows x cols sums, `tile_cycles` each
//
// An operand is read from its home (DRAM or shared SRAM) into a core's buffer once per change of
// its block, and once per block if its panel (all of k) exceeds half of the buffer; a held operand
// is read from DRAM once per change of its panel. A panel that is not the whole operand takes twice
// its size (the next one loads meanwhile). All cores share a read (multicast).
#pragma once

#include <cstdint>
#include <vector>

namespace dovetail::silicon {

// One linear under one treatment. Bytes are of one row of an operand, all of k.
struct MapperProblem {
  int64_t m = 0;  // tokens
  int64_t n = 0;  // output features
  double tile_cycles = 0;
  double weight_row_bytes = 0;  // one output feature, padded to the burst
  double input_row_bytes = 0;   // one token as the unit reads it
  bool inputs_in_dram = false;  // else in shared SRAM
  bool weights_in_sram = false;
  bool decodes = false;         // weights pass the decoder on their way to the unit
  double other_dram_bytes = 0;  // outputs, quantising: the same for every mapping
  double other_sram_bytes = 0;
};

struct MapperRoom {
  int64_t cores = 1;
  int64_t rows = 1, cols = 1;
  int64_t block_tiles = 1;       // that the accumulators of a core hold for one block
  bool hides_drain = false;      // accumulators hold a second block: one drains, one sums
  double weight_buffer = 0;      // bytes of a core for one panel: half of a double buffer
  double input_buffer = 0;       //
  double hold = 0;               // bytes of shared SRAM free for panels
  double block_fill_cycles = 0;  // pipeline fill per block
};

enum class Order : uint8_t { kWeightsStay, kInputsStay };
enum class Hold : uint8_t {
  kNothing,
  kInputs,           // a panel of tokens; weights pass by
  kWeights,          // a panel of features; inputs pass by
  kInputsAndBlock,   // a panel of tokens and one block of weights
  kWeightsAndBlock,  // a panel of features and one block of inputs
};

struct Mapping {
  int64_t split_m = 1;
  int64_t block_m = 1, block_n = 1;  // tiles
  Order order = Order::kWeightsStay;
  Hold hold = Hold::kNothing;
  int64_t panel_blocks = 1;  // of the held operand
};

// What a mapping costs.
struct MappingCost {
  double compute_cycles = 0;  // of a core
  double m_blocks = 0;        // times that the weights pass from the buffers to the units
  double decoded_rows = 0;    // of weights, by one core; 0 without `decodes`
  double dram_bytes = 0;      // of the whole chip, the problem's other bytes included
  double sram_bytes = 0;
};

struct MappedCost {
  Mapping mapping;
  MappingCost cost;
};

// Cost of one mapping. It must fit: see `fits`.
[[nodiscard]] MappingCost mapping_cost(const MapperProblem& problem, const MapperRoom& room,
                                       const Mapping& mapping);
[[nodiscard]] bool fits(const MapperProblem& problem, const MapperRoom& room,
                        const Mapping& mapping);

// True if a takes at most b's latency and energy at the rates of any chip. Three facts of every
// chip widen this beyond the comparison of each field (a test asserts them of every node and DRAM
// kind that is shipped): a byte from shared SRAM is as quick as one from DRAM, so that SRAM bytes
// up to b's DRAM bytes cost no time; it takes at most kSramEnergyRel times the energy of one from
// DRAM; a byte out of a weight buffer and through the decoder takes at most that of one from DRAM,
// so that m_blocks counts beside DRAM bytes alone.
inline constexpr double kSramEnergyRel = 2;
[[nodiscard]] bool dominates(const MappingCost& a, const MappingCost& b, double weight_bytes);

// The Pareto set over all mappings that fit, each cost once; never empty. Exact: no mapping of the
// nest above beats it (a test lists them all on small problems). `set` is reused to avoid
// allocation. Returns the number of mappings that were priced.
int64_t pareto_mappings(const MapperProblem& problem, const MapperRoom& room,
                        std::vector<MappedCost>& set);

}  // namespace dovetail::silicon
