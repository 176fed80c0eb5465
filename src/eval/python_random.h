// The generator of Python's `random.Random`, bit for bit: few-shot examples are drawn with it.
//
// Mersenne Twister MT19937 (Matsumoto and Nishimura 1998) seeded by init_by_array; how CPython
// turns its words into integers and samples: Lib/random.py of Python 3.11.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace dovetail::eval {

class PythonRandom {
 public:
  // random.Random(seed)
  explicit PythonRandom(uint64_t seed);

  // getrandbits(count), 1 <= count <= 32
  [[nodiscard]] uint32_t bits(int count);
  // randrange(limit), 1 <= limit < 2^32
  [[nodiscard]] int64_t below(int64_t limit);
  // random(): 0 <= value < 1
  [[nodiscard]] double fraction();
  // gauss(0.0, 1.0): two at a time by Box and Muller, with the C library's functions as CPython
  [[nodiscard]] double gauss();
  // sample(range(population), count): different numbers in the order drawn.
  // 0 <= count <= population < 2^32
  [[nodiscard]] std::vector<int64_t> sample(int64_t population, int64_t count);

 private:
  uint32_t word();
  void refill();

  static constexpr size_t kWords = 624;
  std::array<uint32_t, kWords> state_;
  size_t next_ = kWords;
  std::optional<double> next_gauss_ = {};
};

}  // namespace dovetail::eval
