// What pruning loses by which scores: Fisher, magnitude of the weights, chance; and whether losses
// of layers that are pruned alone add up to that of all together. Needs a pulled model
// ($DOVETAIL_BENCH_MODEL, else smollm2-135m in the cache folder) and two UTF-8 texts:
// $DOVETAIL_BENCH_CALIBRATION, 64 sequences of 512 tokens that scores are taken from, and
// $DOVETAIL_BENCH_TEXT, 4 windows of 2,048 that losses are measured on; without them every
// benchmark is skipped with an error that says so. $DOVETAIL_BENCH_SCORES: a file that keeps the
// Fisher scores.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/paths.h"
#include "compress/mask_baselines.h"
#include "compress/mask_fisher.h"
#include "compress/prune.h"
#include "compress/treat.h"
#include "eval/kl.h"
#include "eval/text.h"
#include "host/host_model.h"
#include "model/model.h"
#include "model/off_grid.h"
#include "model/tokenizer.h"
#include "recipe/site.h"

namespace dovetail::study {
namespace {

using compress::MaskScores;

struct RealModel {
  std::shared_ptr<const model::Weights> weights;
  std::optional<eval::KlReference> reference;
  host::TokenBatch calibration;
  std::optional<std::vector<MaskScores>> fisher;
};

Result<std::string> named_file(const char* variable) {
  const char* path = std::getenv(variable);
  if (path == nullptr) return invalid_argument(std::string("set ") + variable + " to a text file");
  return std::string(path);
}

Result<RealModel> load() {
  const char* named = std::getenv("DOVETAIL_BENCH_MODEL");
  const std::string path =
      named != nullptr ? named : cache_folder() + "/models/smollm2-135m/model.gguf";
  DOVETAIL_TRY(const std::string seen, named_file("DOVETAIL_BENCH_CALIBRATION"));
  DOVETAIL_TRY(const std::string fresh, named_file("DOVETAIL_BENCH_TEXT"));
  DOVETAIL_TRY(model::Weights weights, model::load_weights(path));
  model::permute_off_grid(weights, model::kOffGridSeed);
  RealModel real;
  real.weights = std::make_shared<const model::Weights>(std::move(weights));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(path));
  DOVETAIL_TRY(const eval::TextWindows windows, eval::windows_of_file(tokenizer, fresh, 2048, 4));
  DOVETAIL_TRY(const host::HostModel model, host::HostModel::create(real.weights));
  DOVETAIL_TRY(real.reference, eval::KlReference::create(model, windows));
  DOVETAIL_TRY(const eval::TextWindows text, eval::windows_of_file(tokenizer, seen, 512, 64));
  real.calibration = eval::batches_of(text, int64_t{1} << 40).front();
  return real;
}

Result<RealModel>& real_model() {
  static Result<RealModel> real = load();
  return real;
}

Json to_json(const std::vector<MaskScores>& scores) {
  Json json = Json::array();
  for (const MaskScores& layer : scores) {
    json.push_back(
        {{"channels", layer.channels}, {"heads", layer.heads}, {"key_heads", layer.key_heads}});
  }
  return json;
}

Status ensure_fisher(RealModel& real) {
  if (real.fisher.has_value()) return {};
  const char* path = std::getenv("DOVETAIL_BENCH_SCORES");
  if (path != nullptr && std::filesystem::exists(path)) {
    DOVETAIL_TRY(const std::string text, read_text_file(path, int64_t{1} << 30));
    real.fisher.emplace();
    for (const Json& layer : Json::parse(text, nullptr, false)) {
      real.fisher->push_back({.channels = layer["channels"].get<std::vector<double>>(),
                              .heads = layer["heads"].get<std::vector<double>>(),
                              .key_heads = layer["key_heads"].get<std::vector<double>>()});
    }
    return {};
  }
  DOVETAIL_TRY(real.fisher,
               compress::mask_fisher(compress::source_of(real.weights), real.calibration));
  if (path == nullptr) return {};
  return write_text_file(path, to_json(*real.fisher).dump());
}

Result<std::vector<MaskScores>> scores_by(const std::string& method, RealModel& real) {
  DOVETAIL_TRY_STATUS(ensure_fisher(real));
  if (method == "fisher") return *real.fisher;
  Random random(3);
  std::vector<MaskScores> scores;
  for (const model::LayerWeights& layer : real.weights->layers) {
    scores.push_back(method == "magnitude" ? compress::magnitude_scores(real.weights->shape, layer)
                                           : compress::random_scores(real.weights->shape, random));
  }
  return scores;
}

void pruning_loss(benchmark::State& state, const std::string& method,
                  const std::string& treatment) {
  Result<RealModel>& real = real_model();
  if (!real.has_value()) return state.SkipWithError(real.error().message.c_str());
  const auto run = [&]() -> Status {
    DOVETAIL_TRY(const std::vector<MaskScores> scores, scores_by(method, *real));
    const model::ModelShape& shape = real->weights->shape;
    DOVETAIL_TRY(const recipe::Recipe recipe, recipe::parse_uniform_recipe(shape, treatment));
    const compress::Kept kept{.layers = compress::keep_best(shape, recipe.pruning, scores),
                              .seconds = 0};
    DOVETAIL_TRY(model::Weights small,
                 compress::collect(
                     compress::pruned(compress::source_of(real->weights), recipe.pruning, kept)));
    recipe::Recipe rest = recipe;  // rounding to nearest, if the treatment rounds
    rest.pruning = {};
    DOVETAIL_TRY(small, compress::apply_recipe(small, rest));
    DOVETAIL_TRY(const host::HostModel model,
                 host::HostModel::create(std::make_shared<const model::Weights>(std::move(small))));
    DOVETAIL_TRY(const eval::KlStats kl, real->reference->measure(model));
    state.counters["kl_nats"] = kl.kl_nats_per_token;
    state.counters["stderr_nats"] = kl.kl_stderr_nats_per_token.value_or(0);
    state.counters["top1_frac"] = kl.top1_agreement_frac;
    return {};
  };
  for (auto _ : state) {
    const Status status = run();
    if (!status.has_value()) return state.SkipWithError(status.error().message.c_str());
  }
}

// The model with the channels and heads that a layer's pruning drops multiplied by zero, so that
// layers may differ.
Result<double> masked_kl(const RealModel& real, const eval::KlReference& reference,
                         const std::vector<recipe::Pruning>& pruning) {
  const model::ModelShape& shape = real.weights->shape;
  const auto mask = [](const std::vector<int64_t>& kept, int64_t width, model::Matrix& w) {
    std::vector<bool> stays(static_cast<size_t>(w.cols));
    for (const int64_t part : kept)
      for (int64_t i = 0; i < width; ++i) stays[static_cast<size_t>(part * width + i)] = true;
    for (size_t i = 0; i < w.values.size(); ++i)
      if (!stays[i % stays.size()]) w.values[i] = 0;
  };
  DOVETAIL_TRY(host::HostModel model, host::HostModel::create(real.weights));
  for (size_t l = 0; l < pruning.size(); ++l) {
    if (pruning[l] == recipe::Pruning{}) continue;
    const compress::KeptLayer kept =
        compress::keep_best(shape, pruning[l], {(*real.fisher)[l]}).front();
    auto layer = std::make_shared<model::LayerWeights>(real.weights->layers[l]);
    mask(kept.channels, 1, layer->down);
    mask(kept.heads, shape.head_dim, layer->o);
    DOVETAIL_TRY_STATUS(model.replace_layer(static_cast<int64_t>(l), std::move(layer)));
  }
  DOVETAIL_TRY(const eval::KlStats kl, reference.measure(model));
  return kl.kl_nats_per_token;
}

// Layers alone under each choice, then recipes that mix the choices by layer: measured over the
// sum. One window of 1,024 tokens serves both sides. What was measured goes to stderr.
Status measure_additivity(RealModel& real, const std::vector<recipe::Pruning>& choices,
                          benchmark::State& state) {
  DOVETAIL_TRY_STATUS(ensure_fisher(real));
  DOVETAIL_TRY(const host::HostModel model, host::HostModel::create(real.weights));
  eval::TextWindows text = real.reference->text();
  text.windows.resize(1);
  text.windows[0].resize(1024);
  DOVETAIL_TRY(const eval::KlReference reference, eval::KlReference::create(model, text));
  const size_t layers = real.weights->layers.size();
  std::vector<std::vector<double>> alone(layers, std::vector<double>(choices.size()));
  for (size_t l = 0; l < layers; ++l)
    for (size_t c = 0; c < choices.size(); ++c) {
      std::vector<recipe::Pruning> pruning(layers);
      pruning[l] = choices[c];
      DOVETAIL_TRY(alone[l][c], masked_kl(real, reference, pruning));
      std::fprintf(stderr, "layer %2zu choice %zu  KL %.5f\n", l, c, alone[l][c]);
    }
  constexpr int kMixes = 8;
  Random random(9);
  double logs = 0;
  double least = 1e9;
  double most = 0;
  for (int mix = 0; mix < kMixes; ++mix) {
    // The first two are uniform; the others leave from two in five to one in twelve layers whole.
    std::vector<recipe::Pruning> pruning(layers);
    double sum = 0;
    for (size_t l = 0; l < layers; ++l) {
      const bool whole = mix >= 2 && random.uniform() < .5 - .06 * mix;
      const size_t c = mix < 2 ? static_cast<size_t>(mix) : random.uniform() < .7 ? 0 : 1;
      if (whole) continue;
      pruning[l] = choices[c];
      sum += alone[l][c];
    }
    DOVETAIL_TRY(const double kl, masked_kl(real, reference, pruning));
    std::fprintf(stderr, "mix %d  sum of layers %.4f  together %.4f  x%.2f\n", mix, sum, kl,
                 kl / sum);
    logs += std::log(kl / sum) / kMixes;
    least = std::min(least, kl / sum);
    most = std::max(most, kl / sum);
  }
  state.counters["ratio_mean"] = std::exp(logs);
  state.counters["ratio_min"] = least;
  state.counters["ratio_max"] = most;
  return {};
}

void pruning_additivity(benchmark::State& state, const std::vector<recipe::Pruning>& choices) {
  Result<RealModel>& real = real_model();
  if (!real.has_value()) return state.SkipWithError(real.error().message.c_str());
  for (auto _ : state) {
    const Status status = measure_additivity(*real, choices, state);
    if (!status.has_value()) return state.SkipWithError(status.error().message.c_str());
  }
}
BENCHMARK_CAPTURE(pruning_additivity, mlp_1440_1344,
                  std::vector<recipe::Pruning>{{.mlp_width = 1440}, {.mlp_width = 1344}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(pruning_additivity, kv_heads_2_heads_6,
                  std::vector<recipe::Pruning>{{.kv_heads = 2}, {.heads = 6}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->UseRealTime();

void register_losses() {
  for (const std::string treatment : {"int4_g64", "int4_g64+mlp:1440", "int4_g64+mlp:1344"}) {
    benchmark::RegisterBenchmark(
        ("pruning_loss/fisher/" + treatment).c_str(),
        [treatment](benchmark::State& state) { pruning_loss(state, "fisher", treatment); })
        ->Iterations(1)
        ->Unit(benchmark::kSecond)
        ->UseRealTime();
  }
  for (const std::string treatment :
       {"bf16+mlp:1440", "bf16+mlp:1344", "bf16+mlp:1152", "bf16+heads:6", "bf16+kv_heads:2"}) {
    for (const std::string method : {"fisher", "magnitude", "random"}) {
      benchmark::RegisterBenchmark(
          ("pruning_loss/" + method + "/" + treatment).c_str(),
          [method, treatment](benchmark::State& state) { pruning_loss(state, method, treatment); })
          ->Iterations(1)
          ->Unit(benchmark::kSecond)
          ->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace dovetail::study

int main(int argc, char** argv) {
  dovetail::study::register_losses();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
