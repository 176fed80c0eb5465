// The number formats: names, elements, scales and storage. What a quantised tensor *is* is defined
// in this folder and nowhere else; host emulation, packing and silicon read it from here.
//
// Names (the same in files, commands and reports):
//   weights      bf16
//                int{2..8}[_asym][GRANULE]   ternary[GRANULE]     FP16 scales
//                int{2,3,4}_qoq_g{32,64,128}                      two levels: FP16 a row, 8 bits a
//                                                                 group
//                nf{3,4}_g{16..128}, lut{3,4}_g{16..128}          8 or 16 levels: of the normal
//                                                                 distribution, fitted to the
//                                                                 tensor
//                fp8_e4m3fn[GRANULE], fp8_e5m2[GRANULE]           FP32 scales
//                mxfp8_e4m3fn, mxfp8_e5m2, mxfp6_e3m2, mxfp6_e2m3, mxfp4, mxint8    E8M0 per 32
//                nvfp4                                            E4M3 per 16 times FP32 a tensor
//                GRANULE: _tensor, _b128 (128 x 128), _g{16,32,64,128} (along the reduction axis);
//                none: one scale per output channel (a row along the reduction axis)
//                any but bf16 may end in _2:4 or _4:8: so many kept of so many along the row
//   activations  bf16 | {int8,int4,fp8}_token       one dynamic scale per token
//                {int8,fp8}_static                  one scale per tensor, from calibration
//                {int8,int4}_g{32,64,128} | mxfp8 | mxfp4 | nvfp4
//                                                   dynamic per block along the row (activation.h)
//   kv           bf16 | int{8,4,3,2} | fp8 | nvfp4  per token and head
//                int{8,4,3,2}_c{32,64,128}          keys alone: per channel, over so many tokens
//                                                   (kv_cache.h)
//
// Sources: OCP Microscaling Formats (MX) v1.0; OCP 8-bit Floating Point (OFP8) v1.0; QServe
// (arXiv:2405.04532) for two-level scales; QLoRA (arXiv:2305.14314) for levels of the normal
// distribution. docs/formats/ has one page for each family.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::formats {

enum class Element : uint8_t {
  kBf16,
  kInt,      // two's complement, or code less zero point
  kTernary,  // -1, 0, 1; five to a byte
  kFp8E4m3Fn,
  kFp8E5m2,
  kFp6E3m2,
  kFp6E2m3,
  kFp4E2m1,
  kNormalFloat,  // levels of the normal distribution, as INT8
  kTable,        // levels fitted to the tensor, as INT8
};

enum class ScaleType : uint8_t {
  kNone,  // bf16
  kFp16,  // sign included
  kFp32,
  kE8m0,   // a power of two
  kE4m3,   // times one FP32 of the tensor
  kUint8,  // 1..255, times one FP16 of the row
};

struct WeightFormat {
  Element element = Element::kBf16;
  int64_t bits = 16;        // payload bits of one kept element; kTernary: 2 where it is not packed
  bool asymmetric = false;  // kInt only: integer zero point of `bits` bits per group
  ScaleType scale = ScaleType::kNone;
  int64_t group_size = 0;  // along the row: 16, 32, 64, 128; 0: the whole row
  int64_t group_rows = 1;  // 1; 128: a block of rows; 0: all rows
  int64_t kept = 0;        // of every `of` elements of a row, so many are stored; 0: all
  int64_t of = 0;          // 0, 4, 8

  bool operator==(const WeightFormat&) const = default;
};

// int{bits}[_asym][_g{group_size}], the commonest family.
[[nodiscard]] WeightFormat int_format(int64_t bits, bool asymmetric, int64_t group_size);
[[nodiscard]] inline bool is_sparse(const WeightFormat& format) {
  return format.of != 0;
}

// Facts and definition: activation.h.
enum class ActivationFormat : uint8_t {
  kBf16,
  kInt8Token,
  kFp8Token,
  kInt4Token,
  kInt8Static,
  kFp8Static,
  kInt8G128,
  kInt8G64,
  kInt8G32,
  kInt4G128,
  kInt4G64,
  kInt4G32,
  kMxfp8,  // E4M3
  kMxfp4,
  kNvfp4,
};

// Facts and definition: kv_cache.h. C: per channel over so many tokens.
enum class KvFormat : uint8_t {
  kBf16,
  kInt8,
  kInt4,
  kInt3,
  kInt2,
  kFp8,
  kNvfp4,
  kInt8C32,
  kInt8C64,
  kInt8C128,
  kInt4C32,
  kInt4C64,
  kInt4C128,
  kInt3C32,
  kInt3C64,
  kInt3C128,
  kInt2C32,
  kInt2C64,
  kInt2C128,
};

// Errors: kInvalidArgument naming the format and the nearest legal name.
[[nodiscard]] Result<WeightFormat> parse_weight_format(std::string_view name);
[[nodiscard]] Result<ActivationFormat> parse_activation_format(std::string_view name);
[[nodiscard]] Result<KvFormat> parse_kv_format(std::string_view name);
[[nodiscard]] std::string format_name(const WeightFormat& format);
[[nodiscard]] std::string format_name(ActivationFormat format);
[[nodiscard]] std::string format_name(KvFormat format);

// Every legal dense weight format, bf16 first; each but bf16 may be made sparse (2:4, 4:8).
[[nodiscard]] const std::vector<WeightFormat>& all_weight_formats();
// True for these and their sparse forms.
[[nodiscard]] bool is_legal(const WeightFormat& format);

// Groups (scales) along one row of k weights; bf16 has none. A shorter last group has a scale of
// its own.
[[nodiscard]] int64_t num_groups(const WeightFormat& format, int64_t k);
// Groups along `rows` rows, one above the other.
[[nodiscard]] int64_t num_row_groups(const WeightFormat& format, int64_t rows);
// Bits of one group's scale as stored.
[[nodiscard]] int64_t scale_bits(const WeightFormat& format);
// Elements of a row of k that are stored.
[[nodiscard]] int64_t kept_per_row(const WeightFormat& format, int64_t k);
// Payload bits of one row, without scales, zero points and mask: whole bytes where rows start on
// bytes (kTernary).
[[nodiscard]] int64_t payload_bits_per_row(const WeightFormat& format, int64_t k);

// Bits that one row of k weights takes: payload, scales, zero points, and for sparse formats one
// bit an element that says which are kept. A row bears its share of a block's scale, rounded up;
// what a whole tensor has once (one scale, the FP32 of kE4m3, the levels of kTable) is not counted.
[[nodiscard]] int64_t stored_bits_per_row(const WeightFormat& format, int64_t k);

// Bits that one cached vector (key or value of one token and one head) takes, scales and zeros
// included. Formats per channel: the token's share of a finished group, rounded up.
[[nodiscard]] int64_t stored_bits_per_kv_vector(KvFormat format, int64_t head_dim);

// Bits of one activation element as it moves through SRAM; scales are kept beside it.
[[nodiscard]] int64_t element_bits(ActivationFormat format);

}  // namespace dovetail::formats
