#include "formats/kv_cache.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "formats/quantize.h"
#include "formats/unknown_format.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kFp32Bits = 32;

constexpr WeightFormat int_row(int64_t bits) {
  return {.element = Element::kInt, .bits = bits, .asymmetric = true, .scale = ScaleType::kFp16};
}
constexpr WeightFormat kFp8Row = {
    .element = Element::kFp8E4m3Fn, .bits = 8, .scale = ScaleType::kFp32};
constexpr WeightFormat kNvfp4Row = {
    .element = Element::kFp4E2m1, .bits = 4, .scale = ScaleType::kE4m3, .group_size = 16};

// In the order of the enumerators.
constexpr std::array<KvFacts, 19> kFacts = {{{KvFormat::kBf16, "bf16", {}},
                                             {KvFormat::kInt8, "int8", int_row(8)},
                                             {KvFormat::kInt4, "int4", int_row(4)},
                                             {KvFormat::kInt3, "int3", int_row(3)},
                                             {KvFormat::kInt2, "int2", int_row(2)},
                                             {KvFormat::kFp8, "fp8", kFp8Row},
                                             {KvFormat::kNvfp4, "nvfp4", kNvfp4Row},
                                             {KvFormat::kInt8C32, "int8_c32", int_row(8), 32},
                                             {KvFormat::kInt8C64, "int8_c64", int_row(8), 64},
                                             {KvFormat::kInt8C128, "int8_c128", int_row(8), 128},
                                             {KvFormat::kInt4C32, "int4_c32", int_row(4), 32},
                                             {KvFormat::kInt4C64, "int4_c64", int_row(4), 64},
                                             {KvFormat::kInt4C128, "int4_c128", int_row(4), 128},
                                             {KvFormat::kInt3C32, "int3_c32", int_row(3), 32},
                                             {KvFormat::kInt3C64, "int3_c64", int_row(3), 64},
                                             {KvFormat::kInt3C128, "int3_c128", int_row(3), 128},
                                             {KvFormat::kInt2C32, "int2_c32", int_row(2), 32},
                                             {KvFormat::kInt2C64, "int2_c64", int_row(2), 64},
                                             {KvFormat::kInt2C128, "int2_c128", int_row(2), 128}}};

}  // namespace

const KvFacts& kv_facts(KvFormat format) {
  return kFacts[static_cast<size_t>(format)];
}

std::span<const KvFacts> all_kv_formats() {
  return kFacts;
}

std::string format_name(KvFormat format) {
  return std::string(kv_facts(format).name);
}

Result<KvFormat> parse_kv_format(std::string_view name) {
  std::vector<std::string> legal;
  for (const KvFacts& facts : kFacts) {
    if (facts.name == name) return facts.format;
    legal.emplace_back(facts.name);
  }
  return unknown_format("kv", name, fmt::format("one of {}", fmt::join(legal, ", ")), legal);
}

int64_t stored_bits_per_kv_vector(KvFormat format, int64_t head_dim) {
  const KvFacts& facts = kv_facts(format);
  if (facts.channel_tokens > 0) {
    // Every channel has a group of its own.
    const int64_t group = stored_bits_per_row(facts.row, facts.channel_tokens);
    return (group * head_dim + facts.channel_tokens - 1) / facts.channel_tokens;
  }
  const int64_t vector_scale = facts.row.scale == ScaleType::kE4m3 ? kFp32Bits : 0;
  return stored_bits_per_row(facts.row, head_dim) + vector_scale;
}

int64_t exact_from(KvFormat format, int64_t position) {
  const int64_t tokens = kv_facts(format).channel_tokens;
  return tokens == 0 ? position + 1 : (position + 1) / tokens * tokens;
}

void quantize_kv(KvFormat format, int64_t vectors, int64_t head_dim, float* x) {
  const KvFacts& facts = kv_facts(format);
  DOVETAIL_CHECK(facts.channel_tokens == 0);
  const Rounding rounding{.scale = plain_rule(facts.row)};
  if (facts.row.scale != ScaleType::kE4m3) {
    quantize_rows(facts.row, rounding, vectors, head_dim, x, x);
    return;
  }
  for (int64_t i = 0; i < vectors; ++i)
    quantize_rows(facts.row, rounding, 1, head_dim, x + i * head_dim, x + i * head_dim);
}

void quantize_key_group(KvFormat format, int64_t channels, int64_t token_stride,
                        int64_t channel_stride, float* x) {
  constexpr int64_t kChannelsAtOnce = 256;  // few enough for one thread: callers have their own
  const KvFacts& facts = kv_facts(format);
  const int64_t tokens = facts.channel_tokens;
  DOVETAIL_CHECK(tokens > 0);
  std::vector<float> group;  // (channels, tokens)
  for (int64_t first = 0; first < channels; first += kChannelsAtOnce) {
    const int64_t count = std::min(kChannelsAtOnce, channels - first);
    float* from = x + first * channel_stride;
    group.clear();
    for (int64_t c = 0; c < count; ++c)
      for (int64_t t = 0; t < tokens; ++t)
        group.push_back(from[t * token_stride + c * channel_stride]);
    quantize_rows(facts.row, {.scale = plain_rule(facts.row)}, count, tokens, group.data(),
                  group.data());
    for (int64_t c = 0; c < count; ++c)
      for (int64_t t = 0; t < tokens; ++t)
        from[t * token_stride + c * channel_stride] = group[static_cast<size_t>(c * tokens + t)];
  }
}

}  // namespace dovetail::formats
