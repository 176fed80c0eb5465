// Rounds a matrix column by column under fixed scales, for algorithms that move the weights which
// are still to be rounded (GPTQ).
#pragma once

#include <cstdint>
#include <vector>

#include "formats/codec.h"
#include "formats/format.h"
#include "formats/rounding.h"

namespace dovetail::formats {

class ColumnRounder {
 public:
  // scales: of a (rows, k) matrix. Sparse formats: the caller decides what is dropped.
  ColumnRounder(const WeightFormat& format, Ties ties, const MatrixScales& scales, int64_t rows,
                int64_t k);
  // w, out: (last - first) values of rows first..last-1 of one column, contiguous; out may be w.
  // What codes of w decode to, as round_rows would write it. Thread-safe.
  void round(int64_t column, int64_t first, int64_t last, const float* w, float* out) const;
  // The same for n values under scales and zero points of the caller's, one a value. zero: none
  // unless asymmetric. Not for bf16.
  void round_under(const float* scale, const float* zero, int64_t n, const float* w,
                   float* out) const;

 private:
  WeightFormat format_;
  Ties ties_;
  Levels levels_;
  int64_t rows_;
  int64_t group_length_;
  std::vector<float> scale_;  // (groups, rows); 0 where a group is all zeros
  std::vector<float> zero_;   // (groups, rows); empty unless asymmetric
};

}  // namespace dovetail::formats
