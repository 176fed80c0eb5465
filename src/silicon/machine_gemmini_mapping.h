// One row of the DOSA set: a layer, the mapping that the program followed, and what it took.
//
// A mapping string names four levels from the DRAM (L3) to the registers (L0), each with its loops
// from the outermost in: "L3[WIO] P7 Q14 - L2[WI] N1 K16X - L1[O] K4 S7 R7 Q2 P4 C3X - L0[W] Q4
// P4". X marks a spatial loop. The program that was measured keeps of it the tile in the scratchpad
// (all levels below L3 multiplied) and the order of the DRAM loops; inside a tile the hardware's
// own loop order holds.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace dovetail::silicon {

// Loop dimensions. P counts output columns and R kernel columns, Q output rows and S kernel rows,
// as in the program; C input channels, K output channels, N images.
enum class LoopDim : uint8_t { kN, kQ, kP, kK, kS, kR, kC };
inline constexpr size_t kNumLoopDims = 7;
using LoopSizes = std::array<int64_t, kNumLoopDims>;  // indexed by LoopDim

[[nodiscard]] constexpr size_t index_of(LoopDim dim) {
  return static_cast<size_t>(dim);
}

inline constexpr int64_t kMaxLoopSize = 1 << 16;

struct ConvLayer {
  LoopSizes size{};    // each 1..kMaxLoopSize; N = 1, P = Q and R = S unless it is a matmul
  int64_t stride = 1;  // 1..16, both ways

  // The measured programs run it as a matrix product: (P, C) times (C, K).
  [[nodiscard]] bool is_matmul() const {
    return size[index_of(LoopDim::kQ)] == 1 && size[index_of(LoopDim::kR)] == 1 &&
           size[index_of(LoopDim::kS)] == 1;
  }
  // "3x3 28x28 256->720 s1": equal for equal layers.
  [[nodiscard]] std::string name() const;
};

struct GemminiMapping {
  LoopSizes tile{};                           // elements of one scratchpad tile, 1..layer's size
  std::array<LoopDim, kNumLoopDims> order{};  // DRAM loops, outermost first
};

// Reads a mapping and cuts its tile to the layer. Errors: kInvalidArgument: a level or word that is
// no such thing, a level missing or twice, a dimension that the factors do not cover.
[[nodiscard]] Result<GemminiMapping> parse_gemmini_mapping(const std::string& text,
                                                           const ConvLayer& layer);

// Errors: kInvalidArgument naming the dimension: out of range, or what the programs cannot run
// (more than one image, a convolution that is not square).
[[nodiscard]] Status check_layer(const ConvLayer& layer);

// The network that a layer comes from, told by its shape: "bert" (matrix products of many rows),
// "unet" (2 x 2 kernels, or outputs of a size that no power-of-two pyramid over 224 pixels has),
// "retinanet" (heads of 720 or 36 channels, pyramid levels of 4 and 2 pixels), "" if several have
// it.
[[nodiscard]] std::string network_of_shape(const ConvLayer& layer);

}  // namespace dovetail::silicon
