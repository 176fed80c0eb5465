#include "compress/carried_error.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "host/matmul.h"
#include "host/symmetric.h"

namespace dovetail::compress {
namespace {

Status check_moments(std::string_view name, const std::vector<float>& moments, int64_t k) {
  if (std::ssize(moments) != k * k)
    return invalid_argument(
        fmt::format("carried error: {} has {} values, want {} x {}", name, moments.size(), k, k));
  if (!std::ranges::all_of(moments, [](float x) { return std::isfinite(x); }))
    return invalid_argument(fmt::format("carried error: {} is not finite", name));
  return {};
}

Status check(const CarriedErrorParams& params) {
  if (!(params.fraction >= 0) || params.fraction > 1)
    return invalid_argument(
        fmt::format("carried error: fraction = {}, want 0..1", params.fraction));
  if (!(params.damping_frac > 0) || params.damping_frac > 1)
    return invalid_argument(fmt::format("carried error: damping_frac = {}, want above 0, at most 1",
                                        params.damping_frac));
  return {};
}

// a (n, k) m (k, k), m read as its transpose if `transposed`.
std::vector<float> times(const std::vector<float>& a, int64_t n, const std::vector<float>& m,
                         int64_t k, bool transposed = false) {
  std::vector<float> product(a.size());
  host::matmul({a.data(), n, k}, {m.data(), k, k, transposed}, product.data());
  return product;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace

Result<CarriedError> correct_carried_error(const CarriedErrorParams& params, const model::Matrix& w,
                                           const std::vector<float>& h,
                                           const std::vector<float>& cross,
                                           const std::vector<float>& original) {
  DOVETAIL_TRY_STATUS(check(params));
  const int64_t k = w.cols;
  DOVETAIL_TRY_STATUS(check_moments("H", h, k));
  DOVETAIL_TRY_STATUS(check_moments("C", cross, k));
  double mean = 0;
  for (int64_t j = 0; j < k; ++j)
    mean += static_cast<double>(h[static_cast<size_t>(j * k + j)]) / static_cast<double>(k);
  CarriedError found{.target = w};
  if (mean == 0) return found;
  DOVETAIL_TRY(const std::vector<float> upper,
               host::factor_of_inverse(k, h, params.damping_frac * mean));
  std::vector<float> difference(h.size());
  for (size_t i = 0; i < h.size(); ++i) difference[i] = cross[i] - h[i];
  const std::vector<float> moved = times(
      times(times(w.values, w.rows, difference, k), w.rows, upper, k, true), w.rows, upper, k);
  for (size_t i = 0; i < moved.size(); ++i)
    found.target.values[i] += static_cast<float>(params.fraction) * moved[i];
  if (original.empty()) return found;
  DOVETAIL_TRY_STATUS(check_moments("E[x x^T]", original, k));
  // |W x|^2 - 2 W C V^T + |V x^|^2
  const double output = dot(times(w.values, w.rows, original, k), w.values);
  const std::vector<float> crossed = times(w.values, w.rows, cross, k);
  const auto error_of = [&](const std::vector<float>& v) {
    return (output - 2 * dot(crossed, v) + dot(times(v, w.rows, h, k), v)) / output;
  };
  if (output > 0) {
    found.carried_frac = error_of(w.values);
    found.corrected_frac = error_of(found.target.values);
  }
  return found;
}

}  // namespace dovetail::compress
