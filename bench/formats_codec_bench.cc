// Packed rows to values and values to packed rows against a copy of memory: one thread, matrices
// far larger than the caches.
//
// bytes_per_second counts bytes read and written: of the packed matrix with its scales, and of the
// FP32 values. of_copy_frac divides it by that of the quicker of two copies, memcpy and one that
// writes past the caches; a copy is timed beside every pass, so that both meet the same
// neighbours. Wanted: at least .5 for decoding int4_g128, mxfp4 and nvfp4.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "formats/lanes.h"
#include "formats/pack.h"
#include "formats/quantize.h"
#include "formats/unpack.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kRows = 8192;
constexpr int64_t kK = 4096;  // 128 MiB of values
constexpr int64_t kValueBytes = 4 * kRows * kK;

using Values = std::vector<float>;

const Values& some_values() {
  static const Values values = [] {
    Random random(1);
    Values drawn;
    for (int64_t i = 0; i < 64 * kK; ++i)
      drawn.push_back(static_cast<float>(random.uniform() - .5));
    Values made;
    while (std::ssize(made) < kRows * kK) made.insert(made.end(), drawn.begin(), drawn.end());
    return made;
  }();
  return values;
}

template <typename Pass>
double seconds_of(const Pass& pass) {
  const auto start = std::chrono::steady_clock::now();
  pass();
  benchmark::ClobberMemory();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void copy_past_caches(const Values& from, Values& to) {
  // vector's memory starts wherever malloc left it; whole lines are enough.
  const auto misplaced = reinterpret_cast<uintptr_t>(to.data()) % kLaneBytes / sizeof(float);
  const int64_t skip = misplaced == 0 ? 0 : kLanes - static_cast<int64_t>(misplaced);
  for (int64_t i = skip; i + kLanes <= std::ssize(to); i += kLanes)
    stream(load(from.data() + i), to.data() + i);
  order_streams();
}

double seconds_of_copy(const Values& from, Values& to) {
  const double plain = seconds_of([&] { std::memcpy(to.data(), from.data(), kValueBytes); });
  return std::min(plain, seconds_of([&] { copy_past_caches(from, to); }));
}

// Runs pass() beside copies; `bytes`: what it reads and writes.
template <typename Pass>
void beside_copies(benchmark::State& state, int64_t bytes, Values& target, const Pass& pass) {
  double copies = 0;
  double passes = 0;
  for (auto _ : state) {
    copies += seconds_of_copy(some_values(), target);
    const double seconds = seconds_of(pass);
    passes += seconds;
    state.SetIterationTime(seconds);
  }
  state.SetBytesProcessed(state.iterations() * bytes);
  state.counters["of_copy_frac"] =
      static_cast<double>(bytes) / passes / (2.0 * kValueBytes / copies);
}

int64_t bytes_of(const PackedRows& packed) {
  return static_cast<int64_t>(packed.payload.size() + packed.scales.size() + packed.zeros.size() +
                              2 * packed.row_scales.size());
}

void decode(benchmark::State& state, const WeightFormat& format) {
  const MatrixScales scales =
      choose_scales(format, {.scale = plain_rule(format)}, kRows, kK, some_values().data());
  const PackedRows packed = pack_rows(format, Ties::kEven, scales, kRows, kK, some_values().data());
  Values values(some_values().size());
  beside_copies(state, bytes_of(packed) + kValueBytes, values, [&] {
    const auto unpacker = RowUnpacker::make(packed);  // reads the scales
    unpacker->stream(0, kRows, values.data());
  });
}

void encode(benchmark::State& state, const WeightFormat& format) {
  const Rounding rounding{.scale = plain_rule(format)};
  Values target(some_values().size());
  PackedRows packed = pack_rows(format, Ties::kEven,
                                choose_scales(format, rounding, kRows, kK, some_values().data()),
                                kRows, kK, some_values().data());
  beside_copies(state, bytes_of(packed) + kValueBytes, target, [&] {
    const MatrixScales scales = choose_scales(format, rounding, kRows, kK, some_values().data());
    packed = pack_rows(format, Ties::kEven, scales, kRows, kK, some_values().data());
  });
}

void add_all() {
  for (const char* name :
       {"int4_g128", "mxfp4", "nvfp4", "int4_asym_g64", "int8_g128", "int2_g64", "int3_g128",
        "int6_g64", "ternary_g64", "nf4_g64", "fp8_e4m3fn", "mxfp6_e2m3", "int4_qoq_g128"}) {
    const WeightFormat format = parse_weight_format(name).value();
    for (const auto& [what, run] : {std::pair{"decode/", &decode}, {"encode/", &encode}})
      benchmark::RegisterBenchmark((std::string(what) + name).c_str(), run, format)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace dovetail::formats

int main(int argc, char** argv) {
  setenv("DOVETAIL_THREADS", "1", 1);
  dovetail::formats::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
