#include "study/loss_lab.h"

#include <limits>
#include <map>

#include <fmt/format.h>

#include "compress/profile.h"
#include "model/off_grid.h"
#include "model/zoo.h"

namespace dovetail::study {

struct LossLab::Impl {
  std::shared_ptr<const model::Weights> weights;
  std::string model_path;
  std::string digest;
  TextConfig text;
  uint64_t off_grid_seed = 0;
  int64_t validation_recipes = 0;
  Memory* memory = nullptr;
  ProgressSink progress;
  std::optional<host::HostModel> reference;
  std::optional<compress::TreatedModel> treated;
  std::map<eval::TextPart, eval::TextWindows> texts;
  std::map<eval::TextPart, eval::KlReference> references;

  Result<const eval::TextWindows*> text_of(eval::TextPart part);
  Result<eval::TextWindows> make_text(eval::TextPart part);
  Result<const eval::KlReference*> reference_of(eval::TextPart part);
  Result<Json> profile_input();
  Result<Json> measurement_input(const recipe::Recipe& recipe, eval::TextPart part);
  Result<eval::KlStats> measure_now(const recipe::Recipe& recipe, eval::TextPart part);
};

namespace {

Json recipe_key(const recipe::Recipe& recipe) {
  return Json(recipe::recipe_to_toml(recipe));
}

Result<eval::KlStats> kl_stats_from(const Json& json) {
  eval::KlStats stats;
  stats.kl_nats_per_token = json.at("kl_nats_per_token").get<double>();
  const Json& error = json.at("kl_stderr_nats_per_token");
  if (!error.is_null()) stats.kl_stderr_nats_per_token = error.get<double>();
  stats.window_kl_nats_per_token = json.at("window_kl_nats_per_token").get<std::vector<double>>();
  stats.top1_agreement_frac = json.at("top1_agreement_frac").get<double>();
  stats.num_tokens = json.at("num_tokens").get<int64_t>();
  return stats;
}

}  // namespace

LossLab::LossLab(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LossLab::LossLab(LossLab&&) noexcept = default;
LossLab& LossLab::operator=(LossLab&&) noexcept = default;
LossLab::~LossLab() = default;

const model::ModelShape& LossLab::shape() const {
  return impl_->weights->shape;
}
const std::string& LossLab::digest() const {
  return impl_->digest;
}

Result<LossLab> LossLab::open(const std::string& model, const StudyConfig& config, Memory& memory,
                              const ProgressSink& progress) {
  auto impl = std::make_unique<Impl>();
  DOVETAIL_TRY(impl->model_path, model::resolve_model(model));
  report_progress(progress, fmt::format("loading {}", model), 0);
  DOVETAIL_TRY(model::Weights weights, model::load_weights(impl->model_path));
  impl->off_grid_seed = static_cast<uint64_t>(config.off_grid_seed);
  if (impl->off_grid_seed != 0) model::permute_off_grid(weights, impl->off_grid_seed);
  impl->digest = model::weights_digest(weights);
  impl->weights = std::make_shared<const model::Weights>(std::move(weights));
  impl->text = config.text;
  impl->validation_recipes = config.validation_recipes;
  impl->memory = &memory;
  impl->progress = progress;
  DOVETAIL_TRY(impl->reference, host::HostModel::create(impl->weights));
  return LossLab(std::move(impl));
}

Result<eval::TextWindows> LossLab::Impl::make_text(eval::TextPart part) {
  if (!text.file.empty()) {
    DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(model_path));
    const std::vector<int64_t> counts = {text.profile_sequences, text.select_sequences,
                                         text.certify_sequences};
    DOVETAIL_TRY(const eval::TextWindows all,
                 eval::windows_of_file(tokenizer, text.file, text.sequence_tokens,
                                       counts[0] + counts[1] + counts[2]));
    return eval::part_of_text(all, counts, part);
  }
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(model_path));
  const std::map<eval::TextPart, int64_t> sequences = {
      {eval::TextPart::kProfile, text.profile_sequences},
      {eval::TextPart::kSelect, text.select_sequences},
      {eval::TextPart::kCertify, text.certify_sequences}};
  return eval::sample_text(*reference, tokenizer.bos_id(), part,
                           {.num_sequences = sequences.at(part),
                            .length = text.sequence_tokens,
                            .seed = static_cast<uint64_t>(text.seed)},
                           progress);
}

Result<const eval::TextWindows*> LossLab::Impl::text_of(eval::TextPart part) {
  if (const auto it = texts.find(part); it != texts.end()) return &it->second;
  Json input = to_json(text);
  input["model"] = digest;
  input["part"] = std::string(eval::text_part_name(part));
  DOVETAIL_TRY(const Json stored, memory->remember("text", input, [&]() -> Result<Json> {
    DOVETAIL_TRY(const eval::TextWindows made, make_text(part));
    return eval::text_to_json(made);
  }));
  DOVETAIL_TRY(eval::TextWindows windows, eval::text_from_json(stored, "stored text"));
  return &texts.emplace(part, std::move(windows)).first->second;
}

Result<Json> LossLab::Impl::profile_input() {
  DOVETAIL_TRY(const eval::TextWindows* text_windows, text_of(eval::TextPart::kProfile));
  return Json{
      {"model", digest}, {"text", text_windows->digest()}, {"method", compress::kProfileMethod}};
}

Result<std::string> LossLab::profile_row() {
  DOVETAIL_TRY(const Json input, impl_->profile_input());
  return record::row_name("profile", input);
}

Result<compress::LossProfile> LossLab::profile() {
  DOVETAIL_TRY(const eval::TextWindows* text, impl_->text_of(eval::TextPart::kProfile));
  DOVETAIL_TRY(const Json input, impl_->profile_input());
  DOVETAIL_TRY(const Json stored, impl_->memory->remember("profile", input, [&]() -> Result<Json> {
    const std::vector<host::TokenBatch> batches =
        eval::batches_of(*text, std::numeric_limits<int64_t>::max());
    DOVETAIL_TRY(
        const compress::LossProfile made,
        compress::profile(
            impl_->weights, compress::whole_menu(), {text->name, text->digest(), batches.at(0)},
            {.off_grid_seed = impl_->off_grid_seed, .model_digest = impl_->digest, .kv = {}},
            impl_->progress));
    return compress::loss_profile_to_json(made);
  }));
  return compress::loss_profile_from_json(stored, "stored loss profile");
}

Result<const eval::KlReference*> LossLab::Impl::reference_of(eval::TextPart part) {
  if (const auto it = references.find(part); it != references.end()) return &it->second;
  DOVETAIL_TRY(const eval::TextWindows* text_windows, text_of(part));
  DOVETAIL_TRY(eval::KlReference made, eval::KlReference::create(*reference, *text_windows));
  return &references.emplace(part, std::move(made)).first->second;
}

Result<eval::KlStats> LossLab::Impl::measure_now(const recipe::Recipe& recipe,
                                                 eval::TextPart part) {
  if (!treated.has_value()) {
    DOVETAIL_TRY(treated, compress::TreatedModel::create(weights));
  }
  DOVETAIL_TRY(const eval::KlReference* kl, reference_of(part));
  DOVETAIL_TRY([[maybe_unused]] const compress::TreatStats stats, treated->apply(recipe));
  return kl->measure(treated->model());
}

Result<Json> LossLab::Impl::measurement_input(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(const eval::TextWindows* text_windows, text_of(part));
  return Json{{"model", digest}, {"text", text_windows->digest()}, {"recipe", recipe_key(recipe)}};
}

Result<std::string> LossLab::measurement_row(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(const Json input, impl_->measurement_input(recipe, part));
  return record::row_name("kl", input);
}

Result<eval::KlStats> LossLab::measure(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(const Json input, impl_->measurement_input(recipe, part));
  DOVETAIL_TRY(const Json stored, impl_->memory->remember("kl", input, [&]() -> Result<Json> {
    DOVETAIL_TRY(const eval::KlStats stats, impl_->measure_now(recipe, part));
    return eval::kl_stats_to_json(stats);
  }));
  return kl_stats_from(stored);
}

Result<Json> LossLab::additivity(const recipe::Menu& menu) {
  DOVETAIL_TRY(const compress::LossProfile profiled, profile());
  // A quarter uniform recipes, the rest mixed.
  const int64_t uniform = impl_->validation_recipes / 4;
  DOVETAIL_TRY(const std::vector<compress::RandomRecipe> recipes,
               compress::draw_recipes(
                   shape(), menu,
                   {.num_mixed = impl_->validation_recipes - uniform, .num_uniform = uniform}));
  std::vector<compress::AdditivitySample> samples;
  std::vector<std::string> rows;
  for (const compress::RandomRecipe& drawn : recipes) {
    report_progress(impl_->progress, "testing the loss prediction on whole recipes",
                    static_cast<double>(samples.size()) / static_cast<double>(recipes.size()));
    DOVETAIL_TRY(const double predicted, compress::predict_loss(profiled, drawn.recipe));
    DOVETAIL_TRY(const eval::KlStats measured, measure(drawn.recipe, eval::TextPart::kSelect));
    samples.push_back({.name = drawn.name,
                       .bits_per_weight = recipe::bits_per_weight(shape(), drawn.recipe),
                       .predicted_nats_per_token = predicted,
                       .measured_nats_per_token = measured.kl_nats_per_token});
    DOVETAIL_TRY(std::string row, measurement_row(drawn.recipe, eval::TextPart::kSelect));
    rows.push_back(std::move(row));
  }
  DOVETAIL_TRY(const compress::AdditivityStats stats, compress::additivity_of(std::move(samples)));
  Json json = compress::additivity_to_json(stats);
  for (size_t i = 0; i < rows.size(); ++i) json["recipes"][i]["row"] = rows[i];
  return json;
}

Result<Json> LossLab::describe_texts() {
  Json json;
  for (const eval::TextPart part :
       {eval::TextPart::kProfile, eval::TextPart::kSelect, eval::TextPart::kCertify}) {
    DOVETAIL_TRY(const eval::TextWindows* text, impl_->text_of(part));
    json[std::string(eval::text_part_name(part))] = {{"description", text->name},
                                                     {"num_tokens", text->num_scored()},
                                                     {"digest", text->digest()}};
  }
  return json;
}

}  // namespace dovetail::study
