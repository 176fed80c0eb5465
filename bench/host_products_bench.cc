// The products that compression is made of, at SmolLM2-135M's sizes, beside a square SGEMM of the
// same library: what each reaches of its rate. Useful operations only: a second moment counts the
// half that symmetry leaves.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "host/buffer.h"
#include "host/host_model.h"
#include "host/matmul.h"
#include "host/symmetric.h"

namespace dovetail::host {
namespace {

constexpr int64_t kRows = 2048;

Buffer random_values(int64_t count) {
  Random random(2);
  Buffer values = make_buffer(count);
  for (int64_t i = 0; i < count; ++i)
    values[static_cast<size_t>(i)] = static_cast<float>(random.uniform() - 0.5);
  return values;
}

void count(benchmark::State& state, double flop) {
  state.counters["flop/s"] =
      benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
}

void product(benchmark::State& state) {
  const int64_t m = state.range(0);
  const int64_t n = state.range(1);
  const int64_t k = state.range(2);
  configure_math_threads();
  const Buffer x = random_values(m * k);
  const Buffer w = random_values(n * k);
  const Buffer y = make_buffer(m * n);
  for ([[maybe_unused]] auto _ : state) matmul({x.get(), m, k}, {w.get(), n, k, true}, y.get());
  count(state, 2.0 * static_cast<double>(m * n * k));
}
BENCHMARK(product)
    ->Args({2048, 2048, 2048})
    ->Args({kRows, 576, 576})
    ->Args({kRows, 192, 576})
    ->Args({kRows, 1536, 576})
    ->Args({kRows, 576, 1536})
    ->UseRealTime();

void second_moments(benchmark::State& state) {
  const int64_t k = state.range(0);
  const int64_t rows = state.range(1);
  configure_math_threads();
  const Buffer x = random_values(rows * k);
  Gram gram(k);
  for ([[maybe_unused]] auto _ : state) gram.add(rows, x.get());
  count(state, static_cast<double>(k * k * rows));
}
BENCHMARK(second_moments)
    ->Args({576, kRows})
    ->Args({1536, kRows})
    ->Args({576, 16 * kRows})
    ->Args({1536, 16 * kRows})
    ->UseRealTime();

void factor(benchmark::State& state) {
  const int64_t k = state.range(0);
  configure_math_threads();
  const Buffer x = random_values(2 * k * k);
  Gram gram(k);
  gram.add(2 * k, x.get());
  const std::vector<float> moments = std::move(gram).take_mean();
  for ([[maybe_unused]] auto _ : state) {
    auto factored = factor_of_inverse(k, moments, 1e-3);
    benchmark::DoNotOptimize(factored);
  }
  count(state, 2.0 * 2 / 3 * static_cast<double>(k * k * k));
}
BENCHMARK(factor)->Arg(576)->Arg(1536)->UseRealTime();

}  // namespace
}  // namespace dovetail::host

BENCHMARK_MAIN();
