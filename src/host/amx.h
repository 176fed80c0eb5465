// Matrix products on the processor's tile unit (AMX), which multiplies bfloat16 some sixteen times
// faster than the vector units multiply FP32. A float is the sum of three bfloat16 (8 + 8 + 8 bits
// of mantissa); of the nine products of two such sums the six largest are kept, so that what is
// left out is below 2^-24 of each product, and sums are kept in FP32: as exact as FP32 arithmetic,
// at more than twice its speed. Numbers below 2^-126 count as zero, and where an operand is not
// finite the sums that it enters are not.
//
// Source: Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
// Higher-Precision Computations", arXiv:1904.06376.
#pragma once

#include <cstdint>
#include <span>

#include "host/buffer.h"

namespace dovetail::host::amx {

// The program was compiled for tiles, and the system lets it use them.
[[nodiscard]] bool available();

// Lines of a matrix (rows of the left operand, columns of the right one), each `depth` values that
// are summed over: value d of line i is values[i * line_stride + d * depth_stride]; one stride
// is 1.
struct Lines {
  const float* values = nullptr;
  int64_t count = 0;
  int64_t depth = 0;
  int64_t line_stride = 0;
  int64_t depth_stride = 1;
};

// The calling thread alone: c (left.count, right.count), rows `c_stride` apart, = or += scale times
// the product. Depths agree.
void multiply(const Lines& left, const Lines& right, float* c, int64_t c_stride, bool accumulate,
              float scale);

// A right operand that is packed once for many products. Parts that are zero in all its values
// (weights released in bfloat16 have one, in FP16 two) take no space and no time: 2, 4 or 6 bytes a
// value. Each element of a product depends on its two lines alone, to the last bit, and is the same
// as that of multiply() above.
class PackedLines {
 public:
  explicit PackedLines(const Lines& lines);

  [[nodiscard]] int64_t count() const { return count_; }
  [[nodiscard]] int64_t depth() const { return depth_; }
  [[nodiscard]] int64_t parts() const { return parts_; }  // 1..3
  [[nodiscard]] const char* panel(int64_t index) const;

 private:
  int64_t count_ = 0;
  int64_t depth_ = 0;
  int64_t parts_ = 0;
  Buffer tiles_;
};

// One of several products that share the left operand: c (left.count, right.count), = or +=.
struct PackedProduct {
  const PackedLines* right = nullptr;
  float* c = nullptr;  // overlaps nothing else
  bool accumulate = false;
};
// Over all cores.
void multiply_packed(const Lines& left, std::span<const PackedProduct> products);

// Upper triangle of sum (k, k) += x^T x, x (rows, k), over all cores; blocks on the diagonal whole.
// The same bits for any number of threads.
void add_gram(int64_t rows, int64_t k, const float* x, float* sum);

}  // namespace dovetail::host::amx
