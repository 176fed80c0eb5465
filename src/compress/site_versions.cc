#include "compress/site_versions.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "compress/layer_compressor.h"
#include "compress/round_matrix.h"
#include "compress/site_matrix.h"
#include "compress/spread_rows.h"
#include "formats/pack.h"
#include "formats/unpack.h"
#include "host/layer_ops.h"
#include "host/symmetric.h"

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

// Rounds one part of a site and packs it. The errors are E of the header.
struct RoundedPart {
  formats::PackedRows packed;
  std::vector<float> values;
  double error = 0;
  double nearest_error = 0;
};

Result<RoundedPart> round_part(const LinearTreatment& treatment, const VersionParams& params,
                               const model::Matrix& w, const std::vector<float>& moments) {
  RoundedPart part;
  DOVETAIL_TRY(GptqResult written, round_matrix(treatment, params.gptq, w, moments));
  DOVETAIL_TRY(const GptqResult nearest,
               round_matrix(nearest_of(treatment), params.gptq, w, moments));
  part.error = output_error(w, written.values, moments);
  part.nearest_error = output_error(w, nearest.values, moments);
  part.packed = formats::pack_rows(treatment.weight, params.gptq.rounding.ties, written.scales,
                                   w.rows, w.cols, written.values.data());
  part.values = std::move(written.values);
  return part;
}

Status add_site(SiteKind kind, const model::LayerWeights& layer, const std::vector<float>& moments,
                const std::vector<LinearTreatment>& treatments, const VersionParams& params,
                SiteVersions& made) {
  const std::string site(recipe::site_kind_name(kind));
  for (const LinearTreatment& treatment : treatments) {
    const auto start = std::chrono::steady_clock::now();
    double error = 0;
    double nearest_error = 0;
    size_t index = 0;
    for (const std::vector<SiteMember>& members : site_parts(kind, treatment.weight)) {
      const model::Matrix w = stacked(layer, members);
      auto part = round_part(treatment, params, w, moments);
      if (!part.has_value()) return with_context(part.error(), site);
      error += part->error;
      nearest_error += part->nearest_error;
      made.block.packed.push_back({part_name(site, treatment, index++), std::move(part->packed)});
    }
    made.versions.push_back({.site = site,
                             .treatment = recipe::weight_treatment_name(treatment),
                             .loss_ratio = nearest_error > 0 ? error / nearest_error : 1,
                             .seconds = seconds_since(start)});
  }
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
    const LinearTreatment weights{.weight = treatment.weight, .algorithm = treatment.algorithm};
    if (needs_moments(weights) && std::ranges::find(treatments, weights) == treatments.end())
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
  const LayerCompressor::LookAtSite look = [&](SiteKind kind, const SiteInputs& inputs) {
    return add_site(kind, reference.layer(layer), inputs.moments, treatments, params, made);
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

Result<std::vector<float>> values_of_version(const SavedBlock& block, SiteKind kind,
                                             const LinearTreatment& treatment) {
  std::vector<float> values;
  for (size_t part = 0;; ++part) {
    const std::string name = part_name(recipe::site_kind_name(kind), treatment, part);
    const auto found = std::ranges::find(block.packed, name, &SavedBlock::Packed::name);
    if (found == block.packed.end()) break;
    DOVETAIL_TRY(const std::vector<float> more, formats::unpack_rows(found->rows));
    values.insert(values.end(), more.begin(), more.end());
  }
  if (!values.empty()) return values;
  return invalid_argument(fmt::format("{}: no version for {} was made",
                                      recipe::site_kind_name(kind),
                                      recipe::weight_treatment_name(treatment)));
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
    }
  }
  return {};
}

}  // namespace dovetail::compress
