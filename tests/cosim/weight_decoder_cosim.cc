// Drives the weight decoder under Verilator, random codes of every width and kind, against plain
// code and src/arith. Usage: weight_decoder_cosim ROUNDS. Exit code 0: all equal; 1: the first
// difference is printed.
#include <verilated.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vweight_decoder.h"
#include "arith/operand.h"
#include "base/random.h"

namespace {

using dovetail::Random;

constexpr int kValues = 16;
constexpr std::array<int, 6> kWidths = {2, 3, 4, 5, 6, 8};
enum Kind { kSigned = 0, kLessZero = 1, kLevel = 2, kFloat = 3 };

// What a code stands for, as the 9 bits that leave the decoder.
uint32_t expected(int kind, int width, uint32_t code, uint32_t zero,
                  const std::array<int32_t, 16>& levels) {
  int32_t value = static_cast<int32_t>(code);
  if (kind == kSigned && code >= (1U << (width - 1))) value -= 1 << width;
  if (kind == kLessZero) {
    value = dovetail::arith::subtract_zero_point(value, static_cast<int32_t>(zero), width);
  }
  if (kind == kLevel) value = levels[code & 15U];
  return static_cast<uint32_t>(value) & 0x1FFU;
}

void tick(Vweight_decoder& model) {
  model.clk_i = 0;
  model.eval();
  model.clk_i = 1;
  model.eval();
}

template <typename Port>
void put_bits(Port& port, int first, int count, uint32_t value) {
  for (int i = 0; i < count; ++i) {
    const int at = first + i;
    const uint32_t bit = (value >> i) & 1U;
    port[at / 32] = (port[at / 32] & ~(1U << (at % 32))) | (bit << (at % 32));
  }
}

template <typename Port>
uint32_t get_bits(const Port& port, int first, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    value |= ((port[(first + i) / 32] >> ((first + i) % 32)) & 1U) << i;
  }
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Verilated::randReset(2);
  Vweight_decoder model;
  Random random(7);
  std::array<int32_t, 16> levels{};
  for (int i = 0; i < 16; ++i) {
    levels[static_cast<size_t>(i)] = static_cast<int32_t>(random.below(256)) - 128;
    model.table_write_i = 1;
    model.table_address_i = static_cast<uint8_t>(i);
    model.table_value_i = static_cast<uint8_t>(levels[static_cast<size_t>(i)]);
    tick(model);
  }
  model.table_write_i = 0;
  int64_t compared = 0;
  const int64_t rounds = std::atoll(argv[1]);
  for (int64_t round = 0; round < rounds; ++round) {
    for (const int width : kWidths) {
      for (const int kind : {kSigned, kLessZero, kLevel, kFloat}) {
        const auto zero = static_cast<uint32_t>(random.below(int64_t{1} << width));
        std::array<uint32_t, kValues> codes{};
        for (int i = 0; i < kValues; ++i) {
          codes[static_cast<size_t>(i)] = static_cast<uint32_t>(random.below(int64_t{1} << width));
          put_bits(model.packed_i, i * width, width, codes[static_cast<size_t>(i)]);
        }
        model.width_i = static_cast<uint8_t>(width);
        model.kind_i = static_cast<uint8_t>(kind);
        model.zero_i = static_cast<uint8_t>(zero);
        tick(model);
        for (int i = 0; i < kValues; ++i) {
          const uint32_t want = expected(kind, width, codes[static_cast<size_t>(i)], zero, levels);
          const uint32_t got = get_bits(model.value_o, i * 9, 9);
          if (got != want) {
            std::printf("width %d kind %d code %u zero %u: %03x, want %03x\n", width, kind,
                        codes[static_cast<size_t>(i)], zero, got, want);
            return 1;
          }
          ++compared;
        }
      }
    }
  }
  std::printf("%lld values equal\n", static_cast<long long>(compared));
  return 0;
}
