#include <fmt/format.h>

#include "base/hash.h"
#include "base/parallel.h"
#include "model/model.h"

namespace dovetail::model {
namespace {

// Every tensor of the model in one fixed order.
std::vector<const std::vector<float>*> tensors_of(const Weights& weights) {
  std::vector<const std::vector<float>*> tensors = {&weights.embedding.values, &weights.head.values,
                                                    &weights.final_norm};
  for (const LayerWeights& layer : weights.layers) {
    for (const Matrix* matrix :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      tensors.push_back(&matrix->values);
    }
    for (const std::vector<float>* vector :
         {&layer.q_bias, &layer.k_bias, &layer.v_bias, &layer.attn_norm, &layer.mlp_norm}) {
      tensors.push_back(vector);
    }
  }
  return tensors;
}

// The name is left out: the same weights under another file name are the same model.
std::string shape_text(const ModelShape& s) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {:a} {:a} {} {}", static_cast<int>(s.family),
                     s.num_layers, s.hidden_size, s.intermediate_size, s.num_heads, s.num_kv_heads,
                     s.head_dim, s.vocab_size, s.max_positions, s.rope_theta, s.rms_norm_eps,
                     s.tied_embedding, s.qkv_bias);
}

}  // namespace

// A tree of two levels, so that all cores hash: chunks of each tensor, then the list of sums.
std::string weights_digest(const Weights& weights) {
  constexpr size_t kChunk = size_t{1} << 22;
  struct Part {
    const float* start;
    size_t count;
  };
  std::vector<Part> parts;
  std::string root_text = shape_text(weights.shape);
  for (const std::vector<float>* tensor : tensors_of(weights)) {
    root_text += fmt::format("\n{}", tensor->size());
    for (size_t at = 0; at < tensor->size(); at += kChunk) {
      parts.push_back({tensor->data() + at, std::min(kChunk, tensor->size() - at)});
    }
  }
  std::vector<std::string> sums(parts.size());
  parallel_for(static_cast<int64_t>(parts.size()), [&](int64_t i, int64_t) {
    Sha256 hash;
    hash.update(parts[static_cast<size_t>(i)].start,
                parts[static_cast<size_t>(i)].count * sizeof(float));
    sums[static_cast<size_t>(i)] = hash.hex();
  });
  for (const std::string& sum : sums) root_text += "\n" + sum;
  return sha256_hex(root_text);
}

}  // namespace dovetail::model
