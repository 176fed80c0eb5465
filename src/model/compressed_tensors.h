// Linears of a Hugging Face folder in compressed-tensors layout, decoded to FP32.
//
// Formats: pack-quantized (1..8 bits), int-quantized, float-quantized and naive-quantized (INT8,
// FP8 E4M3), nvfp4-, mxfp4- and mxfp6-pack-quantized, mxfp8-quantized; strategies tensor, channel,
// group, block, tensor_group. A value is (code - zero point) * scale, one FP32 product; NVFP4's
// scale is code * tensor scale, where the tensor scale is 1 / weight_global_scale, or what the
// header says under "dovetail.tensor_scale.<module>" if the two agree to 2^-22.
//
// What the folder says of activations and KV is not looked at: weights alone are read.
//
// Source of the layout: vllm-project/compressed-tensors, compressors/ (0.20.0).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "model/safetensors.h"
#include "model/tensor_source.h"

namespace dovetail::model {

enum class ScaleStrategy : uint8_t { kTensor, kChannel, kGroup, kBlock, kTensorGroup };

// How the weights of the modules of one config group are stored.
struct QuantizationScheme {
  std::vector<std::string> targets;
  std::string format;
  int64_t bits = 8;  // 1..8
  bool is_float = false;
  bool symmetric = true;
  ScaleStrategy strategy = ScaleStrategy::kTensor;
  int64_t group_size = 0;                  // kGroup, kTensorGroup
  int64_t block_rows = 0, block_cols = 0;  // kBlock
};

// `config`: a whole config.json. Empty if it has no quantization_config.
// Errors: kInvalidArgument naming `path`, key, value and what was wanted.
[[nodiscard]] Result<std::vector<QuantizationScheme>> read_quantization_config(
    const nlohmann::json& config, const std::string& path);

// The scheme of a module as compressed-tensors chooses it: a target that is its name, else one that
// is a regular expression ("re:...", from the start of the name), else its class (Linear, for
// model.embed_tokens Embedding). Null if none fits.
[[nodiscard]] const QuantizationScheme* scheme_of(const std::vector<QuantizationScheme>& schemes,
                                                  const std::string& module);

// Names and values as of an unquantised folder: "X.weight" where the folder has X.weight_packed.
[[nodiscard]] std::unique_ptr<TensorSource> compressed_tensors_source(
    std::unique_ptr<SafetensorsSource> folder, std::vector<QuantizationScheme> schemes);

// The tensors of a folder with a config.json, quantised or not. Errors: kNotFound,
// kInvalidArgument.
[[nodiscard]] Result<std::unique_ptr<TensorSource>> open_folder_tensors(const std::string& folder);

// "dovetail.tensor_scale.": see above. The value is the FP32's bits, eight hexadecimal digits.
inline constexpr std::string_view kTensorScaleKey = "dovetail.tensor_scale.";

}  // namespace dovetail::model
