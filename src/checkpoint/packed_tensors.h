// One packed matrix as the tensors of compressed-tensors layout, and back, bit for bit.
//
//   pack-quantized        weight_packed I32, codes as code + 2^(b-1), a dense stream a row, lowest
//                         bit first; weight_scale F16; weight_shape I64; weight_zero_point I32,
//                         packed along the rows (groups, channels) or I8 (tensors, blocks)
//   int-quantized         weight I8; weight_scale F16; weight_zero_point I8     int8 that meets
//   INT8 float-quantized       weight F8_E4M3; weight_scale F32         fp8_e4m3fn that meets FP8
//   naive-quantized       the same                                 fp8_e4m3fn otherwise
//   mxfp8-quantized       weight F8_E4M3; weight_scale U8 (E8M0)   mxfp8_e4m3fn
//   mxfp4-, mxfp6-pack-quantized   weight_packed U8; weight_scale U8      mxfp4, mxfp6_e2m3
//   nvfp4-pack-quantized  weight_packed U8, even column in the low nibble; weight_scale F8_E4M3;
//                         weight_global_scale F32 = 1 / tensor scale
//
// Source of the layout: vllm-project/compressed-tensors 0.20.0.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "checkpoint/model_tensors.h"
#include "formats/codec.h"

namespace dovetail::checkpoint {

// How a format is stored and what config.json says of it.
struct PackedLayout {
  std::string format;  // "pack-quantized"
  Json weights;        // QuantizationArgs of the weights
};

// Errors: kInvalidArgument naming site, format, what the layout cannot express and what to write
// instead.
[[nodiscard]] Result<PackedLayout> packed_layout(const ModelTensor& tensor);

// QuantizationArgs of the activations that meet the weights; null for bf16.
[[nodiscard]] Json activation_args(formats::ActivationFormat format);

struct PackedPart {
  std::string suffix;  // "weight_packed"
  std::string dtype;   // "I32"
  std::vector<int64_t> dims;
  std::vector<uint8_t> bytes;
};

// packed: checked, of a format that packed_layout accepts; layout: that of its tensor.
[[nodiscard]] std::vector<PackedPart> to_parts(const PackedLayout& layout,
                                               const formats::PackedRows& packed);

// The stored bytes of a part, or null. Sizes must be those that to_parts writes.
using FindPart = std::function<const std::vector<uint8_t>*(const std::string& suffix)>;
// Errors: kInvalidArgument naming the part that is missing or has another size.
[[nodiscard]] Result<formats::PackedRows> from_parts(const PackedLayout& layout,
                                                     const formats::WeightFormat& format,
                                                     int64_t rows, int64_t k, float tensor_scale,
                                                     const FindPart& find);

}  // namespace dovetail::checkpoint
