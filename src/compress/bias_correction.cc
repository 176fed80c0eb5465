#include "compress/bias_correction.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace dovetail::compress {

Status correct_bias(const model::Matrix& w, const std::vector<float>& values,
                    const std::vector<float>& mean, const std::vector<float>& arriving_mean,
                    std::vector<float>& bias) {
  if (bias.empty()) return invalid_argument("bias correction: the linear has no bias");
  if (std::ssize(bias) != w.rows || values.size() != w.values.size())
    return invalid_argument(
        fmt::format("bias correction: {} biases and {} values, want {} and {} x {}", bias.size(),
                    values.size(), w.rows, w.rows, w.cols));
  for (const std::vector<float>* x : {&mean, &arriving_mean})
    if (std::ssize(*x) != w.cols ||
        !std::ranges::all_of(*x, [](float value) { return std::isfinite(value); }))
      return invalid_argument(fmt::format(
          "bias correction: a mean of {} inputs, want {} finite numbers", x->size(), w.cols));
  for (size_t row = 0; row < bias.size(); ++row) {
    double moved = 0;
    for (size_t j = 0; j < mean.size(); ++j) {
      const size_t at = row * mean.size() + j;
      moved += static_cast<double>(w.values[at]) * static_cast<double>(mean[j]) -
               static_cast<double>(values[at]) * static_cast<double>(arriving_mean[j]);
    }
    bias[row] += static_cast<float>(moved);
  }
  return {};
}

}  // namespace dovetail::compress
