#include "chip/chip.h"

#include <cmath>

#include <fmt/format.h>

#include "formats/activation.h"
#include "formats/element.h"
#include "formats/kv_cache.h"

namespace dovetail::chip {
namespace {

using formats::Element;

// Bits of the element at the multiplier; also the order "narrowest first".
int64_t element_bits(const std::string& element) {
  if (element == "bf16") return 16;
  if (element == "fp8_e4m3fn") return 8;
  if (element == "fp4_e2m1") return 4;
  return element[3] - '0';  // intB
}

bool is_int(const std::string& element) {
  return element.starts_with("int");
}

// Codes that are small integers, unlike levels, which are picked from eight bits.
bool is_code(const formats::WeightFormat& weight) {
  return weight.element == Element::kInt || weight.element == Element::kTernary;
}

// Of the integers that all stored values are after a common power of two; 0: more than nine bits.
int64_t integer_bits(const formats::WeightFormat& weight) {
  switch (weight.element) {
    case Element::kInt:
      return weight.bits + (weight.asymmetric ? 1 : 0);
    case Element::kTernary:
      return 2;
    case Element::kFp4E2m1:  // halves up to 6
      return 5;
    case Element::kFp6E2m3:  // eighths up to 7.5
      return 7;
    case Element::kNormalFloat:
    case Element::kTable:
      return 8;
    default:
      return 0;
  }
}

bool can_multiply(const NativePair& pair) {
  if (pair.weight == "bf16") return pair.activation == "bf16";
  if (pair.weight == "fp8_e4m3fn") {
    return pair.activation == "fp8_e4m3fn" || pair.activation == "bf16";
  }
  return pair.weight == "fp4_e2m1" || pair.activation != "fp4_e2m1";
}

Status check_pairs(const MatrixUnit& unit, const std::string& where) {
  if (unit.pairs.empty()) return invalid_argument(where + ".pairs: empty, want at least one pair");
  for (size_t i = 0; i < unit.pairs.size(); ++i) {
    const NativePair& pair = unit.pairs[i];
    if (!can_multiply(pair)) {
      return invalid_argument(
          fmt::format("{}.pairs[{}]: {} x {}, want an activation that the weight multiplies (bf16 "
                      "x bf16, fp8 x "
                      "fp8 or bf16, fp4 x any, int x int, fp8 or bf16)",
                      where, i, pair.weight, pair.activation));
    }
    const int64_t granule = pair.scale_granule;
    const bool is_unscaled = pair.weight == "bf16" && pair.activation == "bf16";
    if (granule != 0 && (granule < 8 || (granule & (granule - 1)) != 0 || is_unscaled)) {
      return invalid_argument(fmt::format(
          "{}.pairs[{}]: scale_granule = {} of {} x {}, want {}", where, i, granule, pair.weight,
          pair.activation, is_unscaled ? "none: it has no scales" : "a power of two, 8..128"));
    }
    for (size_t j = 0; j < i; ++j) {
      if (unit.pairs[j].weight == pair.weight && unit.pairs[j].activation == pair.activation) {
        return invalid_argument(fmt::format("{}.pairs[{}]: {} x {} stands twice", where, i,
                                            pair.weight, pair.activation));
      }
    }
  }
  return {};
}

// One pass of the grid takes rows * depth activations and cols * depth weights a cycle; buffers are
// double-buffered, so each half holds at least one cycle's operands at the widest element.
Status check_buffers(const Chip& chip, const MatrixUnit& unit, const std::string& where) {
  const auto too_small = [&](const char* key, int64_t kib, int64_t need_bytes) {
    return invalid_argument(fmt::format("{} = {}, want at least {} KiB for {} ({} x {}, depth {})",
                                        key, kib, (need_bytes + 1023) / 1024, where, unit.rows,
                                        unit.cols, unit.depth));
  };
  const int64_t accumulators = unit.rows * unit.cols * 4;
  if (chip.accumulator_kib * 1024 < accumulators) {
    return too_small("accumulator_kib", chip.accumulator_kib, accumulators);
  }
  const int64_t weights = 2 * unit.cols * unit.depth * 2;
  if (chip.weight_buffer_kib * 1024 < weights) {
    return too_small("weight_buffer_kib", chip.weight_buffer_kib, weights);
  }
  const int64_t activations = 2 * unit.rows * unit.depth * 2;
  if (chip.activation_buffer_kib * 1024 < activations) {
    return too_small("activation_buffer_kib", chip.activation_buffer_kib, activations);
  }
  return {};
}

Status check_scale_up(const ScaleUp& scale_up) {
  if (scale_up.tensor_parallel < 1 || scale_up.tensor_parallel > kMaxTensorParallel) {
    return invalid_argument(fmt::format("scale_up.tensor_parallel = {}, want 1..{}",
                                        scale_up.tensor_parallel, kMaxTensorParallel));
  }
  if (scale_up.pipeline_parallel < 1 || scale_up.pipeline_parallel > kMaxPipelineParallel) {
    return invalid_argument(fmt::format("scale_up.pipeline_parallel = {}, want 1..{}",
                                        scale_up.pipeline_parallel, kMaxPipelineParallel));
  }
  const int64_t chips = num_chips(scale_up);
  if (chips > 1 && scale_up.links < 1) {
    return invalid_argument(
        fmt::format("scale_up.links = {}, want at least 1 for {} chips", scale_up.links, chips));
  }
  if (scale_up.micro_batches < 0) {
    return invalid_argument(
        fmt::format("scale_up.micro_batches = {}, want at least 0", scale_up.micro_batches));
  }
  if (scale_up.micro_batches > 1 && scale_up.pipeline_parallel == 1) {
    return invalid_argument(
        fmt::format("scale_up.micro_batches = {}, want 0 or 1 without a pipeline of stages",
                    scale_up.micro_batches));
  }
  return {};
}

}  // namespace

Status check_chip(const Chip& chip) {
  DOVETAIL_TRY_STATUS(check_scale_up(chip.scale_up));
  if (chip.units.empty()) return invalid_argument("units: empty, want at least one matrix unit");
  for (size_t i = 0; i < chip.units.size(); ++i) {
    const MatrixUnit& unit = chip.units[i];
    const std::string where = fmt::format("units[{}]", i);
    DOVETAIL_TRY_STATUS(check_pairs(unit, where));
    if (unit.rows < 1 || unit.cols < 1 || unit.depth < 1) {
      return invalid_argument(where + ": rows, cols, depth want at least 1");
    }
    if ((unit.depth & (unit.depth - 1)) != 0) {
      return invalid_argument(fmt::format("{}.depth = {}, want a power of two", where, unit.depth));
    }
    for (const NativePair& pair : unit.pairs) {
      if (std::exp2(std::round(std::log2(pair.macs_per_cycle_rel))) != pair.macs_per_cycle_rel) {
        return invalid_argument(
            fmt::format("{}: macs_per_cycle_rel = {} of {} x {}, want a power of two", where,
                        pair.macs_per_cycle_rel, pair.weight, pair.activation));
      }
    }
    DOVETAIL_TRY_STATUS(check_buffers(chip, unit, where));
  }
  return {};
}

Result<Chip> load_chip(const std::string& path) {
  DOVETAIL_TRY(Chip chip, read_config<Chip>(path));
  const Status status = check_chip(chip);
  if (!status.has_value()) return with_context(status.error(), path);
  return chip;
}

bool holds_codes(const std::string& element, const formats::WeightFormat& weight) {
  // Two's complement bits that hold every stored value, up to a power of two.
  const int64_t bits = integer_bits(weight);
  if (element == "bf16") return true;
  if (element == "fp8_e4m3fn") {
    const bool wider = weight.element == Element::kFp8E5m2;
    return (formats::is_float(weight.element) && !wider) || (is_code(weight) && bits <= 5);
  }
  if (element == "fp4_e2m1") {
    return weight.element == Element::kFp4E2m1 || (is_code(weight) && bits <= 3);
  }
  return bits > 0 && bits <= element_bits(element);
}

bool stored_natively(const std::string& element, const formats::WeightFormat& weight) {
  if (formats::is_sparse(weight)) return false;
  switch (weight.element) {
    case Element::kBf16:
      return element == "bf16";
    case Element::kFp8E4m3Fn:
      return element == "fp8_e4m3fn";
    case Element::kFp4E2m1:
      return element == "fp4_e2m1";
    case Element::kInt:
      return is_int(element) && !weight.asymmetric && element_bits(element) == weight.bits;
    default:
      return false;
  }
}

std::string activation_element(formats::ActivationFormat activation) {
  switch (formats::activation_facts(activation).row.element) {
    case Element::kInt:
      return fmt::format("int{}", formats::element_bits(activation));
    case Element::kFp8E4m3Fn:
      return "fp8_e4m3fn";
    case Element::kFp4E2m1:
      return "fp4_e2m1";
    default:
      return "bf16";
  }
}

Status check_priced(const recipe::KvTreatment& treatment) {
  if (!formats::is_per_channel(treatment.keys)) return {};
  return invalid_argument(recipe::treatment_name(treatment) +
                          ": chips have no price for keys per channel");
}

Status check_priced(const recipe::Menu& menu) {
  for (const recipe::KvTreatment& treatment : menu.kv) DOVETAIL_TRY_STATUS(check_priced(treatment));
  return {};
}

Status check_priced(const model::ModelShape& shape, const recipe::Recipe& recipe) {
  for (const recipe::LayerRecipe& layer : recipe.layers) {
    DOVETAIL_TRY_STATUS(check_priced(layer.kv));
  }
  if (recipe::prunes(recipe.pruning, shape)) {
    const model::ModelShape pruned = recipe::pruned_shape(shape, recipe.pruning);
    return invalid_argument(
        fmt::format("pruning to MLP width {}, {} query and {} key heads: the model that is priced "
                    "here is whole, want a recipe without pruning",
                    pruned.intermediate_size, pruned.num_heads, pruned.num_kv_heads));
  }
  if (recipe.rotation == recipe::Rotation::kNone || !shape.tied_embedding) return {};
  return invalid_argument(
      fmt::format("rotation {}: chips have no price for the embedding of {}, which it unties",
                  recipe::rotation_name(recipe.rotation), shape.name));
}

int64_t native_pair(const MatrixUnit& unit, const formats::WeightFormat& weight,
                    formats::ActivationFormat activation) {
  const std::string wanted = activation_element(activation);
  int64_t best = -1;
  for (size_t i = 0; i < unit.pairs.size(); ++i) {
    const NativePair& pair = unit.pairs[i];
    if (pair.activation != wanted || !holds_codes(pair.weight, weight)) continue;
    if (best >= 0) {
      const NativePair& other = unit.pairs[static_cast<size_t>(best)];
      const int64_t bits = element_bits(pair.weight);
      const int64_t other_bits = element_bits(other.weight);
      const bool better = bits < other_bits || (bits == other_bits &&
                                                pair.macs_per_cycle_rel > other.macs_per_cycle_rel);
      if (!better) continue;
    }
    best = static_cast<int64_t>(i);
  }
  return best;
}

formats::WeightFormat kv_as_weight(formats::KvFormat kv) {
  return formats::kv_facts(kv).row;
}

int64_t finest_granule(const NativePair& pair) {
  if (pair.scale_granule > 0) return pair.scale_granule;
  return pair.weight == "fp4_e2m1" ? 16 : 32;
}

}  // namespace dovetail::chip
