#include "model/weights_digest.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/parallel.h"
#include "model/model.h"

namespace dovetail::model {
namespace {

// The name is left out: the same weights under another file name are the same model.
std::string shape_text(const ModelShape& s) {
  std::string text = fmt::format(
      "{} {} {} {} {} {} {} {} {} {:a} {:a} {} {}", static_cast<int>(s.family), s.num_layers,
      s.hidden_size, s.intermediate_size, s.num_heads, s.num_kv_heads, s.head_dim, s.vocab_size,
      s.max_positions, s.rope_theta, s.rms_norm_eps, s.tied_embedding, s.qkv_bias);
  for (const float divisor : s.rope_divisors) text += fmt::format(" {:a}", divisor);
  return text;
}

}  // namespace

WeightsDigest::WeightsDigest(const ModelShape& shape) : sizes_(shape_text(shape)) {}

void WeightsDigest::add(const std::vector<float>& tensor) {
  constexpr size_t kChunk = size_t{1} << 22;
  sizes_ += fmt::format("\n{}", tensor.size());
  const size_t chunks = (tensor.size() + kChunk - 1) / kChunk;
  std::vector<std::string> sums(chunks);
  parallel_for(static_cast<int64_t>(chunks), [&](int64_t i, int64_t) {
    const size_t at = static_cast<size_t>(i) * kChunk;
    Sha256 hash;
    hash.update(tensor.data() + at, std::min(kChunk, tensor.size() - at) * sizeof(float));
    sums[static_cast<size_t>(i)] = hash.hex();
  });
  for (const std::string& sum : sums) sums_ += "\n" + sum;
}

void WeightsDigest::add(const LayerWeights& layer) {
  for (const Matrix* matrix :
       {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
    add(matrix->values);
  }
  for (const std::vector<float>* vector :
       {&layer.q_bias, &layer.k_bias, &layer.v_bias, &layer.attn_norm, &layer.mlp_norm}) {
    add(*vector);
  }
  // Only where there are some: digests of the other families stand in stored results.
  for (const std::vector<float>* vector : {&layer.q_norm, &layer.k_norm}) {
    if (!vector->empty()) add(*vector);
  }
}

std::string WeightsDigest::hex() && {
  return sha256_hex(sizes_ + sums_);
}

std::string weights_digest(const Weights& weights) {
  WeightsDigest digest(weights.shape);
  digest.add(weights.embedding.values);
  digest.add(weights.head.values);
  digest.add(weights.final_norm);
  for (const LayerWeights& layer : weights.layers) digest.add(layer);
  return std::move(digest).hex();
}

}  // namespace dovetail::model
