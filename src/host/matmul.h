// FP32 matrix products through libtorch (OpenBLAS or MKL behind it). The only door to libtorch: its
// headers stay in matmul.cc.
#pragma once

#include <cstdint>

namespace dovetail::host {

// A row-major matrix (rows, cols), read as its transpose if `transposed`.
struct Operand {
  const float* values = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  bool transposed = false;
};

// c = scale * a b, or c += scale * a b if `accumulate`. c: (rows of a, cols of b) after their
// transposition, row-major, overlaps neither. Inner dimensions must agree (checked).
void matmul(const Operand& a, const Operand& b, float* c, bool accumulate = false,
            double scale = 1.0);

// While one lives, products run on the calling thread alone, so that several workers can each
// compute their own. Not nestable; create and destroy it outside parallel loops.
class SerialProducts {
 public:
  SerialProducts();
  ~SerialProducts();
  SerialProducts(const SerialProducts&) = delete;
  SerialProducts& operator=(const SerialProducts&) = delete;
};

}  // namespace dovetail::host
