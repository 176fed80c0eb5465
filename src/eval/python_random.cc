#include "eval/python_random.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <unordered_set>

#include "base/result.h"

namespace dovetail::eval {
namespace {

constexpr size_t kShift = 397;  // MT19937's m

std::array<uint32_t, 624> knuth_state(uint32_t seed) {
  std::array<uint32_t, 624> state;
  state[0] = seed;
  for (uint32_t i = 1; i < state.size(); ++i) {
    state[i] = 1812433253U * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
  }
  return state;
}

// From this many draws on CPython keeps a set of what was drawn instead of a pool of what is left.
int64_t largest_pool(int64_t count) {
  int64_t size = 21;
  if (count > 5) {
    int64_t power = 1;
    while (power < 3 * count) power *= 4;
    size += power;
  }
  return size;
}

}  // namespace

PythonRandom::PythonRandom(uint64_t seed) : state_(knuth_state(19650218U)) {
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed),
                                       static_cast<uint32_t>(seed >> 32)};
  const uint32_t key_words = key[1] == 0 ? 1 : 2;
  size_t i = 1;
  const auto advance = [&] {
    if (++i < kWords) return;
    state_[0] = state_[kWords - 1];
    i = 1;
  };
  for (uint32_t k = 0; k < kWords; ++k) {
    const uint32_t j = k % key_words;
    const uint32_t previous = state_[i - 1] ^ (state_[i - 1] >> 30);
    state_[i] = (state_[i] ^ (previous * 1664525U)) + key[j] + j;
    advance();
  }
  for (uint32_t k = 0; k + 1 < kWords; ++k) {
    const uint32_t previous = state_[i - 1] ^ (state_[i - 1] >> 30);
    state_[i] = (state_[i] ^ (previous * 1566083941U)) - static_cast<uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000U;
}

void PythonRandom::refill() {
  for (size_t i = 0; i < kWords; ++i) {
    const uint32_t y = (state_[i] & 0x80000000U) | (state_[(i + 1) % kWords] & 0x7fffffffU);
    state_[i] = state_[(i + kShift) % kWords] ^ (y >> 1) ^ ((y & 1U) != 0 ? 0x9908b0dfU : 0U);
  }
  next_ = 0;
}

uint32_t PythonRandom::word() {
  if (next_ == kWords) refill();
  uint32_t y = state_[next_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680U;
  y ^= (y << 15) & 0xefc60000U;
  return y ^ (y >> 18);
}

uint32_t PythonRandom::bits(int count) {
  DOVETAIL_CHECK(count >= 1 && count <= 32);
  return word() >> (32 - count);
}

int64_t PythonRandom::below(int64_t limit) {
  DOVETAIL_CHECK(limit >= 1 && limit < int64_t{1} << 32);
  const int width = static_cast<int>(std::bit_width(static_cast<uint64_t>(limit)));
  int64_t drawn = bits(width);
  while (drawn >= limit) drawn = bits(width);
  return drawn;
}

double PythonRandom::fraction() {
  const uint32_t high = word() >> 5;
  const uint32_t low = word() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;  // 2^26, 2^53
}

double PythonRandom::gauss() {
  if (next_gauss_.has_value()) {
    const double drawn = *next_gauss_;
    next_gauss_.reset();
    return drawn;
  }
  const double angle = fraction() * (2.0 * std::numbers::pi);
  const double radius = std::sqrt(-2.0 * std::log(1.0 - fraction()));
  next_gauss_ = std::sin(angle) * radius;
  return std::cos(angle) * radius;
}

std::vector<int64_t> PythonRandom::sample(int64_t population, int64_t count) {
  DOVETAIL_CHECK(count >= 0 && count <= population && population < int64_t{1} << 32);
  std::vector<int64_t> chosen;
  if (population <= largest_pool(count)) {
    std::vector<int64_t> pool(static_cast<size_t>(population));
    std::iota(pool.begin(), pool.end(), 0);
    for (int64_t i = 0; i < count; ++i) {
      const auto j = static_cast<size_t>(below(population - i));
      chosen.push_back(pool[j]);
      pool[j] = pool[static_cast<size_t>(population - i - 1)];
    }
    return chosen;
  }
  std::unordered_set<int64_t> taken;
  while (std::ssize(chosen) < count) {
    const int64_t drawn = below(population);
    if (taken.insert(drawn).second) chosen.push_back(drawn);
  }
  return chosen;
}

}  // namespace dovetail::eval
