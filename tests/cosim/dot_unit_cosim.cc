// Drives a dot unit under Verilator and compares every output with src/arith bit for bit.
//
// The model's parameters come as definitions: DOT_PAIRS "weight:activation:rate,..." (rate in
// halves of the lanes: 1, 2, 4), DOT_DEPTH, DOT_GRANULE, DOT_MAX_GRANULE, DOT_ALIGN_BITS,
// DOT_SHARING. Usage: dot_unit_cosim RANDOM_GRANULES EXHAUSTIVE_BITS: pairs whose codes have
// together at most so many bits are tried exhaustively in every lane. Exit code 0: all equal; 1:
// the first difference is printed.
#include <verilated.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <sstream>
#include <string>
#include <vector>

#include "Vdot_unit_bench.h"
#include "arith/dot.h"
#include "base/random.h"

namespace {

using dovetail::Random;
using dovetail::arith::DotUnit;
using dovetail::arith::Operand;
using dovetail::arith::OperandType;

constexpr int kOperands = DOT_SHARING == 2 ? 2 * DOT_DEPTH : DOT_DEPTH;
constexpr int kSubs = DOT_GRANULE < DOT_DEPTH ? DOT_DEPTH / DOT_GRANULE : 1;

struct Mode {
  dovetail::arith::Pair pair;
  int half_lanes = 2;  // rate times 2
};

std::vector<Mode> parse_modes(const char* text) {
  std::vector<Mode> modes;
  std::stringstream list(text);
  for (std::string item; std::getline(list, item, ',');) {
    std::stringstream fields(item);
    std::string weight, activation, rate;
    std::getline(fields, weight, ':');
    std::getline(fields, activation, ':');
    std::getline(fields, rate, ':');
    const auto w = dovetail::arith::parse_operand_type(weight);
    const auto a = dovetail::arith::parse_operand_type(activation);
    DOVETAIL_CHECK(w.has_value() && a.has_value());
    modes.push_back({{*w, *a}, std::atoi(rate.c_str())});
  }
  return modes;
}

int code_bits(const OperandType& type) {
  using dovetail::formats::Element;
  switch (type.element) {
    case Element::kInt:
      return static_cast<int>(type.bits);
    case Element::kFp4E2m1:
      return 4;
    case Element::kFp6E2m3:
    case Element::kFp6E3m2:
      return 6;
    case Element::kFp8E4m3Fn:
      return 8;
    default:
      return 16;
  }
}

// The i-th code; integers in two's complement. int9 has no -256.
int32_t nth_code(const OperandType& type, int64_t i) {
  if (type.element != dovetail::formats::Element::kInt) return static_cast<int32_t>(i);
  const auto value = static_cast<int32_t>(i) - (1 << (type.bits - 1));
  return type.bits == 9 && value == -256 ? -255 : value;
}

// Codes of one pass: magnitudes of one kind, so that sums cancel and low places show.
struct CodeSource {
  int kind = 0;  // 0 any code, 1 small, 2 bf16 exponents near each other, 3 mostly zero
  int32_t next(Random& random, const OperandType& type) const {
    const int bits = code_bits(type);
    const bool is_int = type.element == dovetail::formats::Element::kInt;
    if (kind == 3 && random.below(4) != 0) return 0;
    if (kind == 1 && is_int) {
      return static_cast<int32_t>(random.below(4)) - 2;
    }
    if (kind == 1 && bits < 16) {
      const auto sign = static_cast<int32_t>(random.below(2)) << (bits - 1);
      return sign | static_cast<int32_t>(random.below(int64_t{1} << (bits - 2)));
    }
    if (kind == 2 && bits == 16) {
      return static_cast<int32_t>((random.below(2) << 15) | ((118 + random.below(16)) << 7) |
                                  random.below(128));
    }
    return nth_code(type, random.below(int64_t{1} << bits));
  }
};

float random_scale(Random& random) {
  switch (random.below(6)) {
    case 0:
      return 1.0F;
    case 1:  // any pattern: subnormal, zero, infinite, NaN
      return std::bit_cast<float>(static_cast<uint32_t>(random.next()));
    case 2:
      return std::bit_cast<float>(static_cast<uint32_t>(random.below(0x00800000)));  // subnormal
    case 3:
      return random.below(2) == 0 ? 0.0F : std::bit_cast<float>(0x7F000000U);
    default:
      return static_cast<float>(random.uniform() * 2 - 1);
  }
}

class Bench {
 public:
  explicit Bench(std::vector<Mode> modes) : modes_(std::move(modes)) {
    model_.rst_ni = 0;
    tick();
    model_.rst_ni = 1;
  }

  void run_random(size_t mode, int64_t granules, Random& random) {
    const DotUnit unit = unit_of(mode);
    for (int64_t g = 0; g < granules; ++g) {
      // A quarter of the granules starts an output.
      const bool start = g == 0 || random.below(4) == 0;
      const CodeSource source{.kind = static_cast<int>(random.below(4))};
      const int64_t passes = passes_of(unit, random);
      std::vector<std::vector<int32_t>> weights, activations;
      for (int64_t p = 0; p < passes; ++p) {
        weights.emplace_back();
        activations.emplace_back();
        for (int64_t i = 0; i < pass_elements(mode); ++i) {
          weights.back().push_back(source.next(random, unit.pair.weight));
          activations.back().push_back(source.next(random, unit.pair.activation));
        }
      }
      granule(mode, weights, activations, start, random);
    }
    drain();
  }

  // Every pair of codes in every lane, the others zero.
  void run_exhaustive(size_t mode, Random& random) {
    const DotUnit unit = unit_of(mode);
    const auto count = static_cast<size_t>(pass_elements(mode));
    const int64_t weight_codes = int64_t{1} << code_bits(unit.pair.weight);
    const int64_t activation_codes = int64_t{1} << code_bits(unit.pair.activation);
    const auto zeros = std::vector<int32_t>(count, 0);
    for (size_t lane = 0; lane < count; ++lane) {
      for (int64_t w = 0; w < weight_codes; ++w) {
        for (int64_t a = 0; a < activation_codes; ++a) {
          auto weights = zeros, activations = zeros;
          weights[lane] = nth_code(unit.pair.weight, w);
          activations[lane] = nth_code(unit.pair.activation, a);
          unit_scales_ = true;
          granule(mode, {weights}, {activations}, true, random);
        }
      }
    }
    unit_scales_ = false;
    drain();
  }

  [[nodiscard]] int64_t compared() const { return compared_; }
  [[nodiscard]] size_t num_modes() const { return modes_.size(); }
  [[nodiscard]] int pair_bits(size_t mode) const {
    return code_bits(modes_[mode].pair.weight) + code_bits(modes_[mode].pair.activation);
  }

 private:
  [[nodiscard]] int64_t pass_elements(size_t mode) const {
    return DOT_DEPTH * modes_[mode].half_lanes / 2;
  }
  [[nodiscard]] DotUnit unit_of(size_t mode) const {
    return {.pair = modes_[mode].pair,
            .depth = pass_elements(mode) / kSubs,
            .granule = kSubs > 1 ? pass_elements(mode) / kSubs : 1 << 20,
            .align_bits = DOT_ALIGN_BITS};
  }
  // Passes of a granule: exact pairs alone keep their sums.
  static int64_t passes_of(const DotUnit& unit, Random& random) {
    if (kSubs > 1 || !sums_exactly(unit.pair)) return 1;
    return 1 + random.below(DOT_MAX_GRANULE / DOT_DEPTH);
  }

  void granule(size_t mode, const std::vector<std::vector<int32_t>>& weights,
               const std::vector<std::vector<int32_t>>& activations, bool start, Random& random) {
    const DotUnit unit = unit_of(mode);
    std::vector<float> weight_scales, activation_scales;
    for (int s = 0; s < kSubs; ++s) {
      weight_scales.push_back(unit_scales_ ? 1.0F : random_scale(random));
      activation_scales.push_back(unit_scales_ ? 1.0F : random_scale(random));
      const bool no_scales = unscaled();
      if (no_scales) weight_scales.back() = activation_scales.back() = 1.0F;
    }
    expect(unit, weights, activations, weight_scales, activation_scales, start);
    for (size_t p = 0; p < weights.size(); ++p) {
      model_.valid_i = 1;
      model_.mode_i = static_cast<uint8_t>(mode);
      model_.start_i = start ? 1 : 0;
      model_.first_i = p == 0 ? 1 : 0;
      model_.last_i = p + 1 == weights.size() ? 1 : 0;
      set_operands(mode, weights[p], activations[p]);
      for (int s = 0; s < kSubs; ++s) {
        set_word(model_.weight_scale_i, s,
                 std::bit_cast<uint32_t>(weight_scales[static_cast<size_t>(s)]));
        set_word(model_.activation_scale_i, s,
                 std::bit_cast<uint32_t>(activation_scales[static_cast<size_t>(s)]));
      }
      tick();
    }
    model_.valid_i = 0;
    if (random.below(8) == 0) tick();  // a bubble
  }

  void expect(const DotUnit& unit, const std::vector<std::vector<int32_t>>& weights,
              const std::vector<std::vector<int32_t>>& activations,
              const std::vector<float>& weight_scales, const std::vector<float>& activation_scales,
              bool start) {
    std::vector<Operand> w, a;
    for (size_t p = 0; p < weights.size(); ++p) {
      for (size_t i = 0; i < weights[p].size(); ++i) {
        w.push_back(operand_of_code(unit.pair.weight, weights[p][i]));
        a.push_back(operand_of_code(unit.pair.activation, activations[p][i]));
      }
    }
    DotUnit whole = unit;
    if (kSubs == 1) whole.granule = static_cast<int64_t>(w.size());
    output_ = dot(whole, w, a, weight_scales, activation_scales, start ? 0.0F : output_);
    expected_.push_back(std::bit_cast<uint32_t>(output_));
  }

  // True if the unit has no scale multipliers: bf16 x bf16 alone.
  [[nodiscard]] bool unscaled() const {
    for (const Mode& mode : modes_) {
      if (mode.pair.weight.element != dovetail::formats::Element::kBf16) return false;
    }
    return true;
  }

  template <typename Port>
  static void set_word(Port& port, int index, uint32_t value) {
    if constexpr (requires { port[0]; }) {
      port[index] = value;
    } else if constexpr (sizeof(Port) == 8) {
      port = index == 0 ? ((port & 0xFFFFFFFF00000000ULL) | value)
                        : ((port & 0xFFFFFFFFULL) | (uint64_t{value} << 32));
    } else {
      port = value;
    }
  }

  void set_operands(size_t mode, const std::vector<int32_t>& weights,
                    const std::vector<int32_t>& activations) {
    std::vector<uint16_t> w(kOperands, 0), a(kOperands, 0);
    // Half rate: even lanes; composed units in wide mode: even slots.
    const size_t stride = static_cast<size_t>(kOperands) / weights.size();
    for (size_t i = 0; i < weights.size(); ++i) {
      w[i * stride] = static_cast<uint16_t>(weights[i]);
      a[i * stride] = static_cast<uint16_t>(activations[i]);
    }
    (void)mode;
    for (int i = 0; i + 1 < kOperands; i += 2) {
      const auto at = static_cast<size_t>(i);
      set_word(model_.weight_code_i, i / 2, w[at] | (uint32_t{w[at + 1]} << 16));
      set_word(model_.activation_code_i, i / 2, a[at] | (uint32_t{a[at + 1]} << 16));
    }
  }

  void tick() {
    model_.clk_i = 0;
    model_.eval();
    model_.clk_i = 1;
    model_.eval();
    if (model_.rst_ni != 0 && model_.output_valid_o != 0) compare();
  }

  void compare() {
    DOVETAIL_CHECK(!expected_.empty());
    if (model_.output_o != expected_.front()) {
      std::printf("output %lld: %08x, want %08x\n", static_cast<long long>(compared_),
                  model_.output_o, expected_.front());
      std::exit(1);
    }
    expected_.pop_front();
    ++compared_;
  }

  void drain() {
    model_.valid_i = 0;
    for (int i = 0; i < 10; ++i) tick();
    if (expected_.empty()) return;
    std::printf("%zu outputs never came\n", expected_.size());
    std::exit(1);
  }

  std::vector<Mode> modes_;
  Vdot_unit_bench model_;
  std::deque<uint32_t> expected_;
  float output_ = 0;
  bool unit_scales_ = false;
  int64_t compared_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  Verilated::randReset(2);
  const int64_t granules = std::atoll(argv[1]);
  const int exhaustive_bits = std::atoi(argv[2]);
  Bench bench(parse_modes(DOT_PAIRS));
  Random random(11);
  for (size_t mode = 0; mode < bench.num_modes(); ++mode) {
    if (bench.pair_bits(mode) <= exhaustive_bits) bench.run_exhaustive(mode, random);
    bench.run_random(mode, granules, random);
  }
  // Modes mixed, output by output.
  for (int64_t i = 0; i < granules / 8; ++i) {
    bench.run_random(static_cast<size_t>(random.below(static_cast<int64_t>(bench.num_modes()))), 3,
                     random);
  }
  std::printf("%lld outputs equal\n", static_cast<long long>(bench.compared()));
  return 0;
}
