// Lowers the output error of an already rounded matrix: block coordinate descent on codes and
// scales against the second moments of the inputs.
//
// For W (n, k), H = E[x x^T] and rounded Q the error is tr (Q - W) H (Q - W)^T; rows do not meet.
// A sweep visits the groups of columns (whole rows, blocks and tensors: pieces of 128 columns) one
// by one. With G = (Q - W) H, a group's best real values, all others fixed, are
//
//   t_g = q_g - G_g (H_gg)^-1
//
// and are rounded one after the other with error feedback inside the group (GPTQ on the block)
// under each of several scales around the present one (and zero points beside it); the best goes
// through one pass of single-code descent, q_j = round(q_j - G_j / H_jj), and its scale is refitted
// in closed form, s *= 1 - (q G^T) / (q H_gg q^T), rounded to what the format stores. A row takes
// the step only if that lowers its error, so the error never rises. One sweep costs about 2 n k^2
// plus 30 n k group multiplications.
//
// Sources: Behdin et al., QuantEase, arXiv:2309.01885 and Nair and Suggala, CDQuant,
// arXiv:2406.17542 (cyclic and block descent); the feedback inside a block is GPTQ's.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "compress/gptq.h"
#include "formats/format.h"
#include "formats/rounding.h"
#include "model/model.h"

namespace dovetail::compress {

struct RefineParams {
  formats::Ties ties = formats::Ties::kEven;
  int64_t sweeps = 4;  // at most; 0..1000
  // Scales and zero points move too where a group lies in one row; two-level scales (QoQ) and those
  // shared by rows stay as they are.
  bool refit_scales = true;
  double min_gain_frac = 0.002;  // ends when a sweep lowers the error by a smaller part of it
};

struct RefineStats {
  std::vector<double> error_frac;  // E |(W - Q) x|^2 over E |W x|^2: at the start, after each sweep
};

struct Refined {
  std::vector<float> values;  // (n, k), what the codes decode to
  formats::MatrixScales scales;
  RefineStats stats;
};

// w: what the output is compared with. h: (k, k), symmetric. start: values that codes of `format`
// under its scales decode to, from gptq() or rounding. Sparse formats: zeros stay zeros.
// Errors: kInvalidArgument (bf16, sizes, sweeps out of range, numbers in H that are not finite, H
// not positive semidefinite).
[[nodiscard]] Result<Refined> refine(const formats::WeightFormat& format,
                                     const RefineParams& params, const model::Matrix& w,
                                     const std::vector<float>& h, const std::vector<float>& start,
                                     const formats::MatrixScales& scales);

}  // namespace dovetail::compress
