// dovetail eval kl | ppl: measured loss of a treatment, perplexity.
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "app/eval_benchmarks.h"
#include "checkpoint/manifest.h"
#include "compress/compress_model.h"
#include "compress/static_scales.h"
#include "compress/treat.h"
#include "eval/kl.h"
#include "eval/perplexity.h"
#include "eval/text.h"
#include "host/host_model.h"
#include "model/off_grid.h"
#include "model/tokenizer.h"
#include "model/zoo.h"
#include "recipe/site.h"

namespace dovetail::app {
namespace {

struct EvalOptions {
  std::string model;
  std::string treatment;
  std::string against;  // model is a treated checkpoint, this its reference
  std::string text;
  int64_t context = 1024;
  int64_t windows = 16;
  std::string off_grid = "default";
  std::string calibration;
  int64_t calibration_sequences = 64;
  int64_t calibration_tokens = 512;  // of a sequence
  std::string numerics = "fp32";
  host::AlignedSums sums;  // of --numerics chip
  bool json = false;
};

struct LoadedModel {
  std::string path;
  std::shared_ptr<const model::Weights> weights;
  eval::TextWindows text;
  uint64_t off_grid_seed = 0;
};

// "none" leaves the checkpoint as released, "default" permutes with the usual seed, a number is a
// seed of its own.
Result<uint64_t> parse_off_grid(const std::string& text) {
  if (text == "none") return uint64_t{0};
  if (text == "default") return model::kOffGridSeed;
  try {
    size_t used = 0;
    const uint64_t seed = std::stoull(text, &used);
    if (used == text.size() && seed > 0) return seed;
  } catch (const std::exception&) {
  }
  return invalid_argument(
      fmt::format("--off-grid = {}, want none, default or a positive seed", text));
}

Result<LoadedModel> load(const EvalOptions& options, bool permute) {
  LoadedModel loaded;
  if (permute) {
    DOVETAIL_TRY(loaded.off_grid_seed, parse_off_grid(options.off_grid));
  }
  DOVETAIL_TRY(const std::string path, model::resolve_model(options.model));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(path));
  DOVETAIL_TRY(loaded.text,
               eval::windows_of_file(tokenizer, options.text, options.context, options.windows));
  DOVETAIL_TRY(model::Weights weights, model::load_weights(path));
  if (loaded.off_grid_seed != 0) model::permute_off_grid(weights, loaded.off_grid_seed);
  loaded.weights = std::make_shared<const model::Weights>(std::move(weights));
  loaded.path = path;
  return loaded;
}

// The model that a recipe makes, and what its algorithms say of each matrix.
struct Treated {
  host::HostModel model;
  Json reports;
};

Result<Treated> treat(const EvalOptions& options, const LoadedModel& loaded,
                      const recipe::Recipe& recipe) {
  if (!recipe::needs_calibration(recipe)) {
    DOVETAIL_TRY(compress::TreatedModel treated, compress::TreatedModel::create(loaded.weights));
    DOVETAIL_TRY([[maybe_unused]] const compress::TreatStats stats, treated.apply(recipe));
    return Treated{treated.model(), Json::array()};
  }
  if (options.calibration.empty()) {
    return invalid_argument(
        fmt::format("--treatment = {}, which needs --calibration FILE", options.treatment));
  }
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(loaded.path));
  DOVETAIL_TRY(const eval::TextWindows text,
               eval::windows_of_file(tokenizer, options.calibration, options.calibration_tokens,
                                     options.calibration_sequences));
  // Windows are of one length, or there is only one.
  const host::TokenBatch tokens =
      eval::batches_of(text, std::numeric_limits<int64_t>::max()).front();
  DOVETAIL_TRY(
      compress::Compressed made,
      compress::compress_in_memory(loaded.weights, recipe, tokens, {}, terminal_progress()));
  end_progress();
  DOVETAIL_TRY(
      host::HostModel model,
      host::HostModel::create(std::make_shared<const model::Weights>(std::move(made.weights))));
  DOVETAIL_TRY(host::Numerics numerics,
               compress::with_static_scales(model, std::move(made.numerics), tokens));
  DOVETAIL_TRY_STATUS(model.set_numerics(std::move(numerics)));
  Json reports = Json::array();
  for (const compress::SiteReport& report : made.reports) {
    reports.push_back(compress::to_json(report));
  }
  return Treated{std::move(model), std::move(reports)};
}

void print_kl(const EvalOptions& options, const eval::KlStats& kl, const std::string& treatment,
              const std::string& reference, const Json& json) {
  if (options.json) {
    print_json(json);
    return;
  }
  print_line(fmt::format(
      "{} with {}: KL {:.5f} +- {:.5f} nats/token relative to {}, top-1 agreement "
      "{:.2f} %, {:.3f} bits/weight, {} tokens of {}",
      options.model, treatment, kl.kl_nats_per_token, kl.kl_stderr_nats_per_token.value_or(0.0),
      reference, 100 * kl.top1_agreement_frac, json["bits_per_weight"].get<double>(), kl.num_tokens,
      options.text));
}

// A checkpoint as it stands, never permuted, with the numerics that it says, against `against`,
// which is permuted as the weights were that the checkpoint was made of.
Status run_kl_against(const EvalOptions& options) {
  DOVETAIL_TRY(const std::string path, model::resolve_model(options.model));
  DOVETAIL_TRY(const auto manifest, checkpoint::find_manifest(path));
  DOVETAIL_TRY(model::Weights weights, model::load_weights(path));
  const model::ModelShape shape = weights.shape;
  EvalOptions reference_options = options;
  reference_options.model = options.against;
  const uint64_t seed = manifest.has_value() ? manifest->provenance.off_grid_seed : 0;
  reference_options.off_grid = seed == 0 ? "none" : std::to_string(seed);
  DOVETAIL_TRY(const LoadedModel loaded, load(reference_options, true));
  DOVETAIL_TRY(const host::HostModel reference, host::HostModel::create(loaded.weights));
  DOVETAIL_TRY(host::HostModel treated,
               host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))));
  DOVETAIL_TRY(recipe::Recipe recipe, recipe::parse_uniform_recipe(shape, "bf16"));
  if (manifest.has_value()) {
    DOVETAIL_TRY(recipe, recipe::parse_recipe(shape, manifest->recipe_toml, path));
    DOVETAIL_TRY_STATUS(treated.set_numerics(host::numerics_of(recipe)));
  }
  DOVETAIL_TRY(const eval::KlStats kl, eval::measure_kl(reference, treated, loaded.text));
  Json json = eval::kl_stats_to_json(kl);
  json["bits_per_weight"] = recipe::bits_per_weight(shape, recipe);
  json["off_grid_seed"] = seed;
  json["model"] = options.model;
  json["against"] = options.against;
  json["tier"] = "executed";
  print_kl(options, kl, manifest.has_value() ? "its recipe" : "its weights", options.against, json);
  return {};
}

// What the sums of a chip's matrix unit add to a treated model, measured on the same text.
Result<Json> chip_sums_to_json(const EvalOptions& options, const recipe::Recipe& recipe,
                               const Treated& treated, const host::HostModel& reference,
                               const eval::TextWindows& text) {
  host::HostModel chip = treated.model;
  DOVETAIL_TRY_STATUS(chip.sum_as_chip(options.sums, recipe));
  if (chip.products()->matrices() == 0) {
    return invalid_argument(fmt::format(
        "--numerics chip: no linear of {} has bf16 inputs; sums of other pairs are exact",
        options.treatment));
  }
  DOVETAIL_TRY(const eval::KlStats whole, eval::measure_kl(reference, chip, text));
  DOVETAIL_TRY(const eval::KlStats added, eval::measure_kl(treated.model, chip, text));
  return Json{{"depth", options.sums.depth},
              {"align_bits", options.sums.align_bits},
              {"matrices", chip.products()->matrices()},
              {"kl", eval::kl_stats_to_json(whole)},
              {"kl_to_fp32_sums", eval::kl_stats_to_json(added)}};
}

std::string kl_words(const Json& kl) {
  const Json& error = kl.at("kl_stderr_nats_per_token");
  return fmt::format("{:.3g} +- {:.2g}", kl.at("kl_nats_per_token").get<double>(),
                     error.is_null() ? 0.0 : error.get<double>());
}

void print_chip_sums(const Json& json) {
  const Json& sums = json.at("chip_sums");
  const Json& added = sums.at("kl_to_fp32_sums");
  print_line(fmt::format(
      "  with a chip's sums, depth {}, {} bits: KL {}; to the same model with FP32 sums {}, top-1 "
      "agreement {:.3f} %",
      sums.at("depth").get<int64_t>(), sums.at("align_bits").get<int64_t>(),
      kl_words(sums.at("kl")), kl_words(added),
      100 * added.at("top1_agreement_frac").get<double>()));
}

Status run_kl(const EvalOptions& options) {
  if (!options.against.empty()) return run_kl_against(options);
  if (options.treatment.empty()) return invalid_argument("--treatment or --against is required");
  DOVETAIL_TRY(const model::ModelShape shape, [&]() -> Result<model::ModelShape> {
    DOVETAIL_TRY(const std::string path, model::resolve_model(options.model));
    return model::load_shape(path);
  }());
  DOVETAIL_TRY(const recipe::Recipe recipe, recipe::parse_uniform_recipe(shape, options.treatment));
  DOVETAIL_TRY(const LoadedModel loaded, load(options, true));
  DOVETAIL_TRY(const host::HostModel reference, host::HostModel::create(loaded.weights));
  DOVETAIL_TRY(const Treated treated, treat(options, loaded, recipe));
  DOVETAIL_TRY(const eval::KlStats kl, eval::measure_kl(reference, treated.model, loaded.text));
  Json json = eval::kl_stats_to_json(kl);
  if (!treated.reports.empty()) json["sites"] = treated.reports;
  json["bits_per_weight"] = recipe::bits_per_weight(shape, recipe);
  json["off_grid_seed"] = loaded.off_grid_seed;
  json["model"] = options.model;
  json["treatment"] = options.treatment;
  json["tier"] = "executed";
  const bool chip = options.numerics == "chip";
  if (chip) {
    DOVETAIL_TRY(json["chip_sums"],
                 chip_sums_to_json(options, recipe, treated, reference, loaded.text));
  }
  print_kl(options, kl, options.treatment, "the released weights", json);
  if (chip && !options.json) print_chip_sums(json);
  return {};
}

Status run_ppl(const EvalOptions& options) {
  DOVETAIL_TRY(const LoadedModel loaded, load(options, false));
  DOVETAIL_TRY(const host::HostModel model, host::HostModel::create(loaded.weights));
  DOVETAIL_TRY(const eval::PerplexityStats stats, eval::measure_perplexity(model, loaded.text));
  if (options.json) {
    Json json = eval::perplexity_stats_to_json(stats);
    json["model"] = options.model;
    json["tier"] = "executed";
    print_json(json);
    return {};
  }
  print_line(fmt::format("{}: perplexity {:.4f}, NLL {:.6f} nats/token, {} tokens of {}",
                         options.model, stats.perplexity, stats.nll_nats_per_token,
                         stats.num_tokens, options.text));
  return {};
}

void add_common(CLI::App& command, EvalOptions& options) {
  command.add_option("model", options.model, "zoo name, GGUF file or model folder")->required();
  command.add_option("--text", options.text, "UTF-8 text file")->required();
  command.add_option("--context", options.context, "tokens of a window")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--windows", options.windows, "windows at most, from the start of the text")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  command.add_flag("--json", options.json, "print the record");
}

}  // namespace

void add_eval_command(CLI::App& app, Action& action) {
  CLI::App* eval =
      app.add_subcommand("eval", "measure a model: KL of a treatment, perplexity, benchmarks");
  eval->require_subcommand(1);

  auto kl_options = std::make_shared<EvalOptions>();
  CLI::App* kl = eval->add_subcommand("kl", "KL(reference || treated) on a text");
  add_common(*kl, *kl_options);
  CLI::Option* treatment =
      kl->add_option("--treatment", kl_options->treatment,
                     "uniform treatment, as int4_g128+a:int8_token+kv:int8+head:int8+r:r1r2");
  kl->add_option("--against", kl_options->against,
                 "the model is a treated checkpoint; this is its reference: zoo name, GGUF file or "
                 "model folder")
      ->excludes(treatment);
  kl->add_option("--calibration", kl_options->calibration,
                 "UTF-8 text that algorithms (_gptq, _imatrix) and static activations see");
  kl->add_option("--calibration-sequences", kl_options->calibration_sequences,
                 "sequences of it at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  kl->add_option("--calibration-tokens", kl_options->calibration_tokens, "tokens of a sequence")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20))
      ->capture_default_str();
  kl->add_option("--off-grid", kl_options->off_grid,
                 "none: as released; default or a seed: permute channels off the released grid")
      ->capture_default_str();
  CLI::Option* numerics =
      kl->add_option("--numerics", kl_options->numerics,
                     "sums of the linears: fp32; chip: also those of a chip's matrix unit (bf16 "
                     "inputs against integer or bf16 weights)")
          ->check(CLI::IsMember({"fp32", "chip"}))
          ->capture_default_str();
  kl->add_option("--depth", kl_options->sums.depth, "elements of one dot of the chip")
      ->check(CLI::Range(int64_t{1}, int64_t{128}))
      ->needs(numerics)
      ->capture_default_str();
  kl->add_option("--align-bits", kl_options->sums.align_bits,
                 "magnitude bits that an aligned product keeps")
      ->check(CLI::Range(int64_t{16}, int64_t{24}))
      ->needs(numerics)
      ->capture_default_str();
  kl->callback([kl_options, &action] { action = [kl_options] { return run_kl(*kl_options); }; });

  auto ppl_options = std::make_shared<EvalOptions>();
  ppl_options->context = 2048;
  CLI::App* ppl = eval->add_subcommand("ppl", "perplexity on a text");
  add_common(*ppl, *ppl_options);
  ppl->callback(
      [ppl_options, &action] { action = [ppl_options] { return run_ppl(*ppl_options); }; });

  add_benchmark_commands(*eval, action);
  add_eval_compare_command(*eval, action);
}

}  // namespace dovetail::app
