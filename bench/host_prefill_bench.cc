// Rates of the host on SmolLM2-135M: SGEMM of the same library, prefill against it, generation, and
// the profiler's backward pass. Needs the model: dovetail pull smollm2-135m.
#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/paths.h"
#include "base/random.h"
#include "host/host_model.h"
#include "host/matmul.h"
#include "host/profile_pass.h"

namespace dovetail::host {
namespace {

const HostModel* smollm2() {
  static const std::optional<HostModel> model = []() -> std::optional<HostModel> {
    auto weights = model::load_weights(cache_folder() + "/models/smollm2-135m/model.gguf");
    if (!weights.has_value()) return std::nullopt;
    auto made =
        HostModel::create(std::make_shared<const model::Weights>(std::move(weights).value()));
    if (!made.has_value()) return std::nullopt;
    return std::move(made).value();
  }();
  return model.has_value() ? &*model : nullptr;
}

TokenBatch random_tokens(const model::ModelShape& shape, int64_t batch, int64_t seq) {
  Random random(1);
  TokenBatch tokens{batch, seq, {}};
  for (int64_t i = 0; i < batch * seq; ++i) {
    tokens.ids.push_back(static_cast<int32_t>(random.below(shape.vocab_size)));
  }
  return tokens;
}

// Multiply-adds count twice. Linears of the blocks, causal attention (only what is visible), and
// the head for the last token of each sequence.
double prefill_flop(const model::ModelShape& s, int64_t batch, int64_t seq) {
  const auto rows = static_cast<double>(batch * seq);
  const double linears = 2.0 * rows * static_cast<double>(s.num_block_linear_weights());
  const double visible = static_cast<double>(seq + 1) / 2.0;
  const double attention = 4.0 * rows * visible * static_cast<double>(s.q_size() * s.num_layers);
  const double head = 2.0 * static_cast<double>(batch * s.num_head_weights());
  return linears + attention + head;
}

void sgemm(benchmark::State& state) {
  const int64_t n = state.range(0);
  configure_math_threads();
  Random random(2);
  std::vector<float> a(static_cast<size_t>(n * n));
  for (float& x : a) x = static_cast<float>(random.uniform() - 0.5);
  std::vector<float> b = a;
  std::vector<float> c(a.size());
  for ([[maybe_unused]] auto _ : state) {
    matmul({a.data(), n, n}, {b.data(), n, n, true}, c.data());
    benchmark::DoNotOptimize(c.data());
  }
  const double flop = 2.0 * static_cast<double>(n) * static_cast<double>(n * n);
  state.counters["flop_per_s"] =
      benchmark::Counter(flop, benchmark::Counter::kIsIterationInvariantRate);
}

void prefill(benchmark::State& state) {
  const HostModel* model = smollm2();
  if (model == nullptr) return state.SkipWithError("no model; run: dovetail pull smollm2-135m");
  const int64_t batch = state.range(0);
  const int64_t seq = state.range(1);
  const TokenBatch tokens = random_tokens(model->shape(), batch, seq);
  for ([[maybe_unused]] auto _ : state) {
    const auto hidden = model->hidden_states(tokens);
    model::Matrix last{batch, hidden->cols, {}};
    for (int64_t i = 1; i <= batch; ++i) {
      const auto end = hidden->values.begin() + i * seq * hidden->cols;
      last.values.insert(last.values.end(), end - hidden->cols, end);
    }
    benchmark::DoNotOptimize(model->logits(last));
  }
  state.counters["flop_per_s"] = benchmark::Counter(prefill_flop(model->shape(), batch, seq),
                                                    benchmark::Counter::kIsIterationInvariantRate);
  state.counters["tokens_per_s"] = benchmark::Counter(
      static_cast<double>(batch * seq), benchmark::Counter::kIsIterationInvariantRate);
}

// SGEMM and prefill by turns, so that other load on the machine meets both.
void prefill_over_sgemm(benchmark::State& state) {
  const HostModel* model = smollm2();
  if (model == nullptr) return state.SkipWithError("no model; run: dovetail pull smollm2-135m");
  const TokenBatch tokens = random_tokens(model->shape(), 4, 512);
  constexpr int64_t kSize = 2048;
  std::vector<float> a(static_cast<size_t>(kSize * kSize), 0.5F);
  std::vector<float> b = a;
  std::vector<float> c(a.size());
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  double sgemm_s = 0.0;
  double prefill_s = 0.0;
  double products = 0.0;
  double passes = 0.0;
  for ([[maybe_unused]] auto _ : state) {
    const auto start = Clock::now();
    for (int i = 0; i < 10; ++i, products += 1.0) {
      matmul({a.data(), kSize, kSize}, {b.data(), kSize, kSize, true}, c.data());
    }
    sgemm_s += seconds_since(start);
    const auto middle = Clock::now();
    benchmark::DoNotOptimize(model->hidden_states(tokens));
    prefill_s += seconds_since(middle);
    passes += 1.0;
  }
  const double flop = prefill_flop(model->shape(), 4, 512) -
                      8.0 * static_cast<double>(model->shape().num_head_weights());
  const double product_flop = 2.0 * static_cast<double>(kSize * kSize * kSize);
  state.counters["sgemm_flop_per_s"] = products * product_flop / sgemm_s;
  state.counters["prefill_flop_per_s"] = passes * flop / prefill_s;
  state.counters["ratio"] = passes * flop / prefill_s / (products * product_flop / sgemm_s);
}

void generation(benchmark::State& state) {
  const HostModel* model = smollm2();
  if (model == nullptr) return state.SkipWithError("no model; run: dovetail pull smollm2-135m");
  const std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(state.range(0)), {1});
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(
        model->generate(prompts, {.max_new_tokens = state.range(1), .temperature = 1.0}));
  }
  state.counters["tokens_per_s"] =
      benchmark::Counter(static_cast<double>(state.range(0) * state.range(1)),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void sensitivity(benchmark::State& state) {
  const HostModel* model = smollm2();
  if (model == nullptr) return state.SkipWithError("no model; run: dovetail pull smollm2-135m");
  const TokenBatch tokens = random_tokens(model->shape(), 1, state.range(0));
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(profile_pass(*model, tokens, 1));
}

void kl_of_positions(benchmark::State& state) {
  const HostModel* model = smollm2();
  if (model == nullptr) return state.SkipWithError("no model; run: dovetail pull smollm2-135m");
  const auto hidden = model->hidden_states(random_tokens(model->shape(), 1, state.range(0)));
  const auto logits = model->logits(hidden.value());
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(kl_divergence(logits.value(), *model, hidden.value()));
  }
}

BENCHMARK(sgemm)->Arg(2048)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(prefill)->Args({4, 512})->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(prefill_over_sgemm)->Iterations(3)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(generation)->Args({16, 512})->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(sensitivity)
    ->Arg(512)
    ->Arg(1024)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(kl_of_positions)->Arg(512)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dovetail::host

BENCHMARK_MAIN();
