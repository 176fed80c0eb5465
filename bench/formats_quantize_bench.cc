// Weights per second of the quantiser, per format: one thread, a matrix that fits in L2.
//
// items_per_second is weights per second and core.
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "formats/activation.h"
#include "formats/quantize.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kRows = 64;  // 64 * 1536 weights stay below the size that starts threads
constexpr int64_t kK = 1536;

std::vector<float> normal_values(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(std::sqrt(-2 * std::log(1 - random.uniform())) *
                                        std::cos(6.283185307179586 * random.uniform())));
  return values;
}

void quantize(benchmark::State& state, WeightFormat format, Rounding rounding) {
  const std::vector<float> w = normal_values(kRows * kK, 1);
  std::vector<float> out(w.size());
  for (auto _ : state) {
    quantize_rows(format, rounding, kRows, kK, w.data(), out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kRows * kK);
}

void weighted_error(benchmark::State& state, WeightFormat format) {
  const std::vector<float> w = normal_values(kRows * kK, 1);
  const std::vector<float> weight(w.size(), 1.0F);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        weighted_error_rows(format, Rounding{}, kRows, kK, w.data(), weight.data()));
  state.SetItemsProcessed(state.iterations() * kRows * kK);
}

void activations(benchmark::State& state, ActivationFormat format) {
  const std::vector<float> x = normal_values(kRows * kK, 1);
  std::vector<float> out = x;
  for (auto _ : state) {
    quantize_activations(format, kRows, kK, out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kRows * kK);
}

void add_all() {
  for (const WeightFormat& format : all_weight_formats()) {
    const std::string name = format_name(format);
    benchmark::RegisterBenchmark(("mse/" + name).c_str(), quantize, format, Rounding{});
    benchmark::RegisterBenchmark(("absmax/" + name).c_str(), quantize, format,
                                 Rounding{.scale = plain_rule(format)});
    benchmark::RegisterBenchmark(("weighted_error/" + name).c_str(), weighted_error, format);
  }
  for (const ActivationFacts& facts : all_activation_formats()) {
    if (facts.is_static) continue;  // the same products as per token, without the search
    benchmark::RegisterBenchmark(("activations/" + format_name(facts.format)).c_str(), activations,
                                 facts.format);
  }
}

}  // namespace
}  // namespace dovetail::formats

int main(int argc, char** argv) {
  dovetail::formats::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
