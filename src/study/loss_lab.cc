#include "study/loss_lab.h"

#include <chrono>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/paths.h"
#include "compress/profile.h"
#include "compress/rotate.h"
#include "model/off_grid.h"
#include "model/zoo.h"
#include "study/loss_lab_impl.h"

namespace dovetail::study {

namespace {

host::TokenBatch whole_batch(const eval::TextWindows& text) {
  return eval::batches_of(text, std::numeric_limits<int64_t>::max()).at(0);
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
  const bool permutes = impl->off_grid_seed != 0;
  // Reading all weights once more is for those who ask benchmarks.
  if (permutes && !config.accuracy.empty()) impl->released_digest = model::weights_digest(weights);
  if (permutes) model::permute_off_grid(weights, impl->off_grid_seed);
  impl->digest = model::weights_digest(weights);
  if (!permutes) impl->released_digest = impl->digest;
  impl->weights = std::make_shared<const model::Weights>(std::move(weights));
  impl->text = config.text;
  impl->validation_recipes = config.validation_recipes;
  impl->memory = &memory;
  impl->progress = progress;
  DOVETAIL_TRY(const recipe::Menu menu, make_menu(config.menu));
  impl->calibrated = compress::calibrated_treatments(menu);
  DOVETAIL_TRY(impl->reference, host::HostModel::create(impl->weights));
  return LossLab(std::move(impl));
}

// What another rotation needed goes first.
Result<Turned*> LossLab::Impl::turn(recipe::Rotation rotation) {
  if (turned.has_value() && turned->rotation == rotation) return &*turned;
  turned.reset();
  if (rotation == recipe::Rotation::kNone) {
    turned.emplace(Turned{.rotation = rotation, .weights = weights, .model = *reference});
    return &*turned;
  }
  report_progress(progress, fmt::format("rotating by {}", recipe::rotation_name(rotation)), 0);
  auto made = std::make_shared<const model::Weights>(compress::rotate(*weights, rotation));
  DOVETAIL_TRY(host::HostModel model, host::HostModel::create(made));
  turned.emplace(
      Turned{.rotation = rotation, .weights = std::move(made), .model = std::move(model)});
  return &*turned;
}

Result<eval::TextWindows> LossLab::Impl::make_text(eval::TextPart part) {
  if (!text.file.empty()) {
    DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(model_path));
    std::vector<int64_t> counts = {text.profile_sequences, text.select_sequences,
                                   text.certify_sequences};
    if (part == eval::TextPart::kCalibrate) counts.push_back(text.calibrate_sequences);
    const int64_t wanted = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    DOVETAIL_TRY(const eval::TextWindows all,
                 eval::windows_of_file(tokenizer, text.file, text.sequence_tokens, wanted));
    return eval::part_of_text(all, counts, part);
  }
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(model_path));
  const std::map<eval::TextPart, int64_t> sequences = {
      {eval::TextPart::kProfile, text.profile_sequences},
      {eval::TextPart::kSelect, text.select_sequences},
      {eval::TextPart::kCertify, text.certify_sequences},
      {eval::TextPart::kCalibrate, text.calibrate_sequences}};
  return eval::sample_text(*reference, tokenizer.bos_id(), part,
                           {.num_sequences = sequences.at(part),
                            .length = text.sequence_tokens,
                            .seed = static_cast<uint64_t>(text.seed)},
                           progress);
}

Piece LossLab::text_piece(eval::TextPart part) {
  Json input = to_json(impl_->text);
  // Other parts do not depend on how much text algorithms see.
  if (part != eval::TextPart::kCalibrate) input.erase("calibrate_sequences");
  input["model"] = impl_->digest;
  input["part"] = std::string(eval::text_part_name(part));
  const auto compute = [impl = impl_.get(), part]() -> Result<Json> {
    DOVETAIL_TRY(const eval::TextWindows made, impl->make_text(part));
    return eval::text_to_json(made);
  };
  return {.kind = "text", .input = std::move(input), .compute = compute, .shared = true};
}

Result<const eval::TextWindows*> LossLab::text_of(eval::TextPart part) {
  auto& texts = impl_->texts;
  if (const auto it = texts.find(part); it != texts.end()) return &it->second;
  DOVETAIL_TRY(const Json stored, impl_->memory->remember(text_piece(part)));
  DOVETAIL_TRY(eval::TextWindows windows, eval::text_from_json(stored, "stored text"));
  return &texts.emplace(part, std::move(windows)).first->second;
}

Piece LossLab::Impl::linears_piece(const Json& input, const eval::TextWindows& profile_text,
                                   recipe::Rotation rotation) {
  const auto compute = [this, &profile_text, rotation]() -> Result<Json> {
    DOVETAIL_TRY(const Turned* model, turn(rotation));
    DOVETAIL_TRY(const compress::LossProfile made,
                 compress::profile_linears(
                     model->weights, compress::whole_menu(),
                     {profile_text.name, profile_text.digest(), whole_batch(profile_text)},
                     {.off_grid_seed = off_grid_seed, .model_digest = digest, .kv = {}}, progress));
    return compress::loss_profile_to_json(made);
  };
  return {.kind = "profile_linears", .input = input, .compute = compute};
}

Piece LossLab::Impl::kv_piece(const Json& input, const eval::TextWindows& profile_text,
                              recipe::Rotation rotation, int64_t layer) {
  const auto compute = [this, &profile_text, rotation, layer]() -> Result<Json> {
    const auto start = std::chrono::steady_clock::now();
    DOVETAIL_TRY(Turned* const model, turn(rotation));
    if (!model->injector.has_value()) {
      DOVETAIL_TRY(model->injector,
                   compress::KvInjector::create(model->model, whole_batch(profile_text),
                                                compress::whole_menu().kv, {}));
    }
    report_progress(progress, "injecting kv, by layer",
                    static_cast<double>(layer) / static_cast<double>(weights->shape.num_layers));
    DOVETAIL_TRY(const compress::LossByName losses, model->injector->losses_of(layer));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return Json{{"loss_nats_per_token", losses},
                {"num_positions", model->injector->num_positions()},
                {"seconds", took.count()}};
  };
  Json key = input;
  key["layer"] = layer;
  return {.kind = "profile_kv", .input = std::move(key), .compute = compute};
}

// The linears are one long piece, so they come first.
std::vector<Piece> LossLab::Impl::parts_of_profile(const Json& input,
                                                   const eval::TextWindows& profile_text,
                                                   recipe::Rotation rotation) {
  std::vector<Piece> parts = {linears_piece(input, profile_text, rotation)};
  for (int64_t layer = 0; layer < weights->shape.num_layers; ++layer) {
    parts.push_back(kv_piece(input, profile_text, rotation, layer));
  }
  return parts;
}

// Raised when the same inputs give other versions.
constexpr int kVersionsMethod = 1;
constexpr int64_t kHeadPositions = 256;  // at which the head's ratio is measured

// Of keys that depend on the weights; the model as it is has none.
void add_rotation(recipe::Rotation rotation, Json& key) {
  if (rotation != recipe::Rotation::kNone) key["rotation"] = recipe::rotation_name(rotation);
}

Json LossLab::Impl::versions_key(recipe::Rotation rotation, int64_t layer) const {
  Json treatments = Json::array();
  for (const auto& treatment : calibrated)
    treatments.push_back(recipe::weight_treatment_name(treatment));
  Json key = {{"model", digest},
              {"text", texts.at(eval::TextPart::kCalibrate).digest()},
              {"method", kVersionsMethod},
              {"treatments", treatments},
              {"layer", layer}};
  add_rotation(rotation, key);
  return key;
}

// Beside the shared results: other studies of the model find them there.
std::string LossLab::Impl::versions_file(recipe::Rotation rotation, int64_t layer) const {
  return fmt::format("{}/versions/{}", cache_folder(),
                     sha256_hex(versions_key(rotation, layer).dump()));
}

Result<compress::SiteVersions> LossLab::Impl::make_versions(recipe::Rotation rotation,
                                                            int64_t layer) {
  const host::TokenBatch tokens = whole_batch(texts.at(eval::TextPart::kCalibrate));
  DOVETAIL_TRY(Turned* const from, turn(rotation));
  report_progress(progress, "running the menu's algorithms, by layer",
                  static_cast<double>(layer) / static_cast<double>(weights->shape.num_layers + 1));
  DOVETAIL_TRY(compress::SiteVersions made, [&]() -> Result<compress::SiteVersions> {
    if (layer == weights->shape.num_layers)
      return compress::versions_of_head(from->model, tokens, calibrated, kHeadPositions);
    if (!from->layer_inputs.has_value()) {
      DOVETAIL_TRY(from->layer_inputs, from->model.layer_inputs(tokens));
    }
    return compress::versions_of_layer(
        from->model, layer, tokens, from->layer_inputs->at(static_cast<size_t>(layer)), calibrated);
  }());
  const std::string file = versions_file(rotation, layer);
  std::error_code code;
  std::filesystem::create_directories(std::filesystem::path(file).parent_path(), code);
  DOVETAIL_TRY_STATUS(compress::save_block(file, made.block));
  return made;
}

Piece LossLab::Impl::versions_piece(recipe::Rotation rotation, int64_t layer) {
  const auto compute = [this, rotation, layer]() -> Result<Json> {
    DOVETAIL_TRY(const compress::SiteVersions made, make_versions(rotation, layer));
    Json list = Json::array();
    for (const compress::SiteVersion& version : made.versions) {
      list.push_back({{"site", version.site},
                      {"treatment", version.treatment},
                      {"loss_ratio", version.loss_ratio},
                      {"activation_ratio", version.activation_ratio},
                      {"seconds", version.seconds}});
    }
    return list;
  };
  return {.kind = "versions",
          .input = versions_key(rotation, layer),
          .compute = compute,
          .shared = true};
}

// A file that is gone or damaged is made again.
Result<compress::SiteWeights> LossLab::Impl::values_of(Turned& from, int64_t site,
                                                       const recipe::LinearTreatment& treatment) {
  const recipe::Site at = recipe::site_at(weights->shape, site);
  const int64_t layer = at.layer < 0 ? weights->shape.num_layers : at.layer;
  auto found = from.blocks.find(layer);
  if (found == from.blocks.end()) {
    Result<compress::SavedBlock> block = compress::load_block(versions_file(from.rotation, layer));
    if (!block.has_value()) {
      DOVETAIL_TRY(compress::SiteVersions made, make_versions(from.rotation, layer));
      block = std::move(made.block);
    }
    found = from.blocks.emplace(layer, std::move(*block)).first;
  }
  return compress::values_of_version(found->second, at.kind, treatment);
}

Result<std::vector<Piece>> LossLab::versions_pieces(recipe::Rotation rotation) {
  std::vector<Piece> pieces;
  if (impl_->calibrated.empty()) return pieces;
  DOVETAIL_TRY([[maybe_unused]] const eval::TextWindows* text, text_of(eval::TextPart::kCalibrate));
  for (int64_t layer = 0; layer <= shape().num_layers; ++layer)
    pieces.push_back(impl_->versions_piece(rotation, layer));
  return pieces;
}

bool LossLab::has_algorithms() const {
  return !impl_->calibrated.empty();
}

Json LossLab::algorithm_times() const {
  Json times = Json::object();
  for (const auto& [rotation, known] : impl_->learnt) {
    const std::string turned = rotation == recipe::Rotation::kNone
                                   ? ""
                                   : fmt::format("+r:{}", recipe::rotation_name(rotation));
    for (const auto& [treatment, seconds] : known.algorithm_s)
      times[fmt::format("compress_{}{}_s", treatment, turned)] = seconds;
  }
  return times;
}

Json LossLab::profile_key(const eval::TextWindows& text, recipe::Rotation rotation) const {
  Json key = {
      {"model", impl_->digest}, {"text", text.digest()}, {"method", compress::kProfileMethod}};
  add_rotation(rotation, key);
  return key;
}

Result<std::vector<Piece>> LossLab::profile_pieces(recipe::Rotation rotation) {
  DOVETAIL_TRY(const eval::TextWindows* text, text_of(eval::TextPart::kProfile));
  const Json input = profile_key(*text, rotation);
  DOVETAIL_TRY(const std::optional<Json> whole, impl_->memory->find("profile", input));
  if (whole.has_value()) return std::vector<Piece>();
  return impl_->parts_of_profile(input, *text, rotation);
}

Result<std::string> LossLab::profile_row(recipe::Rotation rotation) {
  DOVETAIL_TRY(const eval::TextWindows* text, text_of(eval::TextPart::kProfile));
  return record::row_name("profile", profile_key(*text, rotation));
}

Result<compress::LossProfile> LossLab::profile_of_formats(recipe::Rotation rotation) {
  DOVETAIL_TRY(const eval::TextWindows* text, text_of(eval::TextPart::kProfile));
  const Json input = profile_key(*text, rotation);
  const auto join = [&]() -> Result<Json> {
    DOVETAIL_TRY(const std::vector<Json> parts,
                 impl_->memory->remember_all(impl_->parts_of_profile(input, *text, rotation)));
    Json whole = parts.at(0);
    Json by_layer = Json::array();
    double kv_s = 0;
    for (size_t i = 1; i < parts.size(); ++i) {
      by_layer.push_back(parts[i].at("loss_nats_per_token"));
      kv_s += parts[i].at("seconds").get<double>();
      whole["num_kv_positions"] = parts[i].at("num_positions");
    }
    whole["kv_loss_nats_per_token"] = std::move(by_layer);
    whole["kv_s"] = kv_s;
    return whole;
  };
  DOVETAIL_TRY(const Json stored,
               impl_->memory->remember(
                   {.kind = "profile", .input = input, .compute = join, .shared = true}));
  if (impl_->turned.has_value()) impl_->turned->injector.reset();
  return compress::loss_profile_from_json(stored, "stored loss profile");
}

namespace {

// stored: of the layers and the head, none where the menu has no algorithms.
Result<Learnt> with_versions(compress::LossProfile formats, const std::vector<Json>& stored) {
  Learnt learnt{.profile = std::move(formats), .algorithm_s = {}};
  if (stored.empty()) return learnt;
  std::vector<std::vector<compress::SiteVersion>> versions;
  for (const Json& layer : stored) {
    std::vector<compress::SiteVersion>& list = versions.emplace_back();
    for (const Json& version : layer) {
      list.push_back(
          {.site = version.at("site").get<std::string>(),
           .treatment = version.at("treatment").get<std::string>(),
           .loss_ratio = version.at("loss_ratio").get<double>(),
           .seconds = version.at("seconds").get<double>(),
           .activation_ratio = version.value("activation_ratio", std::map<std::string, double>())});
      learnt.algorithm_s[list.back().treatment] += list.back().seconds;
    }
  }
  DOVETAIL_TRY_STATUS(compress::add_versions(learnt.profile, versions));
  return learnt;
}

}  // namespace

Result<compress::LossProfile> LossLab::profile(recipe::Rotation rotation) {
  if (const auto known = impl_->learnt.find(rotation); known != impl_->learnt.end())
    return known->second.profile;
  DOVETAIL_TRY(compress::LossProfile formats, profile_of_formats(rotation));
  DOVETAIL_TRY(const std::vector<Piece> pieces, versions_pieces(rotation));
  DOVETAIL_TRY(const std::vector<Json> versions, impl_->memory->remember_all(pieces));
  if (impl_->turned.has_value()) impl_->turned->layer_inputs.reset();
  DOVETAIL_TRY(Learnt known, with_versions(std::move(formats), versions));
  return impl_->learnt.emplace(rotation, std::move(known)).first->second.profile;
}

Result<Json> LossLab::describe_texts() {
  Json json;
  std::vector<eval::TextPart> parts = {eval::TextPart::kProfile, eval::TextPart::kSelect,
                                       eval::TextPart::kCertify};
  if (!impl_->calibrated.empty()) parts.push_back(eval::TextPart::kCalibrate);
  for (const eval::TextPart part : parts) {
    DOVETAIL_TRY(const eval::TextWindows* text, text_of(part));
    json[std::string(eval::text_part_name(part))] = {{"description", text->name},
                                                     {"num_tokens", text->num_scored()},
                                                     {"digest", text->digest()}};
  }
  return json;
}

}  // namespace dovetail::study
