// What a profile of a real model costs, how well its predictions hold, and the predicted losses of
// the uniform formats. Needs a pulled model: $DOVETAIL_BENCH_MODEL (a path), else smollm2-135m in
// the cache folder; without one every benchmark here is skipped with an error that says so.
//
// Text: drawn from the model itself, 4 sequences of 256 tokens to profile and 4 others to measure.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include "base/paths.h"
#include "compress/additivity.h"
#include "compress/loss_profile.h"
#include "compress/profile.h"
#include "compress/treat.h"
#include "host/host_model.h"
#include "model/model.h"
#include "model/off_grid.h"
#include "model/tokenizer.h"
#include "recipe/site.h"

namespace dovetail::compress {
namespace {

constexpr int64_t kSequences = 4;
constexpr int64_t kLength = 256;

double peak_memory_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1024.0 * 1024.0);
}

std::string model_path() {
  if (const char* path = std::getenv("DOVETAIL_BENCH_MODEL")) return path;
  return cache_folder() + "/models/smollm2-135m/model.gguf";
}

// The model off its released grid, two texts, and what the first benchmarks leave for the later
// ones.
struct RealModel {
  std::shared_ptr<const model::Weights> weights;
  std::optional<host::HostModel> reference;
  host::TokenBatch profile_tokens;
  host::TokenBatch measure_tokens;
  model::Matrix logits;  // of the reference on measure_tokens
  std::optional<LossProfile> losses;
  std::optional<TreatedModel> treated;
};

Result<host::TokenBatch> draw(const host::HostModel& model, int32_t bos_id, uint64_t seed) {
  const std::vector<std::vector<int32_t>> prompts(kSequences, {bos_id});
  DOVETAIL_TRY(const auto drawn,
               model.generate(prompts, {.max_new_tokens = kLength, .seed = seed}));
  host::TokenBatch tokens{.batch = kSequences, .seq = kLength, .ids = {}};
  for (const auto& ids : drawn) tokens.ids.insert(tokens.ids.end(), ids.begin(), ids.end());
  return tokens;
}

Result<RealModel> load() {
  RealModel real;
  DOVETAIL_TRY(model::Weights weights, model::load_weights(model_path()));
  model::permute_off_grid(weights, model::kOffGridSeed);
  real.weights = std::make_shared<const model::Weights>(std::move(weights));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(model_path()));
  DOVETAIL_TRY(real.reference, host::HostModel::create(real.weights));
  DOVETAIL_TRY(real.profile_tokens, draw(*real.reference, tokenizer.bos_id(), 1));
  DOVETAIL_TRY(real.measure_tokens, draw(*real.reference, tokenizer.bos_id(), 2));
  DOVETAIL_TRY(const model::Matrix hidden, real.reference->hidden_states(real.measure_tokens));
  DOVETAIL_TRY(real.logits, real.reference->logits(hidden));
  return real;
}

Result<RealModel>& real_model() {
  static Result<RealModel> real = load();
  return real;
}

Result<double> mean_kl(const RealModel& real, const host::HostModel& treated) {
  DOVETAIL_TRY(const model::Matrix hidden, treated.hidden_states(real.measure_tokens));
  DOVETAIL_TRY(const host::KlResult kl, host::kl_divergence(real.logits, treated, hidden));
  return std::accumulate(kl.kl_nats_per_position.begin(), kl.kl_nats_per_position.end(), 0.0) /
         static_cast<double>(kl.kl_nats_per_position.size());
}

Result<LossProfile> whole_profile(const RealModel& real) {
  return profile(real.weights, whole_menu(),
                 {.name = "sampled", .digest = "", .tokens = real.profile_tokens}, {});
}

Status ensure_profile(RealModel& real) {
  if (real.losses.has_value()) return {};
  if (const char* path = std::getenv("DOVETAIL_BENCH_PROFILE");
      path && std::filesystem::exists(path)) {
    DOVETAIL_TRY(const std::string text, read_text_file(path, int64_t{1} << 30));
    DOVETAIL_TRY(real.losses, loss_profile_from_json(Json::parse(text, nullptr, false), path));
  } else {
    DOVETAIL_TRY(real.losses, whole_profile(real));
    if (path != nullptr) {
      DOVETAIL_TRY_STATUS(write_text_file(path, loss_profile_to_json(*real.losses).dump(1)));
    }
  }
  return {};
}

Status ensure_treated(RealModel& real) {
  if (real.treated.has_value()) return {};
  DOVETAIL_TRY(real.treated, TreatedModel::create(real.weights));
  return {};
}

// Seconds of one whole profile, in its parts.
void profile_whole_menu(benchmark::State& state) {
  Result<RealModel>& real = real_model();
  if (!real.has_value()) return state.SkipWithError(real.error().message.c_str());
  for (auto _ : state) {
    Result<LossProfile> losses = whole_profile(*real);
    if (!losses.has_value()) return state.SkipWithError(losses.error().message.c_str());
    real->losses = std::move(*losses);
  }
  state.counters["gradient_s"] = real->losses->gradient_s;
  state.counters["menu_s"] = real->losses->menu_s;
  state.counters["kv_s"] = real->losses->kv_s;
  state.counters["positions"] = static_cast<double>(real->losses->num_positions);
  state.counters["peak_gib"] = peak_memory_gib();
}
BENCHMARK(profile_whole_menu)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

// Predicted and measured loss of one uniform recipe.
void uniform_loss(benchmark::State& state, const std::string& name) {
  Result<RealModel>& real = real_model();
  if (!real.has_value()) return state.SkipWithError(real.error().message.c_str());
  const auto run = [&]() -> Status {
    DOVETAIL_TRY_STATUS(ensure_profile(*real));
    DOVETAIL_TRY_STATUS(ensure_treated(*real));
    DOVETAIL_TRY(const recipe::Recipe recipe,
                 recipe::parse_uniform_recipe(real->weights->shape, name));
    DOVETAIL_TRY(state.counters["predicted_nats"], predict_loss(*real->losses, recipe));
    DOVETAIL_TRY_STATUS(real->treated->apply(recipe));
    DOVETAIL_TRY(state.counters["measured_nats"], mean_kl(*real, real->treated->model()));
    return {};
  };
  for (auto _ : state) {
    const Status status = run();
    if (!status.has_value()) return state.SkipWithError(status.error().message.c_str());
  }
}

// Seconds of one confirmation among recipes of a search: every second site takes another format.
void confirm_one_recipe(benchmark::State& state) {
  Result<RealModel>& real = real_model();
  if (!real.has_value()) return state.SkipWithError(real.error().message.c_str());
  if (const Status made = ensure_treated(*real); !made.has_value()) {
    return state.SkipWithError(made.error().message.c_str());
  }
  const auto drawn = draw_recipes(real->weights->shape, whole_menu(),
                                  {.num_mixed = 8, .num_uniform = 0, .seed = 7});
  if (!drawn.has_value()) return state.SkipWithError(drawn.error().message.c_str());
  size_t next = 0;
  for (auto _ : state) {
    const auto applied = real->treated->apply((*drawn)[next++ % drawn->size()].recipe);
    if (!applied.has_value()) return state.SkipWithError(applied.error().message.c_str());
    const auto kl = mean_kl(*real, real->treated->model());
    if (!kl.has_value()) return state.SkipWithError(kl.error().message.c_str());
  }
  state.counters["positions"] = static_cast<double>(real->measure_tokens.rows());
}
BENCHMARK(confirm_one_recipe)->Iterations(8)->Unit(benchmark::kSecond)->UseRealTime();

// Predicted against measured over drawn recipes; the samples go to stderr.
void additivity(benchmark::State& state) {
  Result<RealModel>& real = real_model();
  if (!real.has_value()) return state.SkipWithError(real.error().message.c_str());
  const auto run = [&]() -> Status {
    DOVETAIL_TRY_STATUS(ensure_profile(*real));
    DOVETAIL_TRY_STATUS(ensure_treated(*real));
    DOVETAIL_TRY(const auto recipes, draw_recipes(real->weights->shape, whole_menu(), {}));
    DOVETAIL_TRY(const AdditivityStats stats,
                 measure_additivity(*real->losses, recipes, *real->treated,
                                    [&](const host::HostModel& m) { return mean_kl(*real, m); }));
    for (const AdditivitySample& sample : stats.samples) {
      std::fprintf(stderr, "%-40s %6.3f bits  predicted %9.5f  measured %9.5f  x%.2f\n",
                   sample.name.c_str(), sample.bits_per_weight, sample.predicted_nats_per_token,
                   sample.measured_nats_per_token,
                   sample.measured_nats_per_token / sample.predicted_nats_per_token);
    }
    state.counters["spearman"] = stats.spearman;
    state.counters["r2_log"] = stats.r2_log;
    state.counters["bias"] = stats.bias_ratio;
    state.counters["bias_spread"] = stats.bias_spread_ratio;
    state.counters["bias_min"] = stats.bias_min_ratio;
    state.counters["bias_max"] = stats.bias_max_ratio;
    return {};
  };
  for (auto _ : state) {
    const Status status = run();
    if (!status.has_value()) return state.SkipWithError(status.error().message.c_str());
  }
  state.counters["peak_gib"] = peak_memory_gib();
}
BENCHMARK(additivity)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

void register_uniform_losses() {
  for (const std::string name : {"int8_g128",
                                 "int6_g64",
                                 "int5_g64",
                                 "int4_g32",
                                 "int4_g128",
                                 "int4_asym_g32",
                                 "int4_asym_g128",
                                 "int3_g32",
                                 "int3_asym_g32",
                                 "nvfp4",
                                 "mxfp4",
                                 "fp8_e4m3fn",
                                 "bf16+a:int8_token",
                                 "bf16+a:fp8_token",
                                 "bf16+kv:int8",
                                 "bf16+kv:int4",
                                 "bf16+kv:bf16+q:int8_token",
                                 "bf16+kv:int4+q:int8_token",
                                 "bf16+head:int8",
                                 "bf16+head:int4_g32",
                                 "bf16+head:int4_g128"}) {
    benchmark::RegisterBenchmark(("uniform_loss/" + name).c_str(),
                                 [name](benchmark::State& state) { uniform_loss(state, name); })
        ->Iterations(1)
        ->Unit(benchmark::kSecond)
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace dovetail::compress

int main(int argc, char** argv) {
  dovetail::compress::register_uniform_losses();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
