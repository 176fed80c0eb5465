// Orthogonal matrices for rotations: Hadamard matrices of many orders, and seeded random ones.
#pragma once

#include <cstdint>
#include <vector>

namespace dovetail::compress {

// A Hadamard matrix (n, n) of +1 and -1, H H^T = n I; empty if none is known here. n = m 2^j with
// m = 1, q + 1 for a prime q = 3 mod 4 or 2 (q + 1) for a prime q = 1 mod 4 (Paley's two
// constructions: 12, 20, 28, 36, ..), doubled by Sylvester's; the smallest such m. n >= 1.
// Source: Paley, "On orthogonal matrices", J. Math. Phys. 12 (1933).
[[nodiscard]] std::vector<int8_t> hadamard_matrix(int64_t n);

// An orthogonal matrix R (n, n), row-major: D H / sqrt(n) with random signs D where a Hadamard
// matrix is known, else the orthogonal factor of a matrix of independent normal values (in double,
// 4 n^3 operations on one thread). The same for the same n and seed. n >= 1.
[[nodiscard]] std::vector<float> orthogonal_matrix(int64_t n, uint64_t seed);

}  // namespace dovetail::compress
