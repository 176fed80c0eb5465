// FP32 matrix products through libtorch (OpenBLAS or MKL behind it), whose headers stay in .cc
// files.
#pragma once

#include <cstdint>

namespace dovetail::host {

// A row-major matrix (rows, cols), read as its transpose if `transposed`; part of a wider one if
// its rows lie `stride` values apart.
struct Operand {
  const float* values = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  bool transposed = false;
  int64_t stride = 0;  // 0: cols
};

// c = scale * a b, or c += scale * a b if `accumulate`. c: (rows of a, cols of b) after their
// transposition, row-major, overlaps neither. Inner dimensions must agree (checked). Large products
// run in tiles of c over all cores, within a parallel_for on the calling thread: the library's own
// threads would spin between calls. Tiles follow from the sizes alone, so threads change no digit.
void matmul(const Operand& a, const Operand& b, float* c, bool accumulate = false,
            double scale = 1.0);

}  // namespace dovetail::host
