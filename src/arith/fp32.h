// FP32 as the scale unit computes it: IEEE 754 binary32, nearest even, subnormals kept, no fused
// multiply-add. Every NaN that comes out is the quiet NaN 0x7FC00000.
#pragma once

#include <cstdint>

namespace dovetail::arith {

// sum * 2^exponent, rounded once; 0 gives +0, overflow infinity.
[[nodiscard]] float fp32_of_sum(int64_t sum, int32_t exponent);
[[nodiscard]] float fp32_multiply(float a, float b);
[[nodiscard]] float fp32_add(float a, float b);

}  // namespace dovetail::arith
