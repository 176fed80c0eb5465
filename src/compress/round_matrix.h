// One matrix to codes, by whichever algorithm its treatment names: all have this signature.
#pragma once

#include <vector>

#include "base/result.h"
#include "compress/gptq.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// False for bf16, which stays as it is.
[[nodiscard]] bool is_treated(const recipe::LinearTreatment& treatment);
// True if the algorithm looks at the second moments of the inputs.
[[nodiscard]] bool needs_moments(const recipe::LinearTreatment& treatment);

// w: (n, k), finite; a treatment other than bf16. moments: (k, k), E[x x^T] of the inputs; read if
// needs_moments. Stats stay 0 where they were not looked at. Errors: those of the algorithm.
[[nodiscard]] Result<GptqResult> round_matrix(const recipe::LinearTreatment& treatment,
                                              const GptqParams& params, const model::Matrix& w,
                                              const std::vector<float>& moments);

// Errors: kInvalidArgument naming `name`, row and column of a weight that is not finite.
[[nodiscard]] Status check_finite(const model::Matrix& w, const std::string& name);

}  // namespace dovetail::compress
