#include "model/weights_reader.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "model/compressed_tensors.h"
#include "model/gguf_model.h"
#include "model/hf_config.h"

namespace dovetail::model {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr const char* kFinalNorm = "model.norm.weight";

std::string layer_prefix(int64_t index) {
  return fmt::format("model.layers.{}.", index);
}

// One tensor of a layer: its name behind the layer's prefix, its size, and where it goes.
struct LayerMatrix {
  const char* name;
  int64_t rows;
  int64_t cols;
  Matrix LayerWeights::* to;
};
struct LayerVector {
  const char* name;
  int64_t size;
  std::vector<float> LayerWeights::* to;
};

std::array<LayerMatrix, 7> matrices_of(const ModelShape& s) {
  return {{{"self_attn.q_proj.weight", s.q_size(), s.hidden_size, &LayerWeights::q},
           {"self_attn.k_proj.weight", s.kv_size(), s.hidden_size, &LayerWeights::k},
           {"self_attn.v_proj.weight", s.kv_size(), s.hidden_size, &LayerWeights::v},
           {"self_attn.o_proj.weight", s.hidden_size, s.q_size(), &LayerWeights::o},
           {"mlp.gate_proj.weight", s.intermediate_size, s.hidden_size, &LayerWeights::gate},
           {"mlp.up_proj.weight", s.intermediate_size, s.hidden_size, &LayerWeights::up},
           {"mlp.down_proj.weight", s.hidden_size, s.intermediate_size, &LayerWeights::down}}};
}

std::vector<LayerVector> vectors_of(const ModelShape& s) {
  std::vector<LayerVector> vectors = {
      {"input_layernorm.weight", s.hidden_size, &LayerWeights::attn_norm},
      {"post_attention_layernorm.weight", s.hidden_size, &LayerWeights::mlp_norm}};
  if (s.qkv_bias) {
    vectors.push_back({"self_attn.q_proj.bias", s.q_size(), &LayerWeights::q_bias});
    vectors.push_back({"self_attn.k_proj.bias", s.kv_size(), &LayerWeights::k_bias});
    vectors.push_back({"self_attn.v_proj.bias", s.kv_size(), &LayerWeights::v_bias});
  }
  if (s.qk_norm) {
    vectors.push_back({"self_attn.q_norm.weight", s.head_dim, &LayerWeights::q_norm});
    vectors.push_back({"self_attn.k_norm.weight", s.head_dim, &LayerWeights::k_norm});
  }
  return vectors;
}

Status check_exists(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return {};
  return not_found(
      fmt::format("{}: no such file or folder, want a GGUF file, a folder with "
                  "config.json, or a config.json",
                  path));
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

bool is_config(const std::string& path) {
  return std::filesystem::path(path).extension() == ".json";
}

}  // namespace

Result<WeightsReader> WeightsReader::open(const std::string& path) {
  DOVETAIL_TRY_STATUS(check_exists(path));
  if (is_folder(path)) {
    DOVETAIL_TRY(const ModelShape shape, read_hf_config(path + "/config.json"));
    DOVETAIL_TRY(auto source, open_folder_tensors(path));
    return WeightsReader(path, shape, std::move(source));
  }
  if (is_config(path)) {
    return invalid_argument(
        fmt::format("{}: a config.json holds no weights, want a GGUF file or a "
                    "folder with safetensors",
                    path));
  }
  DOVETAIL_TRY(GgufFile file, open_gguf(path));
  DOVETAIL_TRY(const ModelShape shape, gguf_shape(file));
  return WeightsReader(path, shape, gguf_tensor_source(std::move(file), shape));
}

Result<Matrix> WeightsReader::matrix(const std::string& name, int64_t rows, int64_t cols) const {
  DOVETAIL_TRY(auto values, source_->read(name, rows, cols));
  source_->release();
  return Matrix{rows, cols, std::move(values)};
}

Result<LayerWeights> WeightsReader::layer(int64_t index) const {
  DOVETAIL_CHECK(index >= 0 && index < shape_.num_layers);
  LayerWeights layer;
  for (const LayerVector& vector : vectors_of(shape_)) {
    DOVETAIL_TRY(layer.*vector.to,
                 source_->read(layer_prefix(index) + vector.name, 1, vector.size));
  }
  for (const LayerMatrix& part : matrices_of(shape_)) {
    DOVETAIL_TRY(layer.*part.to, matrix(layer_prefix(index) + part.name, part.rows, part.cols));
  }
  return layer;
}

Result<Matrix> WeightsReader::embedding() const {
  return matrix(kEmbedding, shape_.vocab_size, shape_.hidden_size);
}

Result<Matrix> WeightsReader::embedding_of(const std::vector<int32_t>& ids) const {
  const int64_t h = shape_.hidden_size;
  Matrix rows{.rows = std::ssize(ids), .cols = h, .values = {}};
  rows.values.resize(ids.size() * static_cast<size_t>(h));
  // Every distinct row is read once, in the order of the file.
  std::vector<std::pair<int32_t, int64_t>> wanted;
  for (size_t i = 0; i < ids.size(); ++i) wanted.emplace_back(ids[i], static_cast<int64_t>(i));
  std::ranges::sort(wanted);
  std::vector<float> row;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto [id, at] = wanted[i];
    DOVETAIL_CHECK(id >= 0 && id < shape_.vocab_size);
    if (i == 0 || wanted[i - 1].first != id) {
      DOVETAIL_TRY(row, source_->read_rows(kEmbedding, shape_.vocab_size, h, id, 1));
    }
    std::ranges::copy(row, rows.values.begin() + at * h);
  }
  source_->release();
  return rows;
}

Result<Matrix> WeightsReader::head() const {
  if (shape_.tied_embedding) return Matrix{};  // transformers ties whatever the file holds
  return matrix(kHead, shape_.vocab_size, shape_.hidden_size);
}

Result<std::vector<float>> WeightsReader::final_norm() const {
  return source_->read(kFinalNorm, 1, shape_.hidden_size);
}

Status WeightsReader::check_no_tensor_is_left() const {
  std::set<std::string> left = source_->names();
  for (const char* name : {kEmbedding, kHead, kFinalNorm}) left.erase(name);
  for (int64_t index = 0; index < shape_.num_layers && !left.empty(); ++index) {
    for (const LayerMatrix& part : matrices_of(shape_)) left.erase(layer_prefix(index) + part.name);
    for (const LayerVector& part : vectors_of(shape_)) left.erase(layer_prefix(index) + part.name);
  }
  for (const std::string& name : left) {
    if (name.ends_with("rotary_emb.inv_freq")) continue;  // old checkpoints store this constant
    return invalid_argument(
        fmt::format("{}: tensor {} belongs to no supported architecture", path_, name));
  }
  return {};
}

Result<ModelShape> load_shape(const std::string& path) {
  DOVETAIL_TRY_STATUS(check_exists(path));
  if (is_folder(path)) return read_hf_config(path + "/config.json");
  if (is_config(path)) return read_hf_config(path);
  DOVETAIL_TRY(const GgufFile file, open_gguf(path));
  return gguf_shape(file);
}

Result<Weights> load_weights(const std::string& path) {
  DOVETAIL_TRY(const WeightsReader reader, WeightsReader::open(path));
  // Grows layer by layer, so that a hostile count of layers fails on the first one that is absent.
  Weights weights;
  weights.shape = reader.shape();
  DOVETAIL_TRY(weights.embedding, reader.embedding());
  for (int64_t index = 0; index < weights.shape.num_layers; ++index) {
    DOVETAIL_TRY(LayerWeights layer, reader.layer(index));
    weights.layers.push_back(std::move(layer));
  }
  DOVETAIL_TRY(weights.final_norm, reader.final_norm());
  DOVETAIL_TRY(weights.head, reader.head());
  DOVETAIL_TRY_STATUS(reader.check_no_tensor_is_left());
  return weights;
}

}  // namespace dovetail::model
