// Formats of cached keys and values: facts and rounding. Keys are cached after RoPE.
//
// Per token: each cached vector (key or value of one token and head) is a row of its own of a
// weight format, under the plain rule: int{8,4,3,2}: asymmetric, FP16 scale and integer zero point;
// fp8: E4M3FN with an FP32 scale; nvfp4: blocks of 16 with an E4M3 scale and an FP32 scale per
// vector.
//
// Per channel (keys alone), int{8,4,3,2}_c{32,64,128}: the values that one channel has in so many
// consecutive tokens, counted from the first of the sequence, are one group of the asymmetric
// integer format. A group is rounded when its last token has been cached; until then its keys stay
// bf16 and are read as they are (the residual window): a query at position t sees those of
// positions 0 .. exact_from(format, t) - 1 rounded. Source: Liu et al., KIVI, arXiv:2402.02750.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "formats/format.h"

namespace dovetail::formats {

struct KvFacts {
  KvFormat format = KvFormat::kBf16;
  std::string_view name;
  WeightFormat row;            // of one group or vector
  int64_t channel_tokens = 0;  // tokens of a group per channel; 0: per token
};
[[nodiscard]] const KvFacts& kv_facts(KvFormat format);
// bf16 first.
[[nodiscard]] std::span<const KvFacts> all_kv_formats();
[[nodiscard]] inline bool is_per_channel(KvFormat format) {
  return kv_facts(format).channel_tokens > 0;
}
// The first position that a query at `position` sees unrounded; per token: position + 1.
[[nodiscard]] int64_t exact_from(KvFormat format, int64_t position);

// x (vectors, head_dim) in place. Not for formats per channel. kBf16 rounds to bf16.
void quantize_kv(KvFormat format, int64_t vectors, int64_t head_dim, float* x);

// One finished group of a format per channel, in place: element (token, channel) of its
// channel_tokens tokens is x[token * token_stride + channel * channel_stride].
void quantize_key_group(KvFormat format, int64_t channels, int64_t token_stride,
                        int64_t channel_stride, float* x);

}  // namespace dovetail::formats
