// Weights to packed rows in vector registers: the same bytes as codec.h's encode_with.
//
// A row becomes one byte a code, which stays in the nearest cache; then eight codes at a time move
// together.
#pragma once

#include <cstdint>

#include "formats/codec.h"

namespace dovetail::formats {

// w: (rows, k), finite, magnitudes below 2^126; scales: of that matrix (choose_scales). Runs on all
// cores; small matrices on the calling thread.
[[nodiscard]] PackedRows pack_rows(const WeightFormat& format, Ties ties,
                                   const MatrixScales& scales, int64_t rows, int64_t k,
                                   const float* w);

}  // namespace dovetail::formats
