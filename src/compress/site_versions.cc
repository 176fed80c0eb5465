#include "compress/site_versions.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "compress/fold.h"
#include "compress/layer_compressor.h"
#include "compress/round_matrix.h"
#include "compress/site_matrix.h"
#include "compress/spread_rows.h"
#include "formats/activation.h"
#include "formats/pack.h"
#include "formats/unpack.h"
#include "host/layer_ops.h"
#include "host/symmetric.h"
#include "host/transformer_layer.h"

namespace dovetail::compress {
namespace {

using recipe::LinearTreatment;
using recipe::SiteKind;

std::string part_name(std::string_view site, const LinearTreatment& treatment, size_t part) {
  return fmt::format("{} {}.{}", site, recipe::weight_treatment_name(treatment), part);
}

LinearTreatment nearest_of(const LinearTreatment& treatment) {
  return {.weight = treatment.weight};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

recipe::Recipe untreated(const model::ModelShape& shape) {
  recipe::Recipe recipe;
  recipe.layers.resize(static_cast<size_t>(shape.num_layers));
  return recipe;
}

std::string fold_of(std::string_view site, const LinearTreatment& treatment) {
  return fmt::format("{} {}.fold", site, recipe::weight_treatment_name(treatment));
}

// A part of a site, rounded and packed.
struct RoundedPart {
  formats::PackedRows packed;
  std::vector<float> values;
  double error = 0;  // E of the header
};

Result<RoundedPart> round_part(const LinearTreatment& treatment, const VersionParams& params,
                               const model::Matrix& w, const std::vector<float>& moments) {
  RoundedPart part;
  DOVETAIL_TRY(GptqResult written, round_matrix(treatment, params.gptq, w, moments));
  part.error = output_error(w, written.values, moments);
  part.packed = formats::pack_rows(treatment.weight, params.gptq.rounding.ties, written.scales,
                                   w.rows, w.cols, written.values.data());
  part.values = std::move(written.values);
  return part;
}

// Scales of a fold; empty without one.
Result<std::vector<float>> fold_scales(const model::ModelShape& shape, SiteKind kind,
                                       const LinearTreatment& treatment,
                                       const VersionParams& params,
                                       const model::LayerWeights& layer, const SiteInputs& inputs) {
  if (treatment.fold == recipe::Fold::kNone) return std::vector<float>();
  std::vector<const model::Matrix*> matrices;
  for (const SiteMember& member : site_members(kind)) matrices.push_back(&(layer.*member.matrix));
  DOVETAIL_TRY(const std::vector<int64_t> producer, producer_channels(shape, kind));
  if (treatment.fold == recipe::Fold::kSmooth)
    return smooth_scales(params.smooth_alpha, matrices, inputs, producer);
  const AwqParams awq{.rounding = params.gptq.rounding,
                      .weigh_scales = treatment.algorithm != recipe::Algorithm::kNearest};
  DOVETAIL_TRY(AwqScales found, awq_scales(treatment.weight, awq, matrices, inputs, producer));
  return std::move(found.scales);
}

// Rows of x (any, k), column j times s_j.
void scale_columns(const std::vector<float>& s, std::vector<float>& x) {
  for (size_t i = 0; i < x.size(); ++i) x[i] *= s[i % s.size()];
}

std::vector<float> inverse(const std::vector<float>& s) {
  std::vector<float> inverted;
  for (const float scale : s) inverted.push_back(1 / scale);
  return inverted;
}

// E[(x / s)(x / s)^T] from E[x x^T].
std::vector<float> divided_moments(std::vector<float> moments, const std::vector<float>& s) {
  const std::vector<float> by = inverse(s);
  scale_columns(by, moments);
  for (size_t i = 0; i < moments.size(); ++i) moments[i] *= by[i / s.size()];
  return moments;
}

// A(x, W) of the header, by energy |W_j|^2 of every channel.
double rounding_loss(formats::ActivationFormat format, const std::vector<double>& energy,
                     const model::Matrix& x) {
  std::vector<float> rounded = x.values;
  host::round_activations(format, x.rows, x.cols, rounded.data());
  double loss = 0;
  for (size_t i = 0; i < rounded.size(); ++i) {
    const double error = static_cast<double>(rounded[i]) - static_cast<double>(x.values[i]);
    loss += energy[i % energy.size()] * error * error;
  }
  return loss;
}

std::map<std::string, double> activation_ratios(const model::Matrix& w, const model::Matrix& sample,
                                                const std::vector<float>& s) {
  std::vector<double> energy(s.size());
  for (size_t i = 0; i < w.values.size(); ++i)
    energy[i % s.size()] += static_cast<double>(w.values[i]) * static_cast<double>(w.values[i]);
  std::vector<double> folded_energy = energy;
  for (size_t j = 0; j < s.size(); ++j)
    folded_energy[j] *= static_cast<double>(s[j]) * static_cast<double>(s[j]);
  model::Matrix divided = sample;
  scale_columns(inverse(s), divided.values);
  std::map<std::string, double> ratios;
  for (const formats::ActivationFacts& facts : formats::all_activation_formats()) {
    if (facts.format == formats::ActivationFormat::kBf16 || facts.is_static) continue;
    const double plain = rounding_loss(facts.format, energy, sample);
    const double folded = rounding_loss(facts.format, folded_energy, divided);
    ratios[std::string(facts.name)] = plain > 0 ? folded / plain : 1;
  }
  return ratios;
}

// One treatment at one site.
Status add_version(const model::ModelShape& shape, SiteKind kind, const LinearTreatment& treatment,
                   const VersionParams& params, const model::LayerWeights& layer,
                   const SiteInputs& inputs, SiteVersions& made) {
  const auto start = std::chrono::steady_clock::now();
  const std::string site(recipe::site_kind_name(kind));
  DOVETAIL_TRY(std::vector<float> s, fold_scales(shape, kind, treatment, params, layer, inputs));
  const bool folds = !s.empty();
  const std::vector<float> divided =
      folds ? divided_moments(inputs.moments, s) : std::vector<float>();
  const std::vector<float>& moments = folds ? divided : inputs.moments;
  double error = 0;
  double nearest_error = 0;
  size_t index = 0;
  for (const std::vector<SiteMember>& members : site_parts(kind, treatment.weight)) {
    model::Matrix w = stacked(layer, members);
    DOVETAIL_TRY(const GptqResult nearest,
                 round_matrix(nearest_of(treatment), params.gptq, w, inputs.moments));
    nearest_error += output_error(w, nearest.values, inputs.moments);
    if (folds) scale_columns(s, w.values);
    DOVETAIL_TRY(RoundedPart part, round_part(treatment, params, w, moments));
    error += part.error;
    made.block.packed.push_back({part_name(site, treatment, index++), std::move(part.packed)});
  }
  SiteVersion version{.site = site,
                      .treatment = recipe::weight_treatment_name(treatment),
                      .loss_ratio = nearest_error > 0 ? error / nearest_error : 1,
                      .seconds = seconds_since(start)};
  if (folds) {
    version.activation_ratio =
        activation_ratios(stacked(layer, site_members(kind)), inputs.sample, s);
    made.block.plain.push_back({fold_of(site, treatment), std::move(s)});
  }
  made.versions.push_back(std::move(version));
  return {};
}

Result<double> mean_kl(const model::Matrix& logits, const host::HostModel& treated,
                       const model::Matrix& hidden) {
  DOVETAIL_TRY(const host::KlResult kl, host::kl_divergence(logits, treated, hidden));
  return std::accumulate(kl.kl_nats_per_position.begin(), kl.kl_nats_per_position.end(), 0.0);
}

}  // namespace

std::vector<LinearTreatment> calibrated_treatments(const recipe::Menu& menu) {
  std::vector<LinearTreatment> treatments;
  for (const LinearTreatment& treatment : menu.linear) {
    const LinearTreatment weights{
        .weight = treatment.weight, .algorithm = treatment.algorithm, .fold = treatment.fold};
    const bool calibrated = needs_moments(weights) || weights.fold != recipe::Fold::kNone;
    if (calibrated && std::ranges::find(treatments, weights) == treatments.end())
      treatments.push_back(weights);
  }
  return treatments;
}

Result<SiteVersions> versions_of_layer(const host::HostModel& reference, int64_t layer,
                                       const host::TokenBatch& tokens, const model::Matrix& input,
                                       const std::vector<LinearTreatment>& treatments,
                                       const VersionParams& params) {
  const recipe::Recipe recipe = untreated(reference.shape());
  LayerParams walk;
  walk.rows_at_once = params.rows_at_once;
  DOVETAIL_TRY(LayerCompressor compressor,
               LayerCompressor::create(reference.shape(), recipe, tokens, walk));
  DOVETAIL_TRY_STATUS(compressor.hidden().write(0, tokens.rows(), input.values.data()));
  SiteVersions made;
  const LayerCompressor::LookAtSite look = [&](SiteKind kind, const SiteInputs& inputs) -> Status {
    for (const LinearTreatment& treatment : treatments) {
      const Status added = add_version(reference.shape(), kind, treatment, params,
                                       reference.layer(layer), inputs, made);
      if (!added.has_value())
        return with_context(added.error(), std::string(recipe::site_kind_name(kind)));
    }
    return {};
  };
  DOVETAIL_TRY_STATUS(compressor.observe(layer, reference.layer(layer), look));
  return made;
}

Result<SiteVersions> versions_of_head(const host::HostModel& reference,
                                      const host::TokenBatch& tokens,
                                      const std::vector<LinearTreatment>& treatments,
                                      int64_t scored_positions, const VersionParams& params) {
  DOVETAIL_TRY(const model::Matrix all_hidden, reference.hidden_states(tokens));
  host::Gram gram(all_hidden.cols);
  gram.add(all_hidden.rows, all_hidden.values.data());
  const std::vector<float> moments = std::move(gram).take_mean();
  const model::Matrix hidden =
      pick_rows(all_hidden, spread_rows(all_hidden.rows, scored_positions));
  DOVETAIL_TRY(const model::Matrix logits, reference.logits(hidden));
  host::HostModel treated = reference;
  const auto rounded = std::make_shared<model::Matrix>(reference.head());
  DOVETAIL_TRY_STATUS(treated.replace_head(rounded));
  SiteVersions made;
  for (const LinearTreatment& treatment : treatments) {
    if (treatment.fold != recipe::Fold::kNone) continue;
    const auto start = std::chrono::steady_clock::now();
    auto part = round_part(treatment, params, reference.head(), moments);
    if (!part.has_value()) return with_context(part.error(), "head");
    rounded->values = std::move(part->values);
    DOVETAIL_TRY(const double kl, mean_kl(logits, treated, hidden));
    DOVETAIL_TRY(GptqResult nearest,
                 round_matrix(nearest_of(treatment), params.gptq, reference.head(), moments));
    rounded->values = std::move(nearest.values);
    DOVETAIL_TRY(const double nearest_kl, mean_kl(logits, treated, hidden));
    made.block.packed.push_back({part_name("head", treatment, 0), std::move(part->packed)});
    made.versions.push_back({.site = "head",
                             .treatment = recipe::weight_treatment_name(treatment),
                             .loss_ratio = nearest_kl > 0 ? std::max(0.0, kl) / nearest_kl : 1,
                             .seconds = seconds_since(start)});
  }
  return made;
}

Result<SiteWeights> values_of_version(const SavedBlock& block, SiteKind kind,
                                      const LinearTreatment& treatment) {
  SiteWeights weights;
  const std::string_view site = recipe::site_kind_name(kind);
  for (size_t part = 0;; ++part) {
    const std::string name = part_name(site, treatment, part);
    const auto found = std::ranges::find(block.packed, name, &SavedBlock::Packed::name);
    if (found == block.packed.end()) break;
    DOVETAIL_TRY(const std::vector<float> more, formats::unpack_rows(found->rows));
    weights.values.insert(weights.values.end(), more.begin(), more.end());
  }
  if (weights.values.empty()) {
    return invalid_argument(fmt::format("{}: no version for {} was made", site,
                                        recipe::weight_treatment_name(treatment)));
  }
  const auto fold =
      std::ranges::find(block.plain, fold_of(site, treatment), &SavedBlock::Plain::name);
  if (fold == block.plain.end()) return weights;
  weights.fold = fold->values;
  scale_columns(inverse(weights.fold), weights.values);
  return weights;
}

Status add_versions(LossProfile& profile, const std::vector<std::vector<SiteVersion>>& versions) {
  DOVETAIL_CHECK(std::ssize(versions) == profile.num_layers + 1);
  for (size_t layer = 0; layer < versions.size(); ++layer) {
    for (const SiteVersion& version : versions[layer]) {
      size_t site = layer * static_cast<size_t>(recipe::kSitesPerLayer);
      for (int64_t kind = 0; version.site != "head" && kind < 4; ++kind)
        if (recipe::site_kind_name(static_cast<SiteKind>(kind)) == version.site)
          site += static_cast<size_t>(kind);
      LossByName& losses = profile.weight_loss.at(site);
      DOVETAIL_TRY(const LinearTreatment treatment,
                   recipe::parse_linear_treatment(version.treatment));
      const std::string format = formats::format_name(treatment.weight);
      const auto nearest = losses.find(format);
      if (nearest == losses.end())
        return invalid_argument(
            fmt::format("{}: format {} was not profiled", version.site, format));
      losses[version.treatment] = nearest->second * version.loss_ratio;
      for (const auto& [activation, ratio] : version.activation_ratio) {
        LossByName& activations = profile.activation_loss.at(site);
        const auto plain = activations.find(activation);
        if (plain == activations.end()) continue;
        activations[folded_activation_name(version.treatment, activation)] = plain->second * ratio;
      }
    }
  }
  return {};
}

}  // namespace dovetail::compress
