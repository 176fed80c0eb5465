#include "silicon/mapping_sets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "silicon/matrix_unit.h"
#include "silicon/op_cost.h"

namespace dovetail::silicon {
namespace {

// How a treatment runs on a unit.
struct PairUse {
  bool legal = false;
  chip::NativePair pair;
  double depth = 0;
  double lane_um2 = 0;
  bool needs_decoder = false;
};

// `switched`: switched_um2 of the unit.
PairUse pair_use(const std::vector<double>& switched, const chip::MatrixUnit& unit,
                 const formats::WeightFormat& weight, formats::ActivationFormat activation) {
  PairUse use;
  const int64_t index = chip::native_pair(unit, weight, activation);
  if (index < 0) return use;
  use.legal = true;
  use.pair = unit.pairs[static_cast<size_t>(index)];
  use.lane_um2 = switched[static_cast<size_t>(index)];
  use.depth = reduction_per_cycle(unit, use.pair, finest_group(weight, activation));
  use.needs_decoder = !chip::stored_natively(use.pair.weight, weight);
  return use;
}

// Of all models and chips: a set depends on its problem and its room alone.
MappingMemo& memo() {
  constexpr size_t kMaxBytes = size_t{384} << 20;
  static MappingMemo shared(kMaxBytes);
  return shared;
}

class LinearMapper {
 public:
  LinearMapper(const MapperInput& input, const chip::Chip& chip, double burst_bytes,
               double working_bytes, OwnLists& own)
      : input_(input), chip_(chip), burst_(burst_bytes), working_(working_bytes), own_(own) {}

  LinearMappings map(const LinearWork& work, const std::vector<std::vector<PairUse>>& uses) {
    LinearMappings result;
    for (size_t t = 0; t < work.treatments; ++t) {
      result.weight_bytes.push_back(work.n * padded_row(work, t));
    }
    for (size_t u = 0; u < chip_.units.size(); ++u) {
      UnitMappings unit;
      if (std::ranges::none_of(uses[u], &PairUse::legal)) continue;
      unit.rows.assign(kNumUnitRows * work.treatments, 0.0);
      for (size_t t = 0; t < work.treatments; ++t) {
        if (uses[u][t].legal) put_unit(unit.rows, work, chip_.units[u], uses[u][t], t);
      }
      unit.streamed = lists(work, chip_.units[u], uses[u], false);
      if (chip_.sram_mib > 0) unit.resident = lists(work, chip_.units[u], uses[u], true);
      result.units.push_back(std::move(unit));
    }
    return result;
  }

 private:
  double padded_row(const LinearWork& work, size_t t) const {
    return std::ceil(work.at(kStoredRowBytes, t) / burst_) * burst_;
  }
  // Inputs and outputs at bf16.
  static double activations(const LinearWork& work) { return 2 * work.m * (work.k + work.n); }
  static double other_bytes(const LinearWork& work, size_t t) {
    return 2 * work.m * work.n + work.at(kQuantizeBytes, t);
  }
  bool spilled(const LinearWork& work) const { return activations(work) > working_; }

  std::vector<MappingList> lists(const LinearWork& work, const chip::MatrixUnit& unit,
                                 const std::vector<PairUse>& uses, bool resident) {
    const MapperRoom room =
        mapper_room(*input_.constants, chip_, unit, activations(work), working_);
    std::vector<MappingList> result(work.treatments);
    for (size_t t = 0; t < work.treatments; ++t) {
      if (uses[t].legal) result[t] = memo().list(problem(work, uses[t], t, resident), room, own_);
    }
    return result;
  }

  MapperProblem problem(const LinearWork& work, const PairUse& use, size_t t, bool resident) const {
    return {.m = static_cast<int64_t>(work.m),
            .n = static_cast<int64_t>(work.n),
            .tile_cycles = std::ceil(work.k / use.depth),
            .weight_row_bytes = padded_row(work, t),
            .input_row_bytes = work.k * work.at(kActivationBytes, t),
            .inputs_in_dram = spilled(work),
            .weights_in_sram = resident,
            .decodes = use.needs_decoder,
            .other_dram_bytes = spilled(work) ? other_bytes(work, t) : 0,
            .other_sram_bytes = spilled(work) ? 0 : other_bytes(work, t)};
  }

  void put_unit(std::vector<double>& values, const LinearWork& work, const chip::MatrixUnit& unit,
                const PairUse& use, size_t t) const {
    const auto rows = static_cast<double>(unit.rows);
    const auto cols = static_cast<double>(unit.cols);
    const auto cores = static_cast<double>(chip_.cores);
    const double row = padded_row(work, t);
    const double first_rows = std::min(work.m, rows);
    const double half_weights = static_cast<double>(chip_.weight_buffer_kib) * 512;
    const auto at = [&](UnitRow unit_row) -> double& {
      return values[unit_row * work.treatments + t];
    };
    at(kFirstWeightBytes) = std::min(work.n * row, cores * std::min(cols * row, half_weights));
    at(kFirstQuantizeCycles) = work.at(kQuantizeBytes, t) > 0
                                   ? input_.constants->quantize_cycles * first_rows * work.k
                                   : 0;
    at(kLastConvertCycles) =
        input_.constants->convert_cycles * first_rows * std::min(work.n, cols * cores);
    at(kMacUm2) = work.m * work.k * work.n * use.lane_um2;
    at(kScaledSums) =
        work.m * work.n *
        scaled_sums(unit, use.pair, work.at(kGranules, t) / (work.m * work.n), work.k);
    at(kActivationBufferBytes) =
        work.m * work.k * work.at(kActivationBytes, t) * std::ceil(work.n / cols);
    at(kBlockBufferBytes) = work.n * row;
    at(kBlockDecodedValues) = use.needs_decoder ? work.n * work.k : 0;
  }

  const MapperInput& input_;
  const chip::Chip& chip_;
  const double burst_;
  const double working_;
  OwnLists& own_;
};

AttentionMapping map_attention(const MapperInput& in, const chip::Chip& chip,
                               const chip::MatrixUnit& unit, const PairUse& keys,
                               const PairUse& values) {
  AttentionMapping mapping;
  mapping.legal = keys.legal && values.legal;
  if (!mapping.legal) return mapping;
  mapping.lane_um2 = (keys.lane_um2 + values.lane_um2) / 2;
  mapping.decoded_operands = (keys.needs_decoder ? 1 : 0) + (values.needs_decoder ? 1 : 0);
  const auto cores = static_cast<double>(chip.cores);
  const auto cols = static_cast<double>(unit.cols);
  const double copies = in.batch * in.kv_heads;
  const double rounds = copies >= cores ? std::ceil(copies / cores) : 1;
  const double parts = copies >= cores ? 1 : std::floor(cores / copies);
  const double fill = 2 * in.constants->fill_cycles;
  const double dim_steps = std::ceil(in.head_dim / keys.depth);
  const double dim_tiles = std::ceil(in.head_dim / cols);
  const auto tile_cycles = [&](double context) {
    return std::ceil(context / cols) * dim_steps + dim_tiles * std::ceil(context / values.depth) +
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

size_t MappingSets::bytes() const {
  size_t sum = sizeof(MappingSets);
  for (const LinearMappings& linear : linears) {
    sum += linear.weight_bytes.size() * sizeof(double);
    for (const UnitMappings& unit : linear.units) {
      sum += sizeof(UnitMappings) + unit.rows.size() * sizeof(double) +
             (unit.streamed.size() + unit.resident.size()) * sizeof(MappingList);
    }
  }
  for (const auto& unit : attention) {
    for (const AttentionMapping& mapping : unit) {
      sum += sizeof(AttentionMapping) + mapping.decode_cycles.size() * sizeof(double);
    }
  }
  for (const auto& list : own) sum += list.size() * sizeof(MappingGroup);
  return sum;
}

MapperRoom mapper_room(const Constants& constants, const chip::Chip& chip,
                       const chip::MatrixUnit& unit, double activation_bytes,
                       double working_bytes) {
  const int64_t sums = chip.accumulator_kib * 256 / (unit.rows * unit.cols);
  return {.cores = chip.cores,
          .rows = unit.rows,
          .cols = unit.cols,
          .block_tiles = sums >= 2 ? sums / 2 : 1,
          .hides_drain = sums >= 2,
          .weight_buffer = static_cast<double>(chip.weight_buffer_kib) * 512,
          .input_buffer = static_cast<double>(chip.activation_buffer_kib) * 512,
          .hold = working_bytes - (activation_bytes > working_bytes ? 0 : activation_bytes),
          .block_fill_cycles = constants.fill_cycles};
}

void append_mapping_key(const chip::Chip& chip, double burst_bytes, double working_bytes,
                        std::string& key) {
  append_raw(working_bytes, key);
  append_raw(chip.sram_mib > 0, key);
  append_raw(chip.hadamard_lanes > 0, key);
  append_raw(chip.cores, key);
  append_raw(chip.weight_buffer_kib, key);
  append_raw(chip.activation_buffer_kib, key);
  append_raw(chip.accumulator_kib, key);
  append_raw(burst_bytes, key);
  for (const chip::MatrixUnit& unit : chip.units) {
    key += unit.sharing;
    append_raw(unit.rows, key);
    append_raw(unit.cols, key);
    append_raw(unit.depth, key);
    for (const chip::NativePair& pair : unit.pairs) {
      key += pair.weight;
      key += '*';
      key += pair.activation;
      append_raw(pair.macs_per_cycle_rel, key);
      append_raw(pair.scale_granule, key);
    }
    key += '|';
  }
}

Result<MappingSets> build_mapping_sets(const MapperInput& input, const chip::Chip& chip,
                                       double burst_bytes, double working_bytes) {
  MappingSets sets;
  const recipe::Menu& menu = *input.menu;
  sets.linear_legal.assign(menu.linear.size(), false);
  std::vector<std::vector<PairUse>> uses(chip.units.size());
  for (size_t u = 0; u < chip.units.size(); ++u) {
    const chip::MatrixUnit& unit = chip.units[u];
    DOVETAIL_TRY(const std::vector<double> switched, switched_um2(*input.constants, unit));
    for (size_t t = 0; t < menu.linear.size(); ++t) {
      const recipe::LinearTreatment& treatment = menu.linear[t];
      PairUse use = pair_use(switched, unit, treatment.weight, treatment.activation);
      use.legal = use.legal && chip::can_turn(chip, treatment.hadamard);
      if (use.legal) sets.linear_legal[t] = true;
      uses[u].push_back(use);
    }
    std::vector<AttentionMapping>& attention = sets.attention.emplace_back();
    for (const recipe::KvTreatment& treatment : menu.kv) {
      PairUse keys = pair_use(switched, unit, chip::kv_as_weight(treatment.keys), treatment.query);
      const PairUse values =
          pair_use(switched, unit, chip::kv_as_weight(treatment.values), treatment.query);
      keys.legal = keys.legal && chip::can_turn(chip, treatment.hadamard);
      attention.push_back(map_attention(input, chip, unit, keys, values));
    }
  }
  LinearMapper mapper(input, chip, burst_bytes, working_bytes, sets.own);
  for (const LinearWork& work : *input.works) sets.linears.push_back(mapper.map(work, uses));
  return sets;
}

}  // namespace dovetail::silicon
