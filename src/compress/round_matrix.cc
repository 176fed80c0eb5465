#include "compress/round_matrix.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "compress/coordinate_descent.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

GptqResult round_nearest(const formats::WeightFormat& format, const GptqParams& params,
                         const model::Matrix& w, const float* importance) {
  GptqResult result;
  result.values.resize(w.values.size());
  result.scales =
      formats::choose_scales(format, params.rounding, w.rows, w.cols, w.values.data(), importance);
  const std::vector<float> kept =
      formats::is_sparse(format)
          ? formats::sparsified(format, w.rows, w.cols, w.values.data(), importance)
          : std::vector<float>{};
  formats::round_rows(format, params.rounding.ties, result.scales, w.rows, w.cols,
                      kept.empty() ? w.values.data() : kept.data(), result.values.data());
  return result;
}

GptqResult round_weighed(const formats::WeightFormat& format, const GptqParams& params,
                         const model::Matrix& w, const std::vector<float>& moments) {
  std::vector<float> importance;
  for (int64_t j = 0; j < w.cols; ++j)
    importance.push_back(moments[static_cast<size_t>(j * w.cols + j)]);
  GptqResult result = round_nearest(format, params, w, importance.data());
  result.stats.num_dead_columns = std::ranges::count(importance, 0.0F);
  result.stats.error_frac = output_error_frac(w, result.values, moments);
  result.stats.rounded_error_frac = result.stats.error_frac;
  return result;
}

Result<GptqResult> descend(const formats::WeightFormat& format, const GptqParams& params,
                           const model::Matrix& w, const std::vector<float>& moments) {
  DOVETAIL_TRY(GptqResult result, gptq(format, params, w, moments));
  DOVETAIL_TRY(Refined refined, refine(format, {.ties = params.rounding.ties}, w, moments,
                                       result.values, result.scales));
  result.values = std::move(refined.values);
  result.scales = std::move(refined.scales);
  result.stats.error_frac = refined.stats.error_frac.back();
  return result;
}

}  // namespace

bool is_treated(const recipe::LinearTreatment& treatment) {
  return treatment.weight.element != formats::Element::kBf16;
}

bool needs_moments(const recipe::LinearTreatment& treatment) {
  return treatment.algorithm != recipe::Algorithm::kNearest;
}

Result<GptqResult> round_matrix(const recipe::LinearTreatment& treatment, const GptqParams& params,
                                const model::Matrix& w, const std::vector<float>& moments) {
  switch (treatment.algorithm) {
    case recipe::Algorithm::kNearest:
      break;
    case recipe::Algorithm::kImatrix:
      return round_weighed(treatment.weight, params, w, moments);
    case recipe::Algorithm::kGptq:
      return gptq(treatment.weight, params, w, moments);
    case recipe::Algorithm::kGptqCd:
    case recipe::Algorithm::kSignround:  // whose start it is
      return descend(treatment.weight, params, w, moments);
  }
  return round_nearest(treatment.weight, params, w, nullptr);
}

Status check_finite(const model::Matrix& w, const std::string& name) {
  const auto wrong = std::ranges::find_if(w.values, [](float x) { return !std::isfinite(x); });
  if (wrong == w.values.end()) return {};
  const int64_t at = wrong - w.values.begin();
  return invalid_argument(fmt::format("{}: weight ({}, {}) is {}, want a finite number", name,
                                      at / w.cols, at % w.cols, *wrong));
}

}  // namespace dovetail::compress
