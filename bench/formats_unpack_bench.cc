// Packed rows to values against a copy of memory, one thread, a matrix far larger than the caches.
//
// bytes_per_second counts bytes read and written: packed in, FP32 out; the copy reads and writes
// FP32. The wanted ratio to the copy is at least .5 (int4_g128, mxfp4, nvfp4).
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "base/random.h"
#include "formats/quantize.h"
#include "formats/unpack.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kRows = 8192;
constexpr int64_t kK = 4096;  // 128 MiB of values

void copy(benchmark::State& state) {
  const std::vector<float> from(static_cast<size_t>(kRows * kK), 1.0F);
  std::vector<float> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size() * sizeof(float));
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * std::ssize(from) * 8);
}

void unpack(benchmark::State& state, const WeightFormat& format) {
  constexpr int64_t kDistinct = 16;  // rows that are encoded; the payload repeats them
  Random random(1);
  std::vector<float> w;
  for (int64_t i = 0; i < kDistinct * kK; ++i)
    w.push_back(static_cast<float>(random.uniform() - .5));
  const PackedRows part =
      encode_rows(format, {.scale = plain_rule(format)}, kDistinct, kK, w.data());
  PackedRows packed = part;
  packed.rows = kRows;
  for (int64_t i = 1; i < kRows / kDistinct; ++i) {
    packed.payload.insert(packed.payload.end(), part.payload.begin(), part.payload.end());
    packed.scales.insert(packed.scales.end(), part.scales.begin(), part.scales.end());
    packed.zeros.insert(packed.zeros.end(), part.zeros.begin(), part.zeros.end());
    packed.row_scales.insert(packed.row_scales.end(), part.row_scales.begin(),
                             part.row_scales.end());
  }
  const auto unpacker = RowUnpacker::make(packed);
  std::vector<float> values(static_cast<size_t>(kRows * kK));
  for (auto _ : state) {
    for (int64_t row = 0; row < kRows; ++row) unpacker->unpack(row, values.data() + row * kK);
    benchmark::DoNotOptimize(values.data());
    benchmark::ClobberMemory();
  }
  const auto bytes = static_cast<int64_t>(packed.payload.size() + packed.scales.size() +
                                          packed.zeros.size() + 2 * packed.row_scales.size());
  state.SetBytesProcessed(state.iterations() * (bytes + 4 * kRows * kK));
}

void add_all() {
  benchmark::RegisterBenchmark("copy", copy);
  for (const char* name :
       {"int4_g128", "mxfp4", "nvfp4", "int4_asym_g64", "int8_g128", "int2_g64", "int3_g128",
        "int6_g64", "ternary_g64", "nf4_g64", "fp8_e4m3fn", "mxfp6_e2m3", "int4_qoq_g128"})
    benchmark::RegisterBenchmark(name, unpack, parse_weight_format(name).value());
}

}  // namespace
}  // namespace dovetail::formats

int main(int argc, char** argv) {
  dovetail::formats::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
