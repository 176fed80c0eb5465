// Moves the mean of a rounded linear's output back to where it was, by its bias.
//
//   b += W E[x] - Q E[x^]     x: inputs of the original, x^: those that arrive
//
// Only where the model has that bias (q, k, v of Qwen2): another would be new work for the chip.
//
// Source: Nagel et al., Data-Free Quantization, arXiv:1906.04721, section 4.2.
#pragma once

#include <vector>

#include "base/result.h"
#include "model/model.h"

namespace dovetail::compress {

// w: the original (n, k). values: Q, the same shape. mean, arriving_mean: (k) E[x] and E[x^]; the
// same one where inputs arrive as they were. bias: (n), changed in place. Errors: kInvalidArgument,
// nothing changed (a linear without bias, sizes, means that are not finite).
[[nodiscard]] Status correct_bias(const model::Matrix& w, const std::vector<float>& values,
                                  const std::vector<float>& mean,
                                  const std::vector<float>& arriving_mean,
                                  std::vector<float>& bias);

}  // namespace dovetail::compress
