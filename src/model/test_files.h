// Writers of small model files for the tests of this folder. They write what a test says, right or
// wrong, and share no code with the readers.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/test_folder.h"
#include "model/model.h"

namespace dovetail::model {

template <typename T>
void put(std::string& bytes, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  bytes.append(raw, sizeof(T));
}

inline void put_text(std::string& bytes, const std::string& text) {
  put<uint64_t>(bytes, text.size());
  bytes += text;
}

inline std::string write_temporary(const std::string& name, const std::string& bytes) {
  const std::string folder = test_folder().string();
  std::ofstream(folder + "/" + name, std::ios::binary) << bytes;
  return folder + "/" + name;
}

// A GGUF file as parts, so that a test can spoil one.
struct GgufParts {
  uint32_t version = 3;
  std::vector<std::pair<std::string, std::string>> values;  // key, bytes of type and value
  struct Tensor {
    std::string name;
    std::vector<uint64_t> dims;
    uint32_t type = 0;
    uint64_t offset = 0;
  };
  std::vector<Tensor> tensors;
  std::string data;
  int64_t extra_values = 0;  // added to the count that the header states
  int64_t extra_tensors = 0;
  uint64_t alignment = 32;

  void integer(const std::string& key, uint32_t value) {
    std::string bytes;
    put<uint32_t>(bytes, 4);
    put<uint32_t>(bytes, value);
    values.emplace_back(key, bytes);
  }
  void number(const std::string& key, float value) {
    std::string bytes;
    put<uint32_t>(bytes, 6);
    put<float>(bytes, value);
    values.emplace_back(key, bytes);
  }
  void text(const std::string& key, const std::string& value) {
    std::string bytes;
    put<uint32_t>(bytes, 8);
    put_text(bytes, value);
    values.emplace_back(key, bytes);
  }
  // dims in the order of the file: contiguous first.
  void tensor_f32(const std::string& name, const std::vector<uint64_t>& dims,
                  const std::vector<float>& numbers) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    tensors.push_back({name, dims, 0, data.size()});
    data.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  }

  [[nodiscard]] std::string directory() const {
    std::string bytes = "GGUF";
    put<uint32_t>(bytes, version);
    put<uint64_t>(bytes,
                  static_cast<uint64_t>(static_cast<int64_t>(tensors.size()) + extra_tensors));
    put<uint64_t>(bytes, static_cast<uint64_t>(static_cast<int64_t>(values.size()) + extra_values));
    for (const auto& [key, value] : values) {
      put_text(bytes, key);
      bytes += value;
    }
    for (const Tensor& tensor : tensors) {
      put_text(bytes, tensor.name);
      put<uint32_t>(bytes, static_cast<uint32_t>(tensor.dims.size()));
      for (const uint64_t dim : tensor.dims) put<uint64_t>(bytes, dim);
      put<uint32_t>(bytes, tensor.type);
      put<uint64_t>(bytes, tensor.offset);
    }
    return bytes;
  }
  [[nodiscard]] std::string bytes() const {
    std::string all = directory();
    all.resize((all.size() + alignment - 1) / alignment * alignment);
    return all + data;
  }
};

// Rows of every head interleaved as llama.cpp stores them: row 2 i is channel i of the first half,
// row 2 i + 1 of the second.
inline std::vector<float> interleaved(const std::vector<float>& rows, int64_t heads,
                                      int64_t head_dim, int64_t cols) {
  std::vector<float> stored;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < head_dim / 2; ++i) {
      for (int64_t half = 0; half < 2; ++half) {
        const int64_t row = head * head_dim + half * (head_dim / 2) + i;
        stored.insert(stored.end(), rows.begin() + row * cols, rows.begin() + (row + 1) * cols);
      }
    }
  }
  return stored;
}

inline GgufParts gguf_of(const Weights& w) {
  const ModelShape& s = w.shape;
  const bool llama = s.family == Family::kLlama;
  const std::string arch = llama ? "llama" : s.qk_norm ? "qwen3" : "qwen2";
  GgufParts parts;
  parts.text("general.architecture", arch);
  parts.integer(arch + ".block_count", static_cast<uint32_t>(s.num_layers));
  parts.integer(arch + ".context_length", static_cast<uint32_t>(s.max_positions));
  parts.integer(arch + ".embedding_length", static_cast<uint32_t>(s.hidden_size));
  parts.integer(arch + ".feed_forward_length", static_cast<uint32_t>(s.intermediate_size));
  parts.integer(arch + ".attention.head_count", static_cast<uint32_t>(s.num_heads));
  parts.integer(arch + ".attention.head_count_kv", static_cast<uint32_t>(s.num_kv_heads));
  parts.integer(arch + ".attention.key_length", static_cast<uint32_t>(s.head_dim));
  parts.number(arch + ".rope.freq_base", static_cast<float>(s.rope_theta));
  parts.number(arch + ".attention.layer_norm_rms_epsilon", static_cast<float>(s.rms_norm_eps));
  const auto matrix = [&](const std::string& name, const Matrix& m) {
    parts.tensor_f32(name, {static_cast<uint64_t>(m.cols), static_cast<uint64_t>(m.rows)},
                     m.values);
  };
  const auto vector = [&](const std::string& name, const std::vector<float>& v) {
    if (!v.empty()) parts.tensor_f32(name, {v.size()}, v);
  };
  const auto rotary = [&](const std::string& name, Matrix m, int64_t heads) {
    if (llama) m.values = interleaved(m.values, heads, s.head_dim, m.cols);
    matrix(name, m);
  };
  const auto rotary_bias = [&](const std::string& name, const std::vector<float>& v,
                               int64_t heads) {
    vector(name, llama && !v.empty() ? interleaved(v, heads, s.head_dim, 1) : v);
  };
  matrix("token_embd.weight", w.embedding);
  vector("output_norm.weight", w.final_norm);
  if (!s.tied_embedding) matrix("output.weight", w.head);
  for (size_t l = 0; l < w.layers.size(); ++l) {
    const LayerWeights& layer = w.layers[l];
    const std::string at = fmt::format("blk.{}.", l);
    vector(at + "attn_norm.weight", layer.attn_norm);
    vector(at + "ffn_norm.weight", layer.mlp_norm);
    rotary(at + "attn_q.weight", layer.q, s.num_heads);
    rotary(at + "attn_k.weight", layer.k, s.num_kv_heads);
    matrix(at + "attn_v.weight", layer.v);
    matrix(at + "attn_output.weight", layer.o);
    rotary_bias(at + "attn_q.bias", layer.q_bias, s.num_heads);
    rotary_bias(at + "attn_k.bias", layer.k_bias, s.num_kv_heads);
    vector(at + "attn_v.bias", layer.v_bias);
    vector(at + "attn_q_norm.weight", layer.q_norm);
    vector(at + "attn_k_norm.weight", layer.k_norm);
    matrix(at + "ffn_gate.weight", layer.gate);
    matrix(at + "ffn_up.weight", layer.up);
    matrix(at + "ffn_down.weight", layer.down);
  }
  return parts;
}

// Named FP32 tensors under Hugging Face names.
struct NamedTensor {
  std::string name;
  std::vector<int64_t> dims;
  const std::vector<float>* values = nullptr;
};

inline std::vector<NamedTensor> hugging_face_tensors(const Weights& w) {
  std::vector<NamedTensor> tensors;
  const auto matrix = [&](const std::string& name, const Matrix& m) {
    tensors.push_back({name, {m.rows, m.cols}, &m.values});
  };
  const auto vector = [&](const std::string& name, const std::vector<float>& v) {
    if (!v.empty()) tensors.push_back({name, {static_cast<int64_t>(v.size())}, &v});
  };
  matrix("model.embed_tokens.weight", w.embedding);
  vector("model.norm.weight", w.final_norm);
  if (!w.shape.tied_embedding) matrix("lm_head.weight", w.head);
  for (size_t l = 0; l < w.layers.size(); ++l) {
    const LayerWeights& layer = w.layers[l];
    const std::string at = fmt::format("model.layers.{}.", l);
    vector(at + "input_layernorm.weight", layer.attn_norm);
    vector(at + "post_attention_layernorm.weight", layer.mlp_norm);
    matrix(at + "self_attn.q_proj.weight", layer.q);
    matrix(at + "self_attn.k_proj.weight", layer.k);
    matrix(at + "self_attn.v_proj.weight", layer.v);
    matrix(at + "self_attn.o_proj.weight", layer.o);
    vector(at + "self_attn.q_proj.bias", layer.q_bias);
    vector(at + "self_attn.k_proj.bias", layer.k_bias);
    vector(at + "self_attn.v_proj.bias", layer.v_bias);
    vector(at + "self_attn.q_norm.weight", layer.q_norm);
    vector(at + "self_attn.k_norm.weight", layer.k_norm);
    matrix(at + "mlp.gate_proj.weight", layer.gate);
    matrix(at + "mlp.up_proj.weight", layer.up);
    matrix(at + "mlp.down_proj.weight", layer.down);
  }
  return tensors;
}

inline std::string safetensors_with_header(const std::string& header, const std::string& data) {
  std::string bytes;
  put<uint64_t>(bytes, header.size());
  return bytes + header + data;
}

inline std::string safetensors_of(const std::vector<NamedTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  std::string data;
  for (const NamedTensor& tensor : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values->data()),
                tensor.values->size() * sizeof(float));
    header += fmt::format(R"(,"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                          tensor.name, fmt::join(tensor.dims, ","), begin, data.size());
  }
  return safetensors_with_header(header + "}", data);
}

inline std::string config_json_of(const ModelShape& s) {
  const std::string head_dim = s.head_dim * s.num_heads == s.hidden_size && !s.qk_norm
                                   ? std::string()
                                   : fmt::format(R"("head_dim":{},)", s.head_dim);
  return "{" + head_dim +
         fmt::format(
             R"("model_type":"{}","hidden_size":{},"intermediate_size":{},"num_hidden_layers":{},)"
             R"("num_attention_heads":{},"num_key_value_heads":{},"vocab_size":{},"max_position_embeddings":{},)"
             R"("rope_theta":{},"rms_norm_eps":{},"hidden_act":"silu","tie_word_embeddings":{}}})",
             s.family == Family::kLlama ? "llama"
             : s.qk_norm                ? "qwen3"
                                        : "qwen2",
             s.hidden_size, s.intermediate_size, s.num_layers, s.num_heads, s.num_kv_heads,
             s.vocab_size, s.max_positions, s.rope_theta, s.rms_norm_eps, s.tied_embedding);
}

}  // namespace dovetail::model
