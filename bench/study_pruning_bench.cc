// What pruning loses by which scores: Fisher, magnitude of the weights, chance. Needs a pulled
// model
// ($DOVETAIL_BENCH_MODEL, else smollm2-135m in the cache folder) and two UTF-8 texts:
// $DOVETAIL_BENCH_CALIBRATION, 64 sequences of 512 tokens that scores are taken from, and
// $DOVETAIL_BENCH_TEXT, 4 windows of 2,048 that losses are measured on; without them every
// benchmark is skipped with an error that says so. $DOVETAIL_BENCH_SCORES: a file that keeps the
// Fisher scores.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/paths.h"
#include "compress/mask_baselines.h"
#include "compress/mask_fisher.h"
#include "compress/prune.h"
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

void register_losses() {
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
