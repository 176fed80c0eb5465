// One description of a decoder-only transformer, whatever file it came from.
//
// Families: Llama (SmolLM2 included), Qwen2 (biases on q, k, v) and Qwen3 (RMS norms of every query
// and key head before RoPE, no biases). Weights are decoded to FP32.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

enum class Family : uint8_t { kLlama, kQwen2, kQwen3 };

// "llama": what config.json calls model_type and GGUF calls general.architecture.
[[nodiscard]] std::string_view family_name(Family family);
// Errors: kInvalidArgument, "`key` = `name`, want llama, qwen2 or qwen3" behind `where`.
[[nodiscard]] Result<Family> parse_family(std::string_view name, std::string_view where,
                                          std::string_view key);

// Shapes alone; a config.json gives one without weights. Every count is 1..2^31 (layers 1..2^14)
// and checked so that no product of two dimensions and 8 overflows.
struct ModelShape {
  Family family = Family::kLlama;
  std::string name;  // "smollm2-135m"
  int64_t num_layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads
  int64_t head_dim = 0;      // even
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  double rope_theta = 10000.0;
  std::vector<float> rope_divisors =
      {};  // (head_dim / 2) divide the rotary frequencies; empty: none
  double rms_norm_eps = 1e-5;
  bool tied_embedding = true;  // the head is the embedding
  bool qkv_bias = false;
  bool qk_norm = false;  // an RMS norm over head_dim on each head of q and k, before RoPE

  [[nodiscard]] int64_t q_size() const { return num_heads * head_dim; }
  [[nodiscard]] int64_t kv_size() const { return num_kv_heads * head_dim; }
  // Parameters of the linears of the blocks, of the head, and of everything.
  [[nodiscard]] int64_t num_block_linear_weights() const;
  [[nodiscard]] int64_t num_head_weights() const { return vocab_size * hidden_size; }
  [[nodiscard]] int64_t num_parameters() const;
};

// (rows, cols) row-major; a linear computes y = W x with rows = output, cols = input features.
struct Matrix {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<float> values;
};

struct LayerWeights {
  Matrix q;     // (num_heads * head_dim, hidden)     Hugging Face rope layout: halves, not pairs
  Matrix k;     // (num_kv_heads * head_dim, hidden)  the same
  Matrix v;     // (num_kv_heads * head_dim, hidden)
  Matrix o;     // (hidden, num_heads * head_dim)
  Matrix gate;  // (intermediate, hidden)
  Matrix up;    // (intermediate, hidden)
  Matrix down;  // (hidden, intermediate)
  std::vector<float> q_bias, k_bias, v_bias;  // empty without biases
  std::vector<float> q_norm, k_norm;          // (head_dim) shared by all heads; empty without
  std::vector<float> attn_norm, mlp_norm;     // (hidden)
};

struct Weights {
  ModelShape shape;
  Matrix embedding;  // (vocab, hidden)
  Matrix head;       // (vocab, hidden); empty when tied
  std::vector<float> final_norm;
  std::vector<LayerWeights> layers;

  [[nodiscard]] const Matrix& head_matrix() const {
    return shape.tied_embedding ? embedding : head;
  }
};

// Reads the shape from a GGUF file, a Hugging Face folder or a config.json alone.
// Errors: kNotFound, kInvalidArgument naming file, key, value and what was wanted.
[[nodiscard]] Result<ModelShape> load_shape(const std::string& path);

// Reads shape and weights (GGUF file, or a folder with config.json and safetensors). The file is
// memory-mapped; no length in it is trusted. Errors: as load_shape.
[[nodiscard]] Result<Weights> load_weights(const std::string& path);

// SHA-256 over shape and decoded weights, for keys of stored results.
[[nodiscard]] std::string weights_digest(const Weights& weights);

}  // namespace dovetail::model
