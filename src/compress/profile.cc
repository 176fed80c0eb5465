#include "compress/profile.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "base/parallel.h"
#include "compress/treat.h"
#include "formats/quantize.h"
#include "host/profile_pass.h"

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
    if (treatment.weight.family == formats::WeightFamily::kBf16) continue;
    if (std::find(formats.begin(), formats.end(), treatment.weight) == formats.end()) {
      formats.push_back(treatment.weight);
    }
  }
  return formats;
}

// The sensitivities of a site's matrices, in the order of site_matrices().
std::vector<const model::Matrix*> site_sensitivities(const host::LayerSensitivity& layer,
                                                     SiteKind kind) {
  switch (kind) {
    case SiteKind::kAttnQkv:
      return {&layer.q, &layer.k, &layer.v};
    case SiteKind::kAttnO:
      return {&layer.o};
    case SiteKind::kMlpGateUp:
      return {&layer.gate, &layer.up};
    case SiteKind::kMlpDown:
      return {&layer.down};
    case SiteKind::kKv:
    case SiteKind::kHead:
      break;
  }
  return {};
}

double weight_loss(const WeightFormat& format, const model::Matrix& weights,
                   const model::Matrix& sensitivity) {
  return formats::weighted_error_rows(format, formats::ScaleRule::kMse, weights.rows, weights.cols,
                                      weights.values.data(), sensitivity.values.data());
}

// The input embedding's side of a tied head: its rounded rows enter the residual stream.
double embedding_loss(const WeightFormat& format, const model::Matrix& embedding,
                      const host::TokenBatch& tokens, const model::Matrix& sensitivity) {
  const int64_t h = embedding.cols;
  const float tensor = formats::tensor_scale(format, embedding.rows * h, embedding.values.data());
  std::vector<double> losses(tokens.ids.size());
  parallel_for(tokens.rows(), [&](int64_t position, int64_t) {
    const auto index = static_cast<size_t>(position);
    const float* row = embedding.values.data() + tokens.ids[index] * h;
    const float* weight = sensitivity.values.data() + position * h;
    std::vector<float> rounded(static_cast<size_t>(h));
    formats::quantize_row(format, formats::ScaleRule::kMse, tensor, h, row, rounded.data());
    for (int64_t i = 0; i < h; ++i) {
      const double error = static_cast<double>(row[i]) - rounded[static_cast<size_t>(i)];
      losses[index] += 0.5 * static_cast<double>(weight[i]) * error * error;
    }
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

LossByName activation_losses(const host::ActivationLoss& loss) {
  return {{formats::format_name(ActivationFormat::kInt8Token), loss.int8_token_nats},
          {formats::format_name(ActivationFormat::kFp8Token), loss.fp8_token_nats}};
}

// Prices all linear sites and the head.
void price_linears(const model::Weights& weights, const host::TokenBatch& tokens,
                   const host::Sensitivity& sensitivity, const std::vector<WeightFormat>& formats,
                   LossProfile& result, const ProgressSink& progress) {
  const int64_t sites = recipe::num_sites(weights.shape);
  const auto all = static_cast<double>(weights.shape.num_block_linear_weights() +
                                       weights.shape.num_head_weights());
  double done = 0;
  for (int64_t index = 0; index < sites; ++index) {
    const recipe::Site site = recipe::site_at(weights.shape, index);
    if (site.kind == SiteKind::kKv) continue;
    report_progress(progress, "pricing formats of " + recipe::site_name(site), done / all);
    std::vector<std::pair<const model::Matrix*, const model::Matrix*>> pairs;
    host::ActivationLoss activation = sensitivity.head_activation;
    if (site.kind == SiteKind::kHead) {
      pairs.emplace_back(&weights.head_matrix(), &sensitivity.head);
    } else {
      const auto layer = static_cast<size_t>(site.layer);
      const auto matrices = site_matrices(site.kind);
      const auto found = site_sensitivities(sensitivity.layers[layer], site.kind);
      for (size_t i = 0; i < matrices.size(); ++i) {
        pairs.emplace_back(&(weights.layers[layer].*matrices[i]), found[i]);
      }
      activation = sensitivity.layers[layer].activation[static_cast<size_t>(site.kind)];
    }
    LossByName& losses = result.weight_loss[static_cast<size_t>(index)];
    for (const WeightFormat& format : formats) {
      double& loss = losses[formats::format_name(format)];
      for (const auto& [matrix, s] : pairs) loss += weight_loss(format, *matrix, *s);
      if (site.kind == SiteKind::kHead && weights.shape.tied_embedding) {
        loss += embedding_loss(format, weights.embedding, tokens, sensitivity.embedding);
      }
    }
    for (const auto& [matrix, unused] : pairs) {
      done += static_cast<double>(matrix->rows * matrix->cols);
    }
    result.activation_loss[static_cast<size_t>(index)] = activation_losses(activation);
  }
}

}  // namespace

recipe::Menu whole_menu() {
  recipe::Menu menu;
  for (const WeightFormat& weight : formats::all_weight_formats()) {
    for (const ActivationFormat activation :
         {ActivationFormat::kBf16, ActivationFormat::kInt8Token, ActivationFormat::kFp8Token}) {
      menu.linear.push_back({.weight = weight, .activation = activation});
    }
  }
  for (const formats::KvFormat kv :
       {formats::KvFormat::kBf16, formats::KvFormat::kInt8, formats::KvFormat::kInt4}) {
    for (const ActivationFormat query : {ActivationFormat::kBf16, ActivationFormat::kInt8Token}) {
      menu.kv.push_back({.kv = kv, .query = query});
    }
  }
  return menu;
}

Result<LossProfile> profile(const std::shared_ptr<const model::Weights>& weights,
                            const recipe::Menu& menu, const ProfileText& text,
                            const ProfileParams& params, const ProgressSink& progress) {
  // Shares of the time on SmolLM2 with the whole menu (bench/compress_profile_bench.cc).
  constexpr double kGradientFrac = 0.1;
  constexpr double kMenuFrac = 0.38;
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
  {
    DOVETAIL_TRY(const host::Sensitivity sensitivity,
                 host::profile_pass(reference, text.tokens, params.label_seed,
                                    part_of(progress, 0, kGradientFrac)));
    result.num_positions = sensitivity.num_positions;
    result.gradient_s = seconds_since(start);
    start = std::chrono::steady_clock::now();
    price_linears(*weights, text.tokens, sensitivity, weight_formats_of(menu), result,
                  part_of(progress, kGradientFrac, kMenuFrac));
    result.menu_s = seconds_since(start);
  }
  start = std::chrono::steady_clock::now();
  DOVETAIL_TRY(KvLosses kv, inject_kv(reference, text.tokens, menu.kv, params.kv,
                                      part_of(progress, kMenuFrac, 1)));
  result.kv_s = seconds_since(start);
  result.kv_loss = std::move(kv.by_layer);
  result.num_kv_positions = kv.num_positions;
  DOVETAIL_TRY_STATUS(check_loss_profile(result));
  return result;
}

}  // namespace dovetail::compress
