// Questions and tokens per second of the scorer behind `dovetail eval` on SmolLM2-135M, with the
// shapes of MMLU and GSM8K, and the share of this machine's own FP32 product rate. Needs the model:
// dovetail pull smollm2-135m.
//
// Tokens are those of the requests; flops are those of the tokens that have to be fed, each once.
#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/paths.h"
#include "base/random.h"
#include "eval/host_scorer.h"
#include "host/matmul_rate.h"

namespace dovetail::eval {
namespace {

const host::HostModel* smollm2() {
  static const std::optional<host::HostModel> model = []() -> std::optional<host::HostModel> {
    auto weights = model::load_weights(cache_folder() + "/models/smollm2-135m/model.gguf");
    if (!weights.has_value()) return std::nullopt;
    auto made =
        host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights).value()));
    if (!made.has_value()) return std::nullopt;
    return std::move(made).value();
  }();
  return model.has_value() ? &*model : nullptr;
}

double sgemm_rate() {
  static const double rate = host::measure_matmul_rate().fp32_flops_per_s;
  return rate;
}

std::vector<int32_t> random_ids(int64_t count, int64_t vocab, Random& random) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.below(vocab)));
  return ids;
}

void report(benchmark::State& state, const model::ModelShape& shape, int64_t questions,
            int64_t tokens, int64_t fed) {
  const auto count = static_cast<double>(state.iterations());
  using benchmark::Counter;
  state.counters["questions/s"] =
      Counter(count * static_cast<double>(questions), Counter::kIsRate);
  state.counters["tokens/s"] = Counter(count * static_cast<double>(tokens), Counter::kIsRate);
  const double flops =
      2.0 * static_cast<double>(fed) * static_cast<double>(shape.num_block_linear_weights());
  state.counters["of_sgemm"] = Counter(count * flops / sgemm_rate(), Counter::kIsRate);
}

// 64 questions of so many tokens behind so many that they share, four choices each.
void choices(benchmark::State& state) {
  if (smollm2() == nullptr) return state.SkipWithError("needs: dovetail pull smollm2-135m");
  const model::ModelShape& shape = smollm2()->shape();
  constexpr int64_t kQuestions = 64;
  const int64_t shared = state.range(0), own = state.range(1);
  const bool share = state.range(2) != 0;
  HostScorerParams params;
  params.share_prefixes = share;
  const auto scorer = make_host_scorer(*smollm2(), 0, params).value();
  Random random(1);
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    const auto shots = random_ids(shared, shape.vocab_size, random);  // not those of the last time
    std::vector<LoglikelihoodRequest> requests;
    for (int64_t i = 0; i < kQuestions; ++i) {
      std::vector<int32_t> context = shots;
      for (const int32_t id : random_ids(own, shape.vocab_size, random)) context.push_back(id);
      for (int32_t choice = 0; choice < 4; ++choice) requests.push_back({context, {choice}});
    }
    state.ResumeTiming();
    benchmark::DoNotOptimize(scorer->loglikelihoods(requests, {}).value());
  }
  report(state, shape, kQuestions, kQuestions * (shared + own),
         share ? shared + kQuestions * own : kQuestions * (shared + own));
}

// 32 prompts of so many tokens, 64 new ones each.
void generation(benchmark::State& state) {
  if (smollm2() == nullptr) return state.SkipWithError("needs: dovetail pull smollm2-135m");
  const model::ModelShape& shape = smollm2()->shape();
  constexpr int64_t kPrompts = 32, kNew = 64;
  HostScorerParams params;
  params.max_running = state.range(1);
  const auto scorer = make_host_scorer(*smollm2(), 0, params).value();
  Random random(2);
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < kPrompts; ++i)
    requests.push_back({random_ids(state.range(0), shape.vocab_size, random), kNew, {}});
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(scorer->generate(requests, {}).value());
  report(state, shape, kPrompts, kPrompts * kNew, kPrompts * (state.range(0) + kNew));
}

BENCHMARK(choices)
    ->ArgNames({"shared", "own", "share"})
    ->Args({600, 100, 1})
    ->Args({600, 100, 0})
    ->Args({15, 80, 1})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(generation)
    ->ArgNames({"prompt", "running"})
    ->Args({1, 1})
    ->Args({1, 8})
    ->Args({1, 32})
    ->Args({600, 32})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dovetail::eval
