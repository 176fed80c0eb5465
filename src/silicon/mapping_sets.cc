#include "silicon/mapping_sets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace dovetail::silicon {
namespace {

int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// What distinguishes mappings of one op, treatment and unit: less is better in every field.
struct Candidate {
  double compute_cycles = 0;
  double weight_passes = 0;
  double activation_passes = 0;
  double decoded_per_core = 0;
  double blocks_m = 0;

  bool dominates(const Candidate& o) const {
    return compute_cycles <= o.compute_cycles && weight_passes <= o.weight_passes &&
           activation_passes <= o.activation_passes && decoded_per_core <= o.decoded_per_core &&
           blocks_m <= o.blocks_m;
  }
};

void insert_pareto(std::vector<Candidate>& front, const Candidate& candidate) {
  for (const Candidate& kept : front) {
    if (kept.dominates(candidate)) return;
  }
  std::erase_if(front, [&](const Candidate& kept) { return candidate.dominates(kept); });
  front.push_back(candidate);
}

// How a treatment runs on a unit.
struct PairUse {
  bool legal = false;
  double depth = 0;
  double lane_um2 = 0;
  bool needs_decoder = false;
};

Result<PairUse> pair_use(const Constants& constants, const chip::MatrixUnit& unit,
                         const formats::WeightFormat& weight,
                         formats::ActivationFormat activation) {
  PairUse use;
  const int64_t index = chip::native_pair(unit, weight, activation);
  if (index < 0) return use;
  const chip::NativePair& pair = unit.pairs[static_cast<size_t>(index)];
  DOVETAIL_TRY(use.lane_um2, lane_um2_of(constants, pair));
  use.legal = true;
  use.depth = static_cast<double>(unit.depth) * pair.macs_per_cycle_rel;
  use.needs_decoder = !chip::stored_natively(pair.weight, weight);
  return use;
}

// Splits of the cores and blocks of the accumulators, as far as they do not depend on treatments.
struct BlockShape {
  int64_t core_m = 0, core_n = 0;
  int64_t tiles = 0;  // of one core
  int64_t blocks_m = 0, blocks_n = 0;
  int64_t block_m = 0, block_n = 0;
  double drain_cycles = 0;
};

std::vector<BlockShape> block_shapes(const chip::Chip& chip, const chip::MatrixUnit& unit,
                                     const LinearWork& work) {
  const auto m = static_cast<int64_t>(work.m);
  const auto n = static_cast<int64_t>(work.n);
  const int64_t room = chip.accumulator_kib * 256 / (unit.rows * unit.cols);
  const int64_t usable = room >= 2 ? room / 2 : 1;
  std::vector<BlockShape> shapes;
  for (int64_t split = 1; split <= chip.cores; ++split) {
    if (chip.cores % split != 0) continue;
    BlockShape s;
    s.core_m = divide_up(m, split);
    s.core_n = divide_up(n, chip.cores / split);
    const int64_t tiles_m = divide_up(s.core_m, unit.rows);
    const int64_t tiles_n = divide_up(s.core_n, unit.cols);
    s.tiles = tiles_m * tiles_n;
    s.drain_cycles = static_cast<double>((room >= 2 ? 1 : s.tiles) * std::min(s.core_m, unit.rows));
    for (int64_t block_m = 1; block_m <= std::min(usable, tiles_m); block_m *= 2) {
      s.block_m = block_m;
      s.block_n = std::min(tiles_n, usable / block_m);
      s.blocks_m = divide_up(tiles_m, s.block_m);
      s.blocks_n = divide_up(tiles_n, s.block_n);
      shapes.push_back(s);
    }
  }
  return shapes;
}

class LinearMapper {
 public:
  LinearMapper(const MapperInput& input, const chip::Chip& chip, double burst_bytes)
      : input_(input), chip_(chip), burst_(burst_bytes) {}

  LinearMappings map(const LinearWork& work, const std::vector<std::vector<PairUse>>& uses) const {
    const size_t treatments = input_.menu->linear.size();
    LinearMappings result;
    result.weight_bytes.resize(treatments);
    for (size_t t = 0; t < treatments; ++t) result.weight_bytes[t] = work.n * padded_row(work, t);
    // Slot lists of each treatment: (unit, candidate).
    std::vector<std::vector<std::pair<size_t, Candidate>>> lists(treatments);
    for (size_t u = 0; u < chip_.units.size(); ++u) {
      const std::vector<BlockShape> shapes = block_shapes(chip_, chip_.units[u], work);
      for (size_t t = 0; t < treatments; ++t) {
        if (!uses[u][t].legal) continue;
        for (const Candidate& c : pareto(work, chip_.units[u], uses[u][t], shapes, t)) {
          lists[t].emplace_back(u, c);
        }
      }
    }
    size_t slots = 0;
    for (const auto& list : lists) slots = std::max(slots, list.size());
    for (size_t i = 0; i < slots; ++i) {
      MappingSlot slot(kNumSlotRows * treatments, 0.0);
      for (size_t t = 0; t < treatments; ++t) {
        if (lists[t].empty()) continue;
        const auto& [u, candidate] = lists[t][i < lists[t].size() ? i : 0];
        put(slot, work, chip_.units[u], uses[u][t], candidate, t);
      }
      result.slots.push_back(std::move(slot));
    }
    return result;
  }

 private:
  double padded_row(const LinearWork& work, size_t t) const {
    return std::ceil(work.at(kStoredRowBytes, t) / burst_) * burst_;
  }

  std::vector<Candidate> pareto(const LinearWork& work, const chip::MatrixUnit& unit,
                                const PairUse& use, const std::vector<BlockShape>& shapes,
                                size_t t) const {
    const double half_weights = static_cast<double>(chip_.weight_buffer_kib) * 512;
    const double half_activations = static_cast<double>(chip_.activation_buffer_kib) * 512;
    const double panel_weights = static_cast<double>(unit.cols) * padded_row(work, t);
    const double panel_activations =
        static_cast<double>(unit.rows) * work.k * work.at(kActivationBytes, t);
    const double steps = std::ceil(work.k / use.depth);
    std::vector<Candidate> front;
    for (const BlockShape& s : shapes) {
      Candidate c;
      c.blocks_m = static_cast<double>(s.blocks_m);
      c.compute_cycles =
          static_cast<double>(s.tiles) * steps +
          static_cast<double>(s.blocks_m * s.blocks_n) * input_.constants->fill_cycles +
          s.drain_cycles;
      if (use.needs_decoder) {
        c.decoded_per_core = static_cast<double>(s.core_n) * work.k * c.blocks_m;
      }
      const bool weights_stay = static_cast<double>(s.block_n) * panel_weights <= half_weights;
      const bool activations_stay =
          static_cast<double>(s.block_m) * panel_activations <= half_activations;
      c.weight_passes = weights_stay ? 1 : c.blocks_m;
      c.activation_passes = static_cast<double>(s.blocks_n);
      insert_pareto(front, c);
      c.weight_passes = c.blocks_m;
      c.activation_passes = activations_stay ? 1 : static_cast<double>(s.blocks_n);
      insert_pareto(front, c);
    }
    return front;
  }

  void put(MappingSlot& slot, const LinearWork& work, const chip::MatrixUnit& unit,
           const PairUse& use, const Candidate& c, size_t t) const {
    const auto rows = static_cast<double>(unit.rows);
    const auto cols = static_cast<double>(unit.cols);
    const auto cores = static_cast<double>(chip_.cores);
    const double row = padded_row(work, t);
    const auto at = [&](SlotRow row_index) -> double& {
      return slot[row_index * work.treatments + t];
    };
    const bool quantizes = work.at(kQuantizeBytes, t) > 0;
    const double first_rows = std::min(work.m, rows);
    at(kComputeCycles) = c.compute_cycles;
    at(kWeightPasses) = c.weight_passes;
    at(kActivationPasses) = c.activation_passes;
    at(kDecodedPerCore) = c.decoded_per_core;
    at(kDecodedValues) = use.needs_decoder ? work.n * work.k * c.blocks_m : 0;
    at(kWeightBufferBytes) = work.n * row * c.blocks_m;
    at(kActivationBufferBytes) =
        work.m * work.k * work.at(kActivationBytes, t) * std::ceil(work.n / cols);
    const double half_weights = static_cast<double>(chip_.weight_buffer_kib) * 512;
    at(kFirstWeightBytes) = std::min(work.n * row, cores * std::min(cols * row, half_weights));
    at(kFirstQuantizeCycles) =
        quantizes ? input_.constants->quantize_cycles * first_rows * work.k : 0;
    at(kLastConvertCycles) =
        input_.constants->convert_cycles * first_rows * std::min(work.n, cols * cores);
    at(kMacUm2) = work.m * work.k * work.n * use.lane_um2;
  }

  const MapperInput& input_;
  const chip::Chip& chip_;
  const double burst_;
};

AttentionMapping map_attention(const MapperInput& in, const chip::Chip& chip,
                               const chip::MatrixUnit& unit, const PairUse& use) {
  AttentionMapping mapping;
  mapping.legal = use.legal;
  if (!use.legal) return mapping;
  mapping.lane_um2 = use.lane_um2;
  mapping.needs_decoder = use.needs_decoder;
  const auto cores = static_cast<double>(chip.cores);
  const auto cols = static_cast<double>(unit.cols);
  const double copies = in.batch * in.kv_heads;
  const double rounds = copies >= cores ? std::ceil(copies / cores) : 1;
  const double parts = copies >= cores ? 1 : std::floor(cores / copies);
  const double fill = 2 * in.constants->fill_cycles;
  const double dim_steps = std::ceil(in.head_dim / use.depth);
  const double dim_tiles = std::ceil(in.head_dim / cols);
  const auto tile_cycles = [&](double context) {
    return std::ceil(context / cols) * dim_steps + dim_tiles * std::ceil(context / use.depth) +
           fill;
  };
  // Rows are (token, head of the group), tokens outermost: row r belongs to token r / group.
  const auto group = static_cast<int64_t>(in.group);
  const int64_t total_rows = static_cast<int64_t>(in.prompt) * group;
  const int64_t block_tiles =
      std::max<int64_t>(1, chip.accumulator_kib * 256 /
                               (unit.rows * (static_cast<int64_t>(in.head_dim) + unit.cols)));
  double cycles = 0;
  int64_t tile = 0;
  double last = 0;
  for (int64_t begin = 0; begin < total_rows; begin += unit.rows, ++tile) {
    const int64_t end = std::min(begin + unit.rows, total_rows);
    const auto context = static_cast<double>((end - 1) / group + 1);
    last = tile_cycles(context);
    cycles += last;
    const bool ends_block = (tile + 1) % block_tiles == 0 || end == total_rows;
    if (ends_block) mapping.prefill_read_tokens += context;
  }
  mapping.prefill_cycles = parts > 1 ? cycles / parts + last : rounds * cycles;
  mapping.row_tiles = std::ceil(in.group / static_cast<double>(unit.rows));
  for (const ContextNode& node : *in.nodes) {
    mapping.decode_cycles.push_back(rounds * mapping.row_tiles * tile_cycles(node.tokens / parts));
  }
  return mapping;
}

template <typename T>
void append_raw(const T& value, std::string& key) {
  std::array<char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  key.append(bytes.data(), bytes.size());
}

}  // namespace

void append_mapping_key(const chip::Chip& chip, double burst_bytes, std::string& key) {
  append_raw(chip.cores, key);
  append_raw(chip.weight_buffer_kib, key);
  append_raw(chip.activation_buffer_kib, key);
  append_raw(chip.accumulator_kib, key);
  append_raw(burst_bytes, key);
  for (const chip::MatrixUnit& unit : chip.units) {
    append_raw(unit.rows, key);
    append_raw(unit.cols, key);
    append_raw(unit.depth, key);
    for (const chip::NativePair& pair : unit.pairs) {
      key += pair.weight;
      key += '*';
      key += pair.activation;
      append_raw(pair.macs_per_cycle_rel, key);
    }
    key += '|';
  }
}

Result<MappingSets> build_mapping_sets(const MapperInput& input, const chip::Chip& chip,
                                       double burst_bytes) {
  MappingSets sets;
  const recipe::Menu& menu = *input.menu;
  sets.linear_legal.assign(menu.linear.size(), false);
  std::vector<std::vector<PairUse>> uses(chip.units.size());
  for (size_t u = 0; u < chip.units.size(); ++u) {
    for (size_t t = 0; t < menu.linear.size(); ++t) {
      const recipe::LinearTreatment& treatment = menu.linear[t];
      DOVETAIL_TRY(const PairUse use, pair_use(*input.constants, chip.units[u], treatment.weight,
                                               treatment.activation));
      if (use.legal) sets.linear_legal[t] = true;
      uses[u].push_back(use);
    }
    std::vector<AttentionMapping>& attention = sets.attention.emplace_back();
    for (const recipe::KvTreatment& treatment : menu.kv) {
      DOVETAIL_TRY(const PairUse use,
                   pair_use(*input.constants, chip.units[u], chip::kv_as_weight(treatment.keys),
                            treatment.query));
      attention.push_back(map_attention(input, chip, chip.units[u], use));
    }
  }
  const LinearMapper mapper(input, chip, burst_bytes);
  for (const LinearWork& work : *input.works) sets.linears.push_back(mapper.map(work, uses));
  return sets;
}

}  // namespace dovetail::silicon
