// A rounded matrix whose codes and scales can move: each weight at a real position on the ladder of
// its format's values, each group's scale at a real multiple of the one that it started with.
//
// The ladder is code_values(format): step i is the i-th value in ascending order, so one step is
// one code whatever the element (integers, floats, levels). A weight at position p is written as
// (value of the step nearest to p, less the zero point) * scale.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/codec.h"
#include "formats/format.h"
#include "model/model.h"

namespace dovetail::compress {

// One linear as written: values that codes of `format` under `scales` decode to. bf16: the original
// stays, values and scales are empty and nothing is learnt.
struct RoundedLinear {
  formats::WeightFormat format;
  std::vector<float> values;  // (n, k)
  formats::MatrixScales scales;
};
class CodeLadder {
 public:
  // start.values must be what codes decode to; positions start at the original weight as far as
  // that lies within `start_reach` (0..0.5) steps of its code, and never go further than `reach`
  // steps from it. Sparse formats: zeros stay. Errors: kInvalidArgument (sizes, a value that is no
  // code).
  [[nodiscard]] static Result<CodeLadder> make(const RoundedLinear& start,
                                               const model::Matrix& original, double start_reach,
                                               double reach);

  // One step of sign descent. gradient: (n, k), of a loss at what write() gave. A position moves by
  // `rate` against its gradient, a group's scale by the part `scale_rate` of the first one.
  void step(const std::vector<float>& gradient, float rate, float scale_rate);
  // values: (n, k); untouched for bf16.
  void write(std::vector<float>& values) const;
  // As stored, of the present scales.
  [[nodiscard]] formats::MatrixScales scales() const;

 private:
  CodeLadder() = default;
  [[nodiscard]] int64_t group_length() const;
  [[nodiscard]] size_t group_at(int64_t row, int64_t column) const;
  Status place(const RoundedLinear& start, const model::Matrix& original, float start_reach);
  void step_row(int64_t row, const float* gradient, float rate, float scale_rate);

  formats::WeightFormat format_;
  int64_t rows_ = 0;
  int64_t k_ = 0;
  float reach_ = 0;
  bool scales_move_ = false;
  std::vector<float> ladder_;
  std::vector<uint8_t> code_;   // (n, k) at the start
  std::vector<float> offset_;   // (n, k) V: position less code
  std::vector<uint8_t> fixed_;  // (n, k) 1: stays zero; empty for dense formats
  formats::MatrixScales start_;
  std::vector<float> factor_;  // (groups) alpha
  std::vector<float> scale_;   // (groups) as stored
};

}  // namespace dovetail::compress
