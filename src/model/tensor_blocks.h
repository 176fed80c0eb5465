// Element and block types of stored tensors, and their decoding to FP32.
//
// Layouts: ggml's block structures (struct order = byte order, little endian); each type's block is
// described beside its decoder in tensor_blocks.cc. Results are bit-identical to the reference
// decoder of the `gguf` Python package (tests/golden/gguf_types.*).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dovetail::model {

enum class TensorType : uint8_t {
  kF32,
  kF16,
  kBf16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ8_0,
  kQ4_K,
  kQ6_K,
  kQ5_1,
  kQ2_K,
  kQ3_K,
  kQ5_K,
  kMxfp4,
};

struct TensorTypeFacts {
  TensorType type;
  std::string_view name;  // as ggml spells it
  uint32_t ggml_id;       // enum ggml_type
  int64_t block_elements;
  int64_t block_bytes;
};

inline constexpr TensorTypeFacts kTensorTypes[] = {
    {TensorType::kF32, "F32", 0, 1, 4},        {TensorType::kF16, "F16", 1, 1, 2},
    {TensorType::kBf16, "BF16", 30, 1, 2},     {TensorType::kQ4_0, "Q4_0", 2, 32, 18},
    {TensorType::kQ4_1, "Q4_1", 3, 32, 20},    {TensorType::kQ5_0, "Q5_0", 6, 32, 22},
    {TensorType::kQ8_0, "Q8_0", 8, 32, 34},    {TensorType::kQ4_K, "Q4_K", 12, 256, 144},
    {TensorType::kQ6_K, "Q6_K", 14, 256, 210}, {TensorType::kQ5_1, "Q5_1", 7, 32, 24},
    {TensorType::kQ2_K, "Q2_K", 10, 256, 84},  {TensorType::kQ3_K, "Q3_K", 11, 256, 110},
    {TensorType::kQ5_K, "Q5_K", 13, 256, 176}, {TensorType::kMxfp4, "MXFP4", 39, 32, 17},
};

[[nodiscard]] const TensorTypeFacts& facts_of(TensorType type);
[[nodiscard]] std::optional<TensorType> tensor_type_of_ggml(uint32_t ggml_id);
// "F32, F16, BF16, ...": for messages.
[[nodiscard]] std::string known_tensor_types();

// Decodes whole blocks: out holds `elements`, a multiple of the block; bytes holds exactly
// elements / block_elements * block_bytes.
void decode_blocks(TensorType type, std::span<const uint8_t> bytes, std::span<float> out);

// IEEE 754 binary16 to binary32, exact, NaN payloads kept.
[[nodiscard]] float half_to_float(uint16_t half);

}  // namespace dovetail::model
