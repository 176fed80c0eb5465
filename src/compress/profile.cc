#include "compress/profile.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "compress/head_loss.h"
#include "compress/site_matrix.h"
#include "compress/treat.h"
#include "formats/quantize.h"
#include "host/profile_pass.h"
#include "recipe/profiled_formats.h"

namespace dovetail::compress {
namespace {

using formats::ActivationFormat;
using formats::WeightFormat;
using recipe::SiteKind;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Maps 0..1 of a part to first_frac..last_frac of the whole.
ProgressSink part_of(const ProgressSink& progress, double first_frac, double last_frac) {
  if (!progress) return {};
  return [=](const Progress& part) {
    progress({part.what, first_frac + (last_frac - first_frac) * part.done_frac});
  };
}

std::vector<WeightFormat> weight_formats_of(const recipe::Menu& menu) {
  std::vector<WeightFormat> formats;
  for (const recipe::LinearTreatment& treatment : menu.linear) {
    if (treatment.weight.element == formats::Element::kBf16) continue;
    if (std::find(formats.begin(), formats.end(), treatment.weight) == formats.end()) {
      formats.push_back(treatment.weight);
    }
  }
  return formats;
}

// A part of a site (site_matrix.h) with its sensitivities, stacked alike.
struct PricedPart {
  model::Matrix weights;
  model::Matrix sensitivity;
};

std::vector<PricedPart> priced_parts(const std::vector<std::vector<SiteMember>>& parts,
                                     const model::LayerWeights& layer,
                                     const host::LayerSensitivity& found) {
  // Members of LayerWeights and of LayerSensitivity have the same names.
  const auto sensitivity_of = [&](std::string_view name) -> const model::Matrix& {
    if (name == "q") return found.q;
    if (name == "k") return found.k;
    if (name == "v") return found.v;
    if (name == "o") return found.o;
    if (name == "gate") return found.gate;
    return name == "up" ? found.up : found.down;
  };
  std::vector<PricedPart> priced;
  for (const std::vector<SiteMember>& members : parts) {
    PricedPart part{.weights = stacked(layer, members), .sensitivity = {}};
    part.sensitivity.rows = part.weights.rows;
    part.sensitivity.cols = part.weights.cols;
    for (const SiteMember& member : members) {
      const std::vector<float>& values = sensitivity_of(member.name).values;
      part.sensitivity.values.insert(part.sensitivity.values.end(), values.begin(), values.end());
    }
    priced.push_back(std::move(part));
  }
  return priced;
}

double weight_loss(const WeightFormat& format, const std::vector<PricedPart>& parts) {
  double loss = 0;
  for (const PricedPart& part : parts)
    loss += formats::weighted_error_rows(format, formats::Rounding{}, part.weights.rows,
                                         part.weights.cols, part.weights.values.data(),
                                         part.sensitivity.values.data());
  return loss;
}

LossByName activation_losses(const host::ActivationLoss& loss) {
  return {{formats::format_name(ActivationFormat::kInt8Token), loss.int8_token_nats},
          {formats::format_name(ActivationFormat::kFp8Token), loss.fp8_token_nats}};
}

// Prices the linear sites of the blocks.
void price_blocks(const model::Weights& weights, const host::Sensitivity& sensitivity,
                  const std::vector<WeightFormat>& formats, LossProfile& result,
                  const ProgressSink& progress) {
  const int64_t sites = recipe::num_sites(weights.shape) - 1;
  for (int64_t index = 0; index < sites; ++index) {
    const recipe::Site site = recipe::site_at(weights.shape, index);
    if (site.kind == SiteKind::kKv) continue;
    report_progress(progress, "pricing formats of " + recipe::site_name(site),
                    static_cast<double>(index) / static_cast<double>(sites));
    const auto layer = static_cast<size_t>(site.layer);
    LossByName& losses = result.weight_loss[static_cast<size_t>(index)];
    // By whether the site is one stack; formats of either kind are next to each other.
    std::vector<PricedPart> parts;
    size_t parted = 0;
    for (const WeightFormat& format : formats) {
      const auto wanted = site_parts(site.kind, format);
      if (wanted.size() != parted)
        parts = priced_parts(wanted, weights.layers[layer], sensitivity.layers[layer]);
      parted = wanted.size();
      losses[formats::format_name(format)] = weight_loss(format, parts);
    }
    result.activation_loss[static_cast<size_t>(index)] =
        activation_losses(sensitivity.layers[layer].activation[static_cast<size_t>(site.kind)]);
  }
}

}  // namespace

recipe::Menu whole_menu() {
  recipe::Menu menu;
  for (const WeightFormat& weight : recipe::profiled_weight_formats()) {
    for (const ActivationFormat activation :
         {ActivationFormat::kBf16, ActivationFormat::kInt8Token, ActivationFormat::kFp8Token}) {
      menu.linear.push_back({.weight = weight, .activation = activation});
    }
  }
  for (const formats::KvFormat kv :
       {formats::KvFormat::kBf16, formats::KvFormat::kInt8, formats::KvFormat::kInt4}) {
    for (const ActivationFormat query : {ActivationFormat::kBf16, ActivationFormat::kInt8Token}) {
      menu.kv.push_back({.keys = kv, .values = kv, .query = query});
    }
  }
  return menu;
}

Result<LossProfile> profile_linears(const std::shared_ptr<const model::Weights>& weights,
                                    const recipe::Menu& menu, const ProfileText& text,
                                    const ProfileParams& params, const ProgressSink& progress) {
  // Shares of the time on SmolLM2 with the whole menu (bench/compress_profile_bench.cc).
  constexpr double kGradientFrac = 0.2;
  constexpr double kBlocksFrac = 0.55;
  const model::ModelShape& shape = weights->shape;
  DOVETAIL_TRY(const host::HostModel reference, host::HostModel::create(weights));
  LossProfile result;
  result.model_name = shape.name;
  result.model_digest = params.model_digest;
  result.text_name = text.name;
  result.text_digest = text.digest;
  result.off_grid_seed = params.off_grid_seed;
  result.num_layers = shape.num_layers;
  result.weight_loss.resize(static_cast<size_t>(recipe::num_sites(shape)));
  result.activation_loss.resize(static_cast<size_t>(recipe::num_sites(shape)));
  auto start = std::chrono::steady_clock::now();
  DOVETAIL_TRY(const host::Sensitivity sensitivity,
               host::profile_pass(reference, text.tokens, params.label_seed,
                                  part_of(progress, 0, kGradientFrac)));
  result.num_positions = sensitivity.num_positions;
  result.gradient_s = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const std::vector<WeightFormat> formats = weight_formats_of(menu);
  price_blocks(*weights, sensitivity, formats, result,
               part_of(progress, kGradientFrac, kBlocksFrac));
  DOVETAIL_TRY(HeadLosses head,
               price_head(reference, text.tokens, formats, sensitivity.embedding,
                          params.head_positions, part_of(progress, kBlocksFrac, 1)));
  result.weight_loss.back() = std::move(head.weight);
  result.activation_loss.back() = std::move(head.activation);
  result.menu_s = seconds_since(start);
  return result;
}

Result<LossProfile> profile(const std::shared_ptr<const model::Weights>& weights,
                            const recipe::Menu& menu, const ProfileText& text,
                            const ProfileParams& params, const ProgressSink& progress) {
  constexpr double kLinearsFrac = 0.45;  // of the time, as above
  DOVETAIL_TRY(LossProfile result,
               profile_linears(weights, menu, text, params, part_of(progress, 0, kLinearsFrac)));
  const auto start = std::chrono::steady_clock::now();
  DOVETAIL_TRY(const host::HostModel reference, host::HostModel::create(weights));
  DOVETAIL_TRY(KvLosses kv, inject_kv(reference, text.tokens, menu.kv, params.kv,
                                      part_of(progress, kLinearsFrac, 1)));
  result.kv_s = seconds_since(start);
  result.kv_loss = std::move(kv.by_layer);
  result.num_kv_positions = kv.num_positions;
  DOVETAIL_TRY_STATUS(check_loss_profile(result));
  return result;
}

}  // namespace dovetail::compress
