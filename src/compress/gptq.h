// GPTQ: rounds a matrix column by column and moves what is not yet rounded so that the layer's
// output stays, given the second moments of its inputs.
//
// For one matrix W (n, k) with inputs x and H = E[x x^T]: columns in descending order of H_jj
// (activation order); scales are fixed before, in the original order (static groups), so the order
// never has to be stored. With (H + lambda I)^-1 = U^T U, U upper triangular, in that order:
//   q_j = round(w_j),  e = (w_j - q_j) / U_jj,  w_i -= e U_ji for every later column i
// lambda = damping * mean(diag H); raised tenfold until the factorisation succeeds. Columns that
// are never active (H_jj = 0) are rounded as they are and move nothing. Sparse formats: what is
// dropped is chosen before, by w^2 H_jj, and its error moves on like that of rounding.
//
// Sources: Frantar et al., GPTQ, arXiv:2210.17323; static groups with activation order as in the
// tools of the field. N:M: Frantar and Alistarh, SparseGPT, arXiv:2301.00774.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/codec.h"
#include "formats/format.h"
#include "formats/rounding.h"
#include "model/model.h"

namespace dovetail::compress {

struct GptqParams {
  formats::Rounding rounding = {};
  double damping_frac = 0.01;    // of the mean of H's diagonal; 0 < damping_frac <= 1
  bool activation_order = true;  // false: columns as they stand
  bool weigh_scales = true;      // the scale search counts a column's error times H_jj
};

struct GptqStats {
  double damping_frac = 0;  // that the factorisation took
  int64_t num_dead_columns = 0;
  // E |(W - Q) x|^2 over E |W x|^2, with H as the expectation.
  double rounded_error_frac = 0;  // of round to nearest under the same scales
  double error_frac = 0;          // of what GPTQ wrote
};

struct GptqResult {
  std::vector<float> values;  // (n, k), what the codes decode to
  formats::MatrixScales scales;
  GptqStats stats;
};

// h: (k, k), symmetric, E[x x^T]. Errors: kInvalidArgument (damping out of range, sizes, a number
// in H that is not finite, H indefinite even under a damping of 1).
[[nodiscard]] Result<GptqResult> gptq(const formats::WeightFormat& format, const GptqParams& params,
                                      const model::Matrix& w, const std::vector<float>& h);

// E |(W - V) x|^2 over E |W x|^2. values: V, the shape of w. 0 where W x is.
[[nodiscard]] double output_error_frac(const model::Matrix& w, const std::vector<float>& values,
                                       const std::vector<float>& h);

// E |(W - V) x|^2, summed over outputs.
[[nodiscard]] double output_error(const model::Matrix& w, const std::vector<float>& values,
                                  const std::vector<float>& h);

}  // namespace dovetail::compress
