// Block Hadamard transform of rows: what a chip does online at the inputs of linears, and, being
// its own inverse, what turns the weights that meet them.
#pragma once

#include <cstdint>

namespace dovetail::host {

// x (rows, n) in place: each run of `block` neighbours times H / sqrt(block), H the Sylvester
// matrix H[i][j] = (-1)^popcount(i & j). block: a power of two, a divisor of n (checked); 0 does
// nothing. Symmetric and orthogonal: applied twice it is the identity, and (H x) . (H w) = x . w.
// Butterflies in FP32, neighbours first, one product by 1 / sqrt(block) at the end.
void hadamard_rows(int64_t rows, int64_t n, int64_t block, float* x);

}  // namespace dovetail::host
