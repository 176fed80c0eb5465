// The number formats: names, element ranges and storage. What a quantised tensor *is* is defined in
// this folder and nowhere else; host emulation, packing and silicon read it from here.
//
// Names (the same in files, commands and reports):
//   weights      bf16 | int{2,3,4,5,6,8}[_asym][_g{32,64,128}] | fp8_e4m3fn | mxfp4 | nvfp4
//                no _g suffix: one scale per output channel (a row along the reduction axis)
//   activations  bf16 | int8_token | fp8_token      (one dynamic scale per token)
//   kv           bf16 | int8 | int4                 (asymmetric, one scale and zero per token and
//   head)
//
// Sources: OCP Microscaling Formats (MX) v1.0; OCP 8-bit Floating Point (OFP8) v1.0;
// docs/formats/ has one page for each family.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::formats {

enum class WeightFamily : uint8_t { kBf16, kInt, kFp8E4m3Fn, kMxfp4, kNvfp4 };

struct WeightFormat {
  WeightFamily family = WeightFamily::kBf16;
  int64_t bits = 16;        // payload bits of one element: 2, 3, 4, 5, 6, 8 (kInt); 4; 8; 16
  bool asymmetric = false;  // kInt only: integer zero point of `bits` bits per group
  int64_t group_size = 0;   // 32, 64, 128; 0: one group per row. kMxfp4: 32, kNvfp4: 16

  bool operator==(const WeightFormat&) const = default;
};

enum class ActivationFormat : uint8_t { kBf16, kInt8Token, kFp8Token };
enum class KvFormat : uint8_t { kBf16, kInt8, kInt4 };

// Errors: kInvalidArgument naming the format and the nearest legal name.
[[nodiscard]] Result<WeightFormat> parse_weight_format(std::string_view name);
[[nodiscard]] Result<ActivationFormat> parse_activation_format(std::string_view name);
[[nodiscard]] Result<KvFormat> parse_kv_format(std::string_view name);
[[nodiscard]] std::string format_name(const WeightFormat& format);
[[nodiscard]] std::string format_name(ActivationFormat format);
[[nodiscard]] std::string format_name(KvFormat format);

// Every legal weight format, bf16 first.
[[nodiscard]] const std::vector<WeightFormat>& all_weight_formats();

// Bits that one row of k weights takes: payload, scales (FP16 per group for kInt, FP32 per row for
// kFp8E4m3Fn, E8M0 per 32 for kMxfp4, E4M3 per 16 for kNvfp4) and zero points. A shorter last group
// has a scale of its own. NVFP4's one FP32 scale per tensor is not counted.
[[nodiscard]] int64_t stored_bits_per_row(const WeightFormat& format, int64_t k);

// Groups (scales) of one row of k weights; bf16 has none. Bits of one group's scale as stored.
[[nodiscard]] int64_t num_groups(const WeightFormat& format, int64_t k);
[[nodiscard]] int64_t scale_bits(const WeightFormat& format);

// Bits that one cached vector (key or value of one token and one head) takes, scale and zero
// included.
[[nodiscard]] int64_t stored_bits_per_kv_vector(KvFormat format, int64_t head_dim);

// Bits of one activation element as it moves through SRAM; scales are kept beside it per token.
[[nodiscard]] int64_t element_bits(ActivationFormat format);

}  // namespace dovetail::formats
