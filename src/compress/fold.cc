#include "compress/fold.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string_view>

#include <fmt/format.h>

#include "compress/site_matrix.h"
#include "formats/quantize.h"
#include "host/matmul.h"

namespace dovetail::compress {
namespace {

using model::Matrix;
using recipe::SiteKind;

constexpr float kLeastPart = 1e-4F;   // of the largest statistic, so that no scale is 0
constexpr float kLeastScale = 1e-5F;  // of SmoothQuant

// sum over rows of d H d^T.
double moved_output(int64_t n, int64_t k, const std::vector<float>& d,
                    const std::vector<float>& h) {
  std::vector<float> product(d.size());
  host::matmul({d.data(), n, k}, {h.data(), k, k}, product.data());
  double total = 0;
  for (size_t i = 0; i < product.size(); ++i)
    total += static_cast<double>(product[i]) * static_cast<double>(d[i]);
  return total;
}

Status check_statistic(std::string_view name, const std::vector<float>& values, int64_t want) {
  if (std::ssize(values) != want)
    return invalid_argument(
        fmt::format("fold: {} has {} values, want {}", name, values.size(), want));
  if (!std::ranges::all_of(values, [](float x) { return std::isfinite(x); }))
    return invalid_argument(fmt::format("fold: {} holds a number that is not finite", name));
  return {};
}

Status check_site(const std::vector<const Matrix*>& matrices,
                  const std::vector<int64_t>& producer) {
  if (matrices.empty()) return invalid_argument("fold: no matrices, want at least one");
  for (const Matrix* matrix : matrices)
    if (matrix->cols != std::ssize(producer))
      return invalid_argument(fmt::format("fold: a matrix has {} input channels, want {}",
                                          matrix->cols, producer.size()));
  return {};
}

// Every channel takes the combination of all channels with its producer.
template <typename Combine>
std::vector<float> combined(const std::vector<float>& statistic,
                            const std::vector<int64_t>& producer, const Combine& combine) {
  std::vector<float> of_producer(producer.size(), 0.0F);
  for (size_t j = 0; j < producer.size(); ++j) {
    float& to = of_producer[static_cast<size_t>(producer[j])];
    to = combine(to, statistic[j]);
  }
  std::vector<float> values;
  for (const int64_t channel : producer)
    values.push_back(of_producer[static_cast<size_t>(channel)]);
  return values;
}

std::vector<float> scales_at(double alpha, const std::vector<float>& mean_abs) {
  const float least = kLeastPart * std::ranges::max(mean_abs);
  std::vector<float> s;
  for (const float size : mean_abs)
    s.push_back(least > 0 ? std::pow(std::max(size, least), static_cast<float>(alpha)) : 1.0F);
  const auto [low, high] = std::ranges::minmax(s);
  const float middle = std::sqrt(low * high);
  for (float& scale : s) scale /= middle;
  return s;
}

// E |(W - Q(W s) / s) x|^2 of one matrix.
double scaled_error(const formats::WeightFormat& format, const AwqParams& params, const Matrix& w,
                    const std::vector<float>& h, const std::vector<float>& s) {
  std::vector<float> importance;
  for (size_t j = 0; j < s.size(); ++j) importance.push_back(h[j * s.size() + j] / (s[j] * s[j]));
  std::vector<float> values(w.values.size());
  for (size_t at = 0; at < values.size(); ++at) values[at] = w.values[at] * s[at % s.size()];
  formats::quantize_rows(format, params.rounding, w.rows, w.cols, values.data(), values.data(),
                         params.weigh_scales ? importance.data() : nullptr);
  for (size_t at = 0; at < values.size(); ++at)
    values[at] = w.values[at] - values[at] / s[at % s.size()];
  return moved_output(w.rows, w.cols, values, h);
}

void divide_rows(Matrix& matrix, std::vector<float>& bias, const std::vector<float>& s,
                 const std::vector<int64_t>& producer) {
  std::vector<float> of_row(static_cast<size_t>(matrix.rows), 1.0F);
  for (size_t j = 0; j < s.size(); ++j) of_row[static_cast<size_t>(producer[j])] = s[j];
  for (size_t row = 0; row < of_row.size(); ++row) {
    float* values = matrix.values.data() + static_cast<int64_t>(row) * matrix.cols;
    for (int64_t i = 0; i < matrix.cols; ++i) values[i] /= of_row[row];
    if (!bias.empty()) bias[row] /= of_row[row];
  }
}

Status check_scales(const std::vector<float>& s, const std::vector<int64_t>& producer) {
  if (s.size() != producer.size())
    return invalid_argument(fmt::format("fold: {} scales, want one for each of {} channels",
                                        s.size(), producer.size()));
  std::vector<float> of_producer(producer.size(), 0.0F);
  for (size_t j = 0; j < s.size(); ++j) {
    if (!std::isfinite(s[j]) || !(s[j] > 0))
      return invalid_argument(
          fmt::format("fold: the scale of channel {} is {}, want a positive number", j, s[j]));
    float& first = of_producer[static_cast<size_t>(producer[j])];
    if (first != 0 && first != s[j])
      return invalid_argument(fmt::format(
          "fold: the scale of channel {} is {}, want {}: both read channel {} of the producer", j,
          s[j], first, producer[j]));
    first = s[j];
  }
  return {};
}

}  // namespace

Result<std::vector<int64_t>> producer_channels(const model::ModelShape& shape, SiteKind kind) {
  if (kind == SiteKind::kKv || kind == SiteKind::kHead)
    return invalid_argument(
        fmt::format("fold: site {}, want attn_qkv, attn_o, mlp_gate_up or "
                    "mlp_down",
                    recipe::site_kind_name(kind)));
  std::vector<int64_t> producer(static_cast<size_t>(recipe::linear_shape(shape, kind).k));
  std::iota(producer.begin(), producer.end(), 0);
  if (kind != SiteKind::kAttnO) return producer;
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  for (int64_t& channel : producer)
    channel = channel / shape.head_dim / group * shape.head_dim + channel % shape.head_dim;
  return producer;
}

Result<AwqScales> awq_scales(const formats::WeightFormat& format, const AwqParams& params,
                             const std::vector<const Matrix*>& matrices, const SiteInputs& inputs,
                             const std::vector<int64_t>& producer) {
  DOVETAIL_TRY_STATUS(check_site(matrices, producer));
  const int64_t k = std::ssize(producer);
  DOVETAIL_TRY_STATUS(check_statistic("moments", inputs.moments, k * k));
  DOVETAIL_TRY_STATUS(check_statistic("mean_abs", inputs.mean_abs, k));
  if (params.grid < 1 || params.grid > 1000)
    return invalid_argument(fmt::format("fold: grid = {}, want 1..1000", params.grid));
  // The sum stands for the mean: a common factor goes when scales are divided by their middle.
  const std::vector<float> sizes = combined(inputs.mean_abs, producer, std::plus<float>());
  double output = 0;
  for (const Matrix* w : matrices) output += moved_output(w->rows, k, w->values, inputs.moments);
  AwqScales best;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i <= params.grid; ++i) {
    const double alpha = static_cast<double>(i) / static_cast<double>(params.grid);
    const std::vector<float> s = scales_at(alpha, sizes);
    double error = 0;
    for (const Matrix* w : matrices) error += scaled_error(format, params, *w, inputs.moments, s);
    const double frac = output > 0 ? error / output : 0;
    if (i == 0) best.plain_error_frac = frac;
    if (!(frac < least)) continue;
    least = frac;
    best.scales = s;
    best.alpha = alpha;
    best.error_frac = frac;
  }
  return best;
}

Result<std::vector<float>> smooth_scales(double alpha, const std::vector<const Matrix*>& matrices,
                                         const SiteInputs& inputs,
                                         const std::vector<int64_t>& producer) {
  DOVETAIL_TRY_STATUS(check_site(matrices, producer));
  DOVETAIL_TRY_STATUS(check_statistic("max_abs", inputs.max_abs, std::ssize(producer)));
  if (!(alpha >= 0) || alpha > 1)
    return invalid_argument(fmt::format("fold: alpha = {}, want 0..1", alpha));
  const auto larger = [](float a, float b) { return std::max(a, b); };
  std::vector<float> weights(producer.size(), 0.0F);
  for (const Matrix* w : matrices)
    for (size_t at = 0; at < w->values.size(); ++at) {
      float& to = weights[at % producer.size()];
      to = std::max(to, std::fabs(w->values[at]));
    }
  const std::vector<float> x = combined(inputs.max_abs, producer, larger);
  weights = combined(weights, producer, larger);
  std::vector<float> s;
  for (size_t j = 0; j < producer.size(); ++j) {
    const double wanted = std::pow(static_cast<double>(x[j]), alpha) /
                          std::pow(static_cast<double>(weights[j]), 1 - alpha);
    s.push_back(x[j] > 0 && weights[j] > 0 ? std::max(static_cast<float>(wanted), kLeastScale)
                                           : 1.0F);
  }
  return s;
}

Status fold(const model::ModelShape& shape, SiteKind kind, const std::vector<float>& s,
            model::LayerWeights& layer) {
  DOVETAIL_TRY(const std::vector<int64_t> producer, producer_channels(shape, kind));
  DOVETAIL_TRY_STATUS(check_scales(s, producer));
  for (const SiteMember& member : site_members(kind)) {
    Matrix& w = layer.*member.matrix;
    for (size_t at = 0; at < w.values.size(); ++at) w.values[at] *= s[at % s.size()];
  }
  std::vector<float> no_bias;
  switch (kind) {
    case SiteKind::kAttnQkv:
      for (size_t j = 0; j < s.size(); ++j) layer.attn_norm[j] /= s[j];
      break;
    case SiteKind::kAttnO:
      divide_rows(layer.v, layer.v_bias, s, producer);
      break;
    case SiteKind::kMlpGateUp:
      for (size_t j = 0; j < s.size(); ++j) layer.mlp_norm[j] /= s[j];
      break;
    default:
      divide_rows(layer.up, no_bias, s, producer);
      break;
  }
  return {};
}

}  // namespace dovetail::compress
