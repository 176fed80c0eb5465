#include "model/tensor_blocks.h"

#include <bit>
#include <cstring>

#include "base/result.h"

namespace dovetail::model {
namespace {

static_assert(std::endian::native == std::endian::little, "stored tensors are little endian");

template <typename T>
T load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

float load_half(const uint8_t* p) {
  return half_to_float(load<uint16_t>(p));
}

// half d; u8 qs[16]: low nibbles are elements 0..15, high nibbles 16..31. w = d (q - 8)
void decode_q4_0(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const uint8_t* qs = block + 2;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>((qs[j] & 15) - 8);
    out[j + 16] = d * static_cast<float>((qs[j] >> 4) - 8);
  }
}

// half d, m; u8 qs[16]. w = d q + m
void decode_q4_1(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const uint8_t* qs = block + 4;
  for (int j = 0; j < 16; ++j) {
    out[j] = d * static_cast<float>(qs[j] & 15) + m;
    out[j + 16] = d * static_cast<float>(qs[j] >> 4) + m;
  }
}

// half d; u32 qh: bit j is the fifth bit of element j; u8 qs[16]. w = d (q - 16)
void decode_q5_0(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const auto qh = load<uint32_t>(block + 2);
  const uint8_t* qs = block + 6;
  for (int j = 0; j < 16; ++j) {
    const int low = (qs[j] & 15) | static_cast<int>(((qh >> j) & 1) << 4);
    const int high = (qs[j] >> 4) | static_cast<int>(((qh >> (j + 16)) & 1) << 4);
    out[j] = d * static_cast<float>(low - 16);
    out[j + 16] = d * static_cast<float>(high - 16);
  }
}

// half d, m; u32 qh; u8 qs[16], as Q5_0. w = d q + m
void decode_q5_1(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const auto qh = load<uint32_t>(block + 4);
  const uint8_t* qs = block + 8;
  for (int j = 0; j < 16; ++j) {
    const int low = (qs[j] & 15) | static_cast<int>(((qh >> j) & 1) << 4);
    const int high = (qs[j] >> 4) | static_cast<int>(((qh >> (j + 16)) & 1) << 4);
    out[j] = d * static_cast<float>(low) + m;
    out[j + 16] = d * static_cast<float>(high) + m;
  }
}

// half d; i8 qs[32]. w = d q
void decode_q8_0(const uint8_t* block, float* out) {
  const float d = load_half(block);
  for (int j = 0; j < 32; ++j) out[j] = d * static_cast<float>(load<int8_t>(block + 2 + j));
}

// Scale and minimum of 6 bits each of sub-block 0..7, out of twelve bytes: the first four pairs
// have the low six bits of a byte each; of the last four, a byte holds both low nibbles and the two
// top bits stand above the first pairs.
struct ScaleAndMinimum {
  int scale = 0;
  int minimum = 0;
};
ScaleAndMinimum six_bit_pair(const uint8_t* packed, int sub) {
  if (sub < 4) return {packed[sub] & 63, packed[sub + 4] & 63};
  return {(packed[sub + 4] & 15) | ((packed[sub - 4] >> 6) << 4),
          (packed[sub + 4] >> 4) | ((packed[sub] >> 6) << 4)};
}

// u8 scales[16]: low nibble scale, high nibble minimum, one per 16 elements; u8 qs[64]; half d,
// dmin. Each half of 128 elements takes 32 bytes of qs, two bits a run of 32.
// w = (d scale) q - (dmin minimum)
void decode_q2_k(const uint8_t* block, float* out) {
  const uint8_t* qs = block + 16;
  const float d = load_half(block + 80);
  const float dmin = load_half(block + 82);
  for (int i = 0; i < 256; ++i) {
    const uint8_t both = block[i / 16];
    const int code = (qs[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4))) & 3;
    out[i] = d * static_cast<float>(both & 15) * static_cast<float>(code) -
             dmin * static_cast<float>(both >> 4);
  }
}

// u8 hmask[32]: bit r of byte j is set where element 32 r + j has no 4 taken off; u8 qs[64] as in
// Q2_K; u8 scales[12]: sixteen of 6 bits, low nibbles in bytes 0..7 (scale j in the low, j + 8 in
// the high one), top bits in bytes 8..11; half d. w = (d (scale - 32)) (q - 4 or q)
void decode_q3_k(const uint8_t* block, float* out) {
  const uint8_t* qs = block + 32;
  const uint8_t* packed = block + 96;
  const float d = load_half(block + 108);
  for (int i = 0; i < 256; ++i) {
    const int j = i / 16;
    const int low = (packed[j % 8] >> (4 * (j / 8))) & 15;
    const int high = (packed[8 + j % 4] >> (2 * (j / 4))) & 3;
    const int code = (qs[32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4))) & 3;
    const int offset = ((block[i % 32] >> (i / 32)) & 1) != 0 ? 0 : 4;
    out[i] = d * static_cast<float>((low | (high << 4)) - 32) * static_cast<float>(code - offset);
  }
}

// half d, dmin; u8 scales[12]: eight pairs of 6-bit scale and minimum; u8 qs[128]: of each 32 bytes
// the low nibbles are one sub-block of 32 elements, the high nibbles the next.
// w = (d scale) q - (dmin minimum)
void decode_q4_k(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const float dmin = load_half(block + 2);
  const uint8_t* qs = block + 16;
  for (int sub = 0; sub < 8; ++sub) {
    const ScaleAndMinimum pair = six_bit_pair(block + 4, sub);
    const float step = d * static_cast<float>(pair.scale);
    const float offset = dmin * static_cast<float>(pair.minimum);
    const uint8_t* source = qs + 32 * (sub / 2);
    const int shift = 4 * (sub % 2);
    for (int j = 0; j < 32; ++j) {
      out[32 * sub + j] = step * static_cast<float>((source[j] >> shift) & 15) - offset;
    }
  }
}

// As Q4_K with u8 qh[32] before qs: bit s of byte j is the fifth bit of element j of sub-block s.
void decode_q5_k(const uint8_t* block, float* out) {
  const float d = load_half(block);
  const float dmin = load_half(block + 2);
  const uint8_t* qh = block + 16;
  const uint8_t* qs = block + 48;
  for (int sub = 0; sub < 8; ++sub) {
    const ScaleAndMinimum pair = six_bit_pair(block + 4, sub);
    const float step = d * static_cast<float>(pair.scale);
    const float offset = dmin * static_cast<float>(pair.minimum);
    for (int j = 0; j < 32; ++j) {
      const int low = (qs[32 * (sub / 2) + j] >> (4 * (sub % 2))) & 15;
      const int code = low | (((qh[j] >> sub) & 1) << 4);
      out[32 * sub + j] = step * static_cast<float>(code) - offset;
    }
  }
}

// u8 ql[128], qh[64]; i8 scales[16]; half d. Each half of 128 elements takes 64 bytes of ql and 32
// of qh; the four runs of 32 in it are (ql low, qh bits 0-1), (ql + 32 low, bits 2-3), (ql high,
// bits 4-5), (ql + 32 high, bits 6-7); one scale per 16 elements. w = (d scale) (q - 32)
void decode_q6_k(const uint8_t* block, float* out) {
  const float d = load_half(block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* ql = block + 64 * half;
    const uint8_t* qh = block + 128 + 32 * half;
    const uint8_t* scales = block + 192 + 8 * half;
    for (int run = 0; run < 4; ++run) {
      for (int j = 0; j < 32; ++j) {
        const int low = (ql[32 * (run % 2) + j] >> (4 * (run / 2))) & 15;
        const int high = (qh[j] >> (2 * run)) & 3;
        const float step = d * static_cast<float>(load<int8_t>(scales + 2 * run + j / 16));
        out[128 * half + 32 * run + j] = step * static_cast<float>((low | (high << 4)) - 32);
      }
    }
  }
}

// u8 e, an E8M0 scale; u8 qs[16] of E2M1 codes: low nibbles are elements 0..15, high ones 16..31.
// w = 2^(e - 127) * element, as half the scale times twice the element: e = 0 and 1 give
// subnormals.
void decode_mxfp4(const uint8_t* block, float* out) {
  constexpr float kTwice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const uint32_t e = block[0];
  const float half_scale = std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
  for (int j = 0; j < 16; ++j) {
    out[j] = half_scale * kTwice[block[1 + j] & 15];
    out[j + 16] = half_scale * kTwice[block[1 + j] >> 4];
  }
}

void decode_one_block(TensorType type, const uint8_t* block, float* out) {
  switch (type) {
    case TensorType::kF32:
      *out = load<float>(block);
      return;
    case TensorType::kF16:
      *out = load_half(block);
      return;
    case TensorType::kBf16:
      *out = std::bit_cast<float>(uint32_t{load<uint16_t>(block)} << 16);
      return;
    case TensorType::kQ4_0:
      decode_q4_0(block, out);
      return;
    case TensorType::kQ4_1:
      decode_q4_1(block, out);
      return;
    case TensorType::kQ5_0:
      decode_q5_0(block, out);
      return;
    case TensorType::kQ8_0:
      decode_q8_0(block, out);
      return;
    case TensorType::kQ4_K:
      decode_q4_k(block, out);
      return;
    case TensorType::kQ6_K:
      decode_q6_k(block, out);
      return;
    case TensorType::kQ5_1:
      decode_q5_1(block, out);
      return;
    case TensorType::kQ2_K:
      decode_q2_k(block, out);
      return;
    case TensorType::kQ3_K:
      decode_q3_k(block, out);
      return;
    case TensorType::kQ5_K:
      decode_q5_k(block, out);
      return;
    case TensorType::kMxfp4:
      decode_mxfp4(block, out);
      return;
  }
}

}  // namespace

const TensorTypeFacts& facts_of(TensorType type) {
  const auto& facts = kTensorTypes[static_cast<size_t>(type)];
  DOVETAIL_CHECK(facts.type == type);
  return facts;
}

std::optional<TensorType> tensor_type_of_ggml(uint32_t ggml_id) {
  for (const TensorTypeFacts& facts : kTensorTypes) {
    if (facts.ggml_id == ggml_id) return facts.type;
  }
  return std::nullopt;
}

std::string known_tensor_types() {
  std::string list;
  for (const TensorTypeFacts& facts : kTensorTypes) {
    if (!list.empty()) list += ", ";
    list += facts.name;
  }
  return list;
}

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half >> 15) << 31;
  const uint32_t exponent = (half >> 10) & 31;
  const uint32_t fraction = half & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | (fraction << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1.0p-24F;  // subnormal or zero
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

void decode_blocks(TensorType type, std::span<const uint8_t> bytes, std::span<float> out) {
  const TensorTypeFacts& facts = facts_of(type);
  const auto block_elements = static_cast<size_t>(facts.block_elements);
  const auto block_bytes = static_cast<size_t>(facts.block_bytes);
  DOVETAIL_CHECK(out.size() % block_elements == 0);
  const size_t blocks = out.size() / block_elements;
  DOVETAIL_CHECK(bytes.size() == blocks * block_bytes);
  for (size_t b = 0; b < blocks; ++b) {
    decode_one_block(type, bytes.data() + b * block_bytes, out.data() + b * block_elements);
  }
}

}  // namespace dovetail::model
