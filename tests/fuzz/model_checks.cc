#include "model_checks.h"

#include <algorithm>
#include <cmath>

#include "fuzz_target.h"
#include "model/tokenizer.h"

namespace dovetail::fuzz {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 31;

void require_matrix(const model::Matrix& matrix, int64_t rows, int64_t cols) {
  require(matrix.rows == rows && matrix.cols == cols, "a matrix has the shape of the model");
  require(static_cast<int64_t>(matrix.values.size()) == rows * cols, "a matrix is complete");
  require(std::ranges::all_of(matrix.values, [](float v) { return std::isfinite(v); }),
          "weights are finite");
}

// True if every single byte survives encoding and decoding: then any text must.
bool covers_all_bytes(const model::Tokenizer& tokenizer) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    if (tokenizer.decode(tokenizer.encode(text)) != text) return false;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

}  // namespace

void require_sound(const model::ModelShape& shape) {
  for (const int64_t count :
       {shape.num_layers, shape.hidden_size, shape.intermediate_size, shape.num_heads,
        shape.num_kv_heads, shape.head_dim, shape.vocab_size, shape.max_positions}) {
    require(count >= 1 && count <= kMaxCount, "every count is 1..2^31");
  }
  require(shape.num_heads % shape.num_kv_heads == 0, "KV heads divide the heads");
  require(shape.head_dim % 2 == 0, "the head dimension is even");
  require(std::isfinite(shape.rope_theta) && shape.rope_theta > 0, "rope theta is positive");
  require(std::isfinite(shape.rms_norm_eps) && shape.rms_norm_eps > 0, "epsilon is positive");
  require(shape.num_parameters() > 0 && shape.num_block_linear_weights() > 0,
          "the number of parameters does not overflow");
}

void require_sound(const model::Weights& weights) {
  const model::ModelShape& shape = weights.shape;
  require_sound(shape);
  require(static_cast<int64_t>(weights.layers.size()) == shape.num_layers, "all layers are there");
  require_matrix(weights.embedding, shape.vocab_size, shape.hidden_size);
  require_matrix(weights.head_matrix(), shape.vocab_size, shape.hidden_size);
  for (const model::LayerWeights& layer : weights.layers) {
    require_matrix(layer.q, shape.q_size(), shape.hidden_size);
    require_matrix(layer.k, shape.kv_size(), shape.hidden_size);
    require_matrix(layer.v, shape.kv_size(), shape.hidden_size);
    require_matrix(layer.o, shape.hidden_size, shape.q_size());
    require_matrix(layer.gate, shape.intermediate_size, shape.hidden_size);
    require_matrix(layer.up, shape.intermediate_size, shape.hidden_size);
    require_matrix(layer.down, shape.hidden_size, shape.intermediate_size);
    require(layer.attn_norm.size() == layer.mlp_norm.size(), "both norms have the hidden size");
    require(layer.q_bias.empty() != shape.qkv_bias, "biases are there if the shape says so");
    require(layer.q_norm.empty() != shape.qk_norm, "norms of heads are there if the shape says so");
  }
}

void require_sound_tokenizer(const std::string& path, const Result<model::TokenizerParts>& parts,
                             std::string_view text) {
  const auto tokenizer = model::load_tokenizer(path);
  if (!tokenizer.has_value()) {
    require_good_error(tokenizer.error(), path);
    return;
  }
  note_accepted();
  require(parts.has_value(), "a tokenizer is loaded from parts that can be read");
  const int64_t size = tokenizer->vocab_size();
  require(size == static_cast<int64_t>(parts->tokens.size()), "every token is in the vocabulary");
  require(tokenizer->eos_id() < size && tokenizer->bos_id() < size, "special ids are tokens");
  const std::vector<int32_t> ids = tokenizer->encode(text);
  require(std::ranges::all_of(ids, [&](int32_t id) { return id >= 0 && id < size; }),
          "encoding gives ids of the vocabulary");
  const std::string decoded = tokenizer->decode(ids);
  // An added token may swallow spaces around it, and NFC changes text beyond ASCII.
  const bool keeps_text = parts->added.empty() && (!parts->nfc || is_ascii(text));
  if (keeps_text && covers_all_bytes(*tokenizer)) {
    require(decoded == text, "decoding gives the text back");
  }
}

}  // namespace dovetail::fuzz
