// LossLab: recipes measured whole.
#include <fmt/format.h>

#include "study/loss_lab_impl.h"

namespace dovetail::study {
namespace {

constexpr int64_t kTreatedCacheBytes = int64_t{256} << 20;

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

Result<const eval::KlReference*> LossLab::Impl::reference_of(eval::TextPart part) {
  if (const auto it = references.find(part); it != references.end()) return &it->second;
  DOVETAIL_TRY(eval::KlReference made, eval::KlReference::create(*reference, texts.at(part)));
  return &references.emplace(part, std::move(made)).first->second;
}

Result<const host::HostModel*> LossLab::Impl::treat(recipe::Recipe& recipe) {
  DOVETAIL_TRY(Turned* const from, turn(recipe.rotation));
  recipe.rotation = recipe::Rotation::kNone;  // done
  if (!from->treated.has_value()) {
    compress::SiteValues versions;
    if (!calibrated.empty()) {
      versions = [this, from](int64_t site, const recipe::LinearTreatment& treatment) {
        return values_of(*from, site, treatment);
      };
    }
    DOVETAIL_TRY(from->treated,
                 compress::TreatedModel::create(from->weights, kTreatedCacheBytes, versions));
  }
  DOVETAIL_TRY([[maybe_unused]] const compress::TreatStats stats, from->treated->apply(recipe));
  return &from->treated->model();
}

Result<eval::KlStats> LossLab::Impl::measure_now(recipe::Recipe recipe, eval::TextPart part) {
  DOVETAIL_TRY(const host::HostModel* treated, treat(recipe));
  DOVETAIL_TRY(const eval::KlReference* kl, reference_of(part));
  return kl->measure(*treated);
}

Result<Json> LossLab::Impl::measure_chip_sums_now(recipe::Recipe recipe,
                                                  const host::AlignedSums& sums) {
  DOVETAIL_TRY(const host::HostModel* treated, treat(recipe));
  Json result = {{"depth", sums.depth}, {"align_bits", sums.align_bits}};
  host::HostModel chip = *treated;
  if (const Status summed = chip.sum_as_chip(sums, recipe); !summed.has_value()) {
    result["why_not"] = summed.error().message;
    return result;
  }
  DOVETAIL_TRY(const eval::KlReference* kl, reference_of(eval::TextPart::kCertify));
  DOVETAIL_TRY(const eval::KlStats stats, kl->measure(chip));
  result["matrices"] = chip.products()->matrices();
  result["kl"] = eval::kl_stats_to_json(stats);
  return result;
}

Result<Json> LossLab::measurement_key(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(const eval::TextWindows* text, text_of(part));
  Json key = {{"model", impl_->digest}, {"text", text->digest()}, {"recipe", recipe_key(recipe)}};
  // Versions are a matter of the calibration text as well.
  if (recipe::needs_calibration(recipe)) {
    DOVETAIL_TRY(const eval::TextWindows* calibration, text_of(eval::TextPart::kCalibrate));
    key["calibration"] = calibration->digest();
  }
  return key;
}

Result<LossLab::ChipSums> LossLab::measure_chip_sums(const recipe::Recipe& recipe,
                                                     const host::AlignedSums& sums) {
  DOVETAIL_TRY(Json input, measurement_key(recipe, eval::TextPart::kCertify));
  input["sums"] = {{"depth", sums.depth}, {"align_bits", sums.align_bits}};
  const auto compute = [impl = impl_.get(), recipe, sums] {
    return impl->measure_chip_sums_now(recipe, sums);
  };
  const Piece piece = {
      .kind = "chip_sums", .input = std::move(input), .compute = compute, .shared = true};
  DOVETAIL_TRY(Json result, impl_->memory->remember(piece));
  return ChipSums{std::move(result), record::row_name(piece.kind, piece.input)};
}

Result<Piece> LossLab::measure_piece(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(Json input, measurement_key(recipe, part));
  const auto compute = [impl = impl_.get(), recipe, part]() -> Result<Json> {
    DOVETAIL_TRY(const eval::KlStats stats, impl->measure_now(recipe, part));
    return eval::kl_stats_to_json(stats);
  };
  return Piece{.kind = "kl", .input = std::move(input), .compute = compute, .shared = true};
}

Result<std::string> LossLab::measurement_row(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(const Piece piece, measure_piece(recipe, part));
  return record::row_name(piece.kind, piece.input);
}

Result<eval::KlStats> LossLab::measure(const recipe::Recipe& recipe, eval::TextPart part) {
  DOVETAIL_TRY(const Piece piece, measure_piece(recipe, part));
  DOVETAIL_TRY(const Json stored, impl_->memory->remember(piece));
  return kl_stats_from(stored);
}

// A quarter uniform recipes, the rest mixed; the same for every rotation but for it.
Result<std::vector<compress::RandomRecipe>> LossLab::Impl::validation(
    const recipe::Menu& menu, recipe::Rotation rotation) const {
  const int64_t uniform = validation_recipes / 4;
  DOVETAIL_TRY(
      std::vector<compress::RandomRecipe> recipes,
      compress::draw_recipes(weights->shape, menu,
                             {.num_mixed = validation_recipes - uniform, .num_uniform = uniform}));
  if (rotation == recipe::Rotation::kNone) return recipes;
  for (compress::RandomRecipe& drawn : recipes) {
    drawn.recipe.rotation = rotation;
    drawn.name += fmt::format(" +r:{}", recipe::rotation_name(rotation));
  }
  return recipes;
}

Result<std::vector<Piece>> LossLab::additivity_pieces(
    const recipe::Menu& menu, const std::vector<recipe::Rotation>& rotations) {
  std::vector<Piece> pieces;
  if (impl_->validation_recipes == 0) return pieces;
  for (const recipe::Rotation rotation : rotations) {
    DOVETAIL_TRY(const std::vector<compress::RandomRecipe> recipes,
                 impl_->validation(menu, rotation));
    for (const compress::RandomRecipe& drawn : recipes) {
      DOVETAIL_TRY(Piece piece, measure_piece(drawn.recipe, eval::TextPart::kSelect));
      pieces.push_back(std::move(piece));
    }
  }
  return pieces;
}

Result<Json> LossLab::additivity(const recipe::Menu& menu,
                                 const std::vector<recipe::Rotation>& rotations) {
  std::vector<compress::AdditivitySample> all;
  std::vector<std::string> rows;
  Json by_rotation = Json::object();
  for (const recipe::Rotation rotation : rotations) {
    DOVETAIL_TRY(const compress::LossProfile profiled, profile(rotation));
    DOVETAIL_TRY(const std::vector<compress::RandomRecipe> recipes,
                 impl_->validation(menu, rotation));
    std::vector<compress::AdditivitySample> samples;
    for (const compress::RandomRecipe& drawn : recipes) {
      report_progress(impl_->progress, "testing the loss prediction on whole recipes",
                      static_cast<double>(samples.size()) / static_cast<double>(recipes.size()));
      DOVETAIL_TRY(const double predicted, compress::predict_loss(profiled, drawn.recipe));
      DOVETAIL_TRY(const eval::KlStats measured, measure(drawn.recipe, eval::TextPart::kSelect));
      DOVETAIL_TRY(compress::LossByName parts, compress::loss_by_algorithm(profiled, drawn.recipe));
      samples.push_back({.name = drawn.name,
                         .bits_per_weight = recipe::bits_per_weight(shape(), drawn.recipe),
                         .predicted_nats_per_token = predicted,
                         .measured_nats_per_token = measured.kl_nats_per_token,
                         .by_algorithm = std::move(parts)});
      DOVETAIL_TRY(std::string row, measurement_row(drawn.recipe, eval::TextPart::kSelect));
      rows.push_back(std::move(row));
    }
    all.insert(all.end(), samples.begin(), samples.end());
    DOVETAIL_TRY(const compress::AdditivityStats alone,
                 compress::additivity_of(std::move(samples)));
    Json& json = by_rotation[std::string(recipe::rotation_name(rotation))];
    json = compress::additivity_to_json(alone);
    json.erase("recipes");
  }
  DOVETAIL_TRY(const compress::AdditivityStats stats, compress::additivity_of(std::move(all)));
  Json json = compress::additivity_to_json(stats);
  for (size_t i = 0; i < rows.size(); ++i) json["recipes"][i]["row"] = rows[i];
  json["by_rotation"] = std::move(by_rotation);
  return json;
}

}  // namespace dovetail::study
