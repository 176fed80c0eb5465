// The weights that make good, as far as one linear can, what the compressed layers before it did to
// its inputs.
//
// With x the inputs of the original model and x^ those that arrive, W x is approximated by V x^:
//
//   V = W + fraction W (C - H) (H + lambda I)^-1     H = E[x^ x^^T], C = E[x x^^T]
//
// fraction 1 is the least squares solution (lambda aside), 0 is W. Algorithms that round against H
// then take V where they would take W. In silicon it costs nothing.
//
// Sources: Arai and Ichikawa, Quantization Error Propagation, arXiv:2504.09629 (the correction and
// its fraction); Li et al., GPTAQ, arXiv:2504.02692 (the same objective inside GPTQ).
#pragma once

#include <vector>

#include "base/result.h"
#include "model/model.h"

namespace dovetail::compress {

struct CarriedErrorParams {
  double fraction = 0.5;       // 0..1
  double damping_frac = 0.01;  // lambda in means of H's diagonal; 0 < damping_frac <= 1
};

struct CarriedError {
  model::Matrix target;  // V
  // E |W x - W x^|^2 and E |W x - V x^|^2 over E |W x|^2.
  double carried_frac = 0;
  double corrected_frac = 0;
};

// h, cross: (k, k) H and C; original: (k, k) E[x x^T], for the stated errors alone: empty leaves
// them 0. Errors: kInvalidArgument (parameters out of range, sizes, numbers that are not finite, H
// not positive definite under its damping).
[[nodiscard]] Result<CarriedError> correct_carried_error(const CarriedErrorParams& params,
                                                         const model::Matrix& w,
                                                         const std::vector<float>& h,
                                                         const std::vector<float>& cross,
                                                         const std::vector<float>& original = {});

}  // namespace dovetail::compress
