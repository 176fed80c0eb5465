#include "silicon/mapper.h"

#include <algorithm>

namespace dovetail::silicon {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The part of a core.
struct CorePart {
  int64_t m = 0, n = 0;
  int64_t tiles_m = 0, tiles_n = 0;
};

CorePart core_part(const MapperProblem& p, const MapperRoom& room, int64_t split_m) {
  const int64_t m = divide_up(p.m, split_m);
  const int64_t n = divide_up(p.n, room.cores / split_m);
  return {m, n, divide_up(m, room.rows), divide_up(n, room.cols)};
}

// The nest of one mapping in numbers of blocks: m_panels * m_inner blocks of tokens (the last panel
// may have fewer), likewise n.
struct Nest {
  int64_t m_blocks = 0, n_blocks = 0;
  int64_t m_panels = 1, n_panels = 1;
  int64_t m_inner = 0, n_inner = 0;
};

bool holds_inputs(Hold hold) {
  return hold == Hold::kInputs || hold == Hold::kInputsAndBlock;
}

Nest nest_of(const Mapping& map, int64_t m_blocks, int64_t n_blocks) {
  Nest nest = {
      .m_blocks = m_blocks, .n_blocks = n_blocks, .m_inner = m_blocks, .n_inner = n_blocks};
  if (map.hold == Hold::kNothing) return nest;
  if (holds_inputs(map.hold)) {
    nest.m_inner = std::min(map.panel_blocks, nest.m_blocks);
    nest.m_panels = divide_up(nest.m_blocks, nest.m_inner);
    if (map.hold == Hold::kInputsAndBlock) {
      nest.n_panels = nest.n_blocks;
      nest.n_inner = 1;
    }
  } else {
    nest.n_inner = std::min(map.panel_blocks, nest.n_blocks);
    nest.n_panels = divide_up(nest.n_blocks, nest.n_inner);
    if (map.hold == Hold::kWeightsAndBlock) {
      nest.m_panels = nest.m_blocks;
      nest.m_inner = 1;
    }
  }
  return nest;
}

// One operand in the nest: the loops over its own blocks and over the other operand's.
struct OperandLoops {
  int64_t blocks = 0;  // its own
  int64_t inner = 0;   // of a panel
  int64_t other_blocks = 0;
  int64_t other_panels = 0;
  bool outermost = false;    // the loop over its panels
  bool outer_block = false;  // its loop inside a panel is outside the other's: its block stays
  bool fits_buffer = false;
};

// How often the whole operand is read into the buffers.
int64_t buffer_passes(const OperandLoops& x) {
  if (!x.fits_buffer) return x.other_blocks;
  if (x.blocks == 1) return 1;
  if (x.inner > 1) return x.outer_block ? x.other_panels : x.other_blocks;
  return x.outermost ? 1 : x.other_panels;
}

// How often a held operand is read from DRAM into shared SRAM: its panel or block changes with its
// own loop, and again with each turn of an outer loop over the other operand.
int64_t hold_passes(const OperandLoops& x) {
  return x.outermost || x.blocks == 1 ? 1 : x.other_panels;
}

struct Traffic {
  double dram = 0;
  double sram = 0;
};

Traffic operand_traffic(const OperandLoops& loops, double bytes, bool in_sram, bool held) {
  const auto passes = static_cast<double>(buffer_passes(loops));
  if (in_sram) return {.sram = bytes * passes};
  if (!held) return {.dram = bytes * passes};
  const auto loads = static_cast<double>(hold_passes(loops));
  return {.dram = bytes * loads, .sram = bytes * (loads + passes)};
}

double compute_cycles(const MapperProblem& p, const MapperRoom& room, const CorePart& part,
                      int64_t blocks) {
  const int64_t tiles = part.tiles_m * part.tiles_n;
  const int64_t drains = room.hides_drain ? 1 : tiles;
  return static_cast<double>(tiles) * p.tile_cycles +
         static_cast<double>(blocks) * room.block_fill_cycles +
         static_cast<double>(drains * std::min(part.m, room.rows));
}

double decoded_rows(const MapperProblem& p, const CorePart& part, int64_t m_blocks) {
  return p.decodes ? static_cast<double>(part.n * m_blocks) : 0;
}

MappingCost cost_of_nest(const MapperProblem& p, const MapperRoom& room, const Mapping& map,
                         const CorePart& part, const Nest& nest) {
  const bool inputs_outermost = holds_inputs(map.hold);
  const bool weights_stay = map.order == Order::kWeightsStay;
  const OperandLoops weights = {
      .blocks = nest.n_blocks,
      .inner = nest.n_inner,
      .other_blocks = nest.m_blocks,
      .other_panels = nest.m_panels,
      .outermost = !inputs_outermost,
      .outer_block = weights_stay,
      .fits_buffer =
          static_cast<double>(map.block_n * room.cols) * p.weight_row_bytes <= room.weight_buffer};
  const OperandLoops inputs = {
      .blocks = nest.m_blocks,
      .inner = nest.m_inner,
      .other_blocks = nest.n_blocks,
      .other_panels = nest.n_panels,
      .outermost = inputs_outermost,
      .outer_block = !weights_stay,
      .fits_buffer =
          static_cast<double>(map.block_m * room.rows) * p.input_row_bytes <= room.input_buffer};
  const Traffic w =
      operand_traffic(weights, static_cast<double>(p.n) * p.weight_row_bytes, p.weights_in_sram,
                      map.hold != Hold::kNothing && map.hold != Hold::kInputs);
  const Traffic a =
      operand_traffic(inputs, static_cast<double>(p.m) * p.input_row_bytes, !p.inputs_in_dram,
                      map.hold != Hold::kNothing && map.hold != Hold::kWeights);
  return {.compute_cycles = compute_cycles(p, room, part, nest.m_blocks * nest.n_blocks),
          .m_blocks = static_cast<double>(nest.m_blocks),
          .decoded_rows = decoded_rows(p, part, nest.m_blocks),
          .dram_bytes = w.dram + a.dram + p.other_dram_bytes,
          .sram_bytes = w.sram + a.sram + p.other_sram_bytes};
}

// Shared SRAM for `blocks` of `total` blocks of an operand with `rows` rows, `block_rows` a block
// over all cores.
double panel_bytes(int64_t blocks, int64_t total, int64_t block_rows, int64_t rows,
                   double row_bytes) {
  if (blocks >= total) return static_cast<double>(rows) * row_bytes;
  return 2 * static_cast<double>(std::min(rows, blocks * block_rows)) * row_bytes;
}

// Most blocks of an operand that fit `bytes`; 0 if not even one does.
int64_t most_blocks(double bytes, int64_t total, int64_t block_rows, int64_t rows,
                    double row_bytes) {
  if (static_cast<double>(rows) * row_bytes <= bytes) return total;
  const double block = 2 * static_cast<double>(block_rows) * row_bytes;
  return std::min(total - 1, static_cast<int64_t>(bytes / block));
}

// Lists the mappings that may be in the Pareto set. Left out are only mappings that another one
// beats or equals in every field: the cost depends on a block's size through the number of blocks
// alone, and grows with it; so of all sizes with one number the smallest is taken (it fits best),
// and of all block_n only the largest that each limit (accumulators, buffer, hold) allows, except
// where the size of a held panel trades against it (both operands held).
class Lister {
 public:
  Lister(const MapperProblem& problem, const MapperRoom& room, std::vector<MappedCost>& set)
      : p_(problem), room_(room), set_(set) {}

  int64_t list() {
    for (int64_t split = 1; split <= room_.cores; ++split) {
      if (room_.cores % split == 0) list_split(split);
    }
    return priced_;
  }

 private:
  void list_split(int64_t split) {
    map_.split_m = split;
    part_ = core_part(p_, room_, split);
    int64_t last = 0;
    for (int64_t block = std::min(room_.block_tiles, part_.tiles_m); block >= 1; --block) {
      m_blocks_ = divide_up(part_.tiles_m, block);
      if (m_blocks_ == last) continue;
      last = m_blocks_;
      map_.block_m = divide_up(part_.tiles_m, m_blocks_);
      list_block_m();
      block = map_.block_m;
    }
  }

  void list_block_m() {
    const int64_t most = std::min(part_.tiles_n, room_.block_tiles / map_.block_m);
    const int64_t buffered =
        std::min(most, rows_in(room_.weight_buffer, p_.weight_row_bytes) / room_.cols);
    try_n(most, Hold::kNothing, Order::kInputsStay);
    try_n(buffered, Hold::kNothing, Order::kWeightsStay);
    if (!p_.weights_in_sram && m_blocks_ > 1) {
      const int64_t held = most_block_n();
      try_n(std::min(most, held), Hold::kWeights, Order::kWeightsStay);
      try_n(std::min(buffered, held), Hold::kWeights, Order::kWeightsStay);
      try_sizes(std::min(most, held), Hold::kWeights, Order::kInputsStay);
    }
    if (!p_.inputs_in_dram) return;
    try_n(most, Hold::kInputs, Order::kInputsStay);
    try_n(buffered, Hold::kInputs, Order::kWeightsStay);
    if (p_.weights_in_sram || m_blocks_ == 1) return;
    // Where both are held, the order inside a panel changes nothing: one of them is one block.
    for (const Hold hold : {Hold::kInputsAndBlock, Hold::kWeightsAndBlock}) {
      try_sizes(most, hold, Order::kWeightsStay);
      try_n(buffered, hold, Order::kWeightsStay);
    }
  }

  static int64_t rows_in(double bytes, double row_bytes) {
    return static_cast<int64_t>(bytes / row_bytes);
  }

  // Tiles of n in the largest block of weights that `hold` takes twice, or once if it is all.
  int64_t most_block_n() const {
    if (static_cast<double>(p_.n) * p_.weight_row_bytes <= room_.hold) return part_.tiles_n;
    const int64_t features = rows_in(room_.hold / 2, p_.weight_row_bytes);
    return features / (room_.cols * (room_.cores / map_.split_m));
  }

  void try_n(int64_t block, Hold hold, Order order) {
    if (block < 1) return;
    map_.hold = hold;
    map_.order = order;
    set_block_n(block);
    price(largest_panel());
  }

  // Smaller blocks of weights leave more room for the panel, or fill it better: down from `most`
  // until there are as few panels as with blocks of one tile. Beyond that only the number of
  // blocks grows.
  void try_sizes(int64_t most, Hold hold, Order order) {
    map_.hold = hold;
    map_.order = order;
    if (most < 1) return;
    set_block_n(1);
    const int64_t fewest = panels(largest_panel());
    if (fewest < 1) return;
    set_block_n(most);
    if (beaten(least_cost(fewest))) return;
    int64_t last = 0;
    for (int64_t block = most; block >= 1; --block) {
      set_block_n(block);
      block = map_.block_n;
      if (n_blocks_ == last) continue;
      last = n_blocks_;
      const int64_t panel = largest_panel();
      price(panel);
      if (panel >= 1 && panels(panel) == fewest) return;
    }
  }

  // No block of weights costs less in any field, if at least `fewest` panels of the held operand
  // are needed and the blocks are as large as they are now: the held operand passes once through
  // shared SRAM, the other one at least once with each panel.
  MappingCost least_cost(int64_t fewest) const {
    const bool inputs = holds_inputs(map_.hold);
    const double input_bytes = static_cast<double>(p_.m) * p_.input_row_bytes;
    const double held = inputs ? input_bytes : weight_bytes_;
    const double other = (inputs ? weight_bytes_ : input_bytes) *
                         static_cast<double>(inputs && n_blocks_ == 1 ? 1 : fewest);
    const bool other_in_sram = !inputs && !p_.inputs_in_dram;
    const double other_sram = map_.hold == Hold::kWeights ? (other_in_sram ? other : 0) : 2 * other;
    return {.compute_cycles = compute_cycles(p_, room_, part_, m_blocks_ * n_blocks_),
            .m_blocks = static_cast<double>(m_blocks_),
            .decoded_rows = decoded_rows(p_, part_, m_blocks_),
            .dram_bytes = p_.other_dram_bytes + held + (other_in_sram ? 0 : other),
            .sram_bytes = p_.other_sram_bytes + 2 * held + other_sram};
  }

  void set_block_n(int64_t block) {
    n_blocks_ = divide_up(part_.tiles_n, block);
    map_.block_n = divide_up(part_.tiles_n, n_blocks_);
  }

  int64_t panels(int64_t panel_blocks) const {
    if (panel_blocks < 1) return 0;
    return divide_up(holds_inputs(map_.hold) ? m_blocks_ : n_blocks_, panel_blocks);
  }

  // Blocks of the held operand that fit beside the block of the other one; 0 if none does.
  int64_t largest_panel() const {
    if (map_.hold == Hold::kNothing) return 1;
    const int64_t block_m = map_.block_m * room_.rows * map_.split_m;
    const int64_t block_n = map_.block_n * room_.cols * (room_.cores / map_.split_m);
    double space = room_.hold;
    if (map_.hold == Hold::kInputsAndBlock) {
      space -= panel_bytes(1, n_blocks_, block_n, p_.n, p_.weight_row_bytes);
    }
    if (map_.hold == Hold::kWeightsAndBlock) {
      space -= panel_bytes(1, m_blocks_, block_m, p_.m, p_.input_row_bytes);
    }
    if (space <= 0) return 0;
    return holds_inputs(map_.hold)
               ? most_blocks(space, m_blocks_, block_m, p_.m, p_.input_row_bytes)
               : most_blocks(space, n_blocks_, block_n, p_.n, p_.weight_row_bytes);
  }

  void price(int64_t panel_blocks) {
    if (panel_blocks < 1) return;
    map_.panel_blocks = panel_blocks;
    ++priced_;
    insert(cost_of_nest(p_, room_, map_, part_, nest_of(map_, m_blocks_, n_blocks_)));
  }

  bool beaten(const MappingCost& cost) const {
    for (const MappedCost& kept : set_) {
      if (dominates(kept.cost, cost, weight_bytes_)) return true;
    }
    return false;
  }

  void insert(const MappingCost& cost) {
    if (beaten(cost)) return;
    std::erase_if(
        set_, [&](const MappedCost& kept) { return dominates(cost, kept.cost, weight_bytes_); });
    set_.push_back({map_, cost});
  }

  const MapperProblem& p_;
  const MapperRoom& room_;
  std::vector<MappedCost>& set_;
  const double weight_bytes_ = static_cast<double>(p_.n) * p_.weight_row_bytes;
  Mapping map_;
  CorePart part_;
  int64_t m_blocks_ = 0, n_blocks_ = 0;
  int64_t priced_ = 0;
};

}  // namespace

MappingCost mapping_cost(const MapperProblem& problem, const MapperRoom& room,
                         const Mapping& mapping) {
  const CorePart part = core_part(problem, room, mapping.split_m);
  return cost_of_nest(problem, room, mapping, part,
                      nest_of(mapping, divide_up(part.tiles_m, mapping.block_m),
                              divide_up(part.tiles_n, mapping.block_n)));
}

bool dominates(const MappingCost& a, const MappingCost& b, double weight_bytes) {
  return a.compute_cycles <= b.compute_cycles && a.decoded_rows <= b.decoded_rows &&
         a.dram_bytes <= b.dram_bytes && a.sram_bytes <= std::max(b.sram_bytes, b.dram_bytes) &&
         a.dram_bytes + kSramEnergyRel * a.sram_bytes <=
             b.dram_bytes + kSramEnergyRel * b.sram_bytes &&
         a.dram_bytes + weight_bytes * a.m_blocks <= b.dram_bytes + weight_bytes * b.m_blocks;
}

bool fits(const MapperProblem& p, const MapperRoom& room, const Mapping& map) {
  if (map.block_m * map.block_n > room.block_tiles) return false;
  if (map.hold == Hold::kNothing) return true;
  if (holds_inputs(map.hold) || map.hold == Hold::kWeightsAndBlock) {
    if (!p.inputs_in_dram) return false;
  }
  if (map.hold != Hold::kInputs && p.weights_in_sram) return false;
  const CorePart part = core_part(p, room, map.split_m);
  const Nest nest =
      nest_of(map, divide_up(part.tiles_m, map.block_m), divide_up(part.tiles_n, map.block_n));
  const int64_t block_m = map.block_m * room.rows * map.split_m;
  const int64_t block_n = map.block_n * room.cols * (room.cores / map.split_m);
  const auto inputs = [&](int64_t blocks) {
    return panel_bytes(blocks, nest.m_blocks, block_m, p.m, p.input_row_bytes);
  };
  const auto weights = [&](int64_t blocks) {
    return panel_bytes(blocks, nest.n_blocks, block_n, p.n, p.weight_row_bytes);
  };
  double bytes = 0;
  switch (map.hold) {
    case Hold::kNothing:
      break;
    case Hold::kInputs:
      bytes = inputs(nest.m_inner);
      break;
    case Hold::kWeights:
      bytes = weights(nest.n_inner);
      break;
    case Hold::kInputsAndBlock:
      bytes = inputs(nest.m_inner) + weights(1);
      break;
    case Hold::kWeightsAndBlock:
      bytes = weights(nest.n_inner) + inputs(1);
      break;
  }
  return bytes <= room.hold;
}

int64_t pareto_mappings(const MapperProblem& problem, const MapperRoom& room,
                        std::vector<MappedCost>& set) {
  set.clear();
  return Lister(problem, room, set).list();
}

}  // namespace dovetail::silicon
