#include <filesystem>

#include <fmt/format.h>

#include "model/compressed_tensors.h"
#include "model/gguf_model.h"
#include "model/hf_config.h"
#include "model/model.h"
#include "model/tensor_source.h"

namespace dovetail::model {
namespace {

// Takes tensors out of a source and remembers which are left.
class Taker {
 public:
  explicit Taker(const TensorSource& source) : source_(source), left_(source.names()) {}

  Status matrix(const std::string& name, int64_t rows, int64_t cols, Matrix& out) {
    left_.erase(name);
    DOVETAIL_TRY(out.values, source_.read(name, rows, cols));
    out.rows = rows;
    out.cols = cols;
    return {};
  }
  Status vector(const std::string& name, int64_t size, std::vector<float>& out) {
    left_.erase(name);
    DOVETAIL_TRY(out, source_.read(name, 1, size));
    return {};
  }
  void ignore(const std::string& name) { left_.erase(name); }

  // A tensor that nothing used means a variant of the architecture that we would compute wrongly.
  Status finish(const std::string& path) const {
    for (const std::string& name : left_) {
      if (name.ends_with("rotary_emb.inv_freq")) continue;  // old checkpoints store this constant
      return invalid_argument(
          fmt::format("{}: tensor {} belongs to no supported architecture", path, name));
    }
    return {};
  }

 private:
  const TensorSource& source_;
  std::set<std::string> left_;
};

Status load_layer(Taker& taker, const ModelShape& s, int64_t index, LayerWeights& layer) {
  const std::string at = fmt::format("model.layers.{}.", index);
  DOVETAIL_TRY_STATUS(taker.vector(at + "input_layernorm.weight", s.hidden_size, layer.attn_norm));
  DOVETAIL_TRY_STATUS(
      taker.matrix(at + "self_attn.q_proj.weight", s.q_size(), s.hidden_size, layer.q));
  DOVETAIL_TRY_STATUS(
      taker.matrix(at + "self_attn.k_proj.weight", s.kv_size(), s.hidden_size, layer.k));
  DOVETAIL_TRY_STATUS(
      taker.matrix(at + "self_attn.v_proj.weight", s.kv_size(), s.hidden_size, layer.v));
  DOVETAIL_TRY_STATUS(
      taker.matrix(at + "self_attn.o_proj.weight", s.hidden_size, s.q_size(), layer.o));
  if (s.qkv_bias) {
    DOVETAIL_TRY_STATUS(taker.vector(at + "self_attn.q_proj.bias", s.q_size(), layer.q_bias));
    DOVETAIL_TRY_STATUS(taker.vector(at + "self_attn.k_proj.bias", s.kv_size(), layer.k_bias));
    DOVETAIL_TRY_STATUS(taker.vector(at + "self_attn.v_proj.bias", s.kv_size(), layer.v_bias));
  }
  DOVETAIL_TRY_STATUS(
      taker.vector(at + "post_attention_layernorm.weight", s.hidden_size, layer.mlp_norm));
  DOVETAIL_TRY_STATUS(
      taker.matrix(at + "mlp.gate_proj.weight", s.intermediate_size, s.hidden_size, layer.gate));
  DOVETAIL_TRY_STATUS(
      taker.matrix(at + "mlp.up_proj.weight", s.intermediate_size, s.hidden_size, layer.up));
  return taker.matrix(at + "mlp.down_proj.weight", s.hidden_size, s.intermediate_size, layer.down);
}

Result<Weights> take_weights(const TensorSource& source, const ModelShape& shape,
                             const std::string& path) {
  // Grows layer by layer, so that a hostile count of layers fails on the first one that is absent.
  Weights weights;
  weights.shape = shape;
  Taker taker(source);
  DOVETAIL_TRY_STATUS(taker.matrix("model.embed_tokens.weight", shape.vocab_size, shape.hidden_size,
                                   weights.embedding));
  for (int64_t index = 0; index < shape.num_layers; ++index) {
    DOVETAIL_TRY_STATUS(load_layer(taker, shape, index, weights.layers.emplace_back()));
  }
  DOVETAIL_TRY_STATUS(taker.vector("model.norm.weight", shape.hidden_size, weights.final_norm));
  if (shape.tied_embedding) {
    taker.ignore("lm_head.weight");  // transformers ties whatever the file holds
  } else {
    DOVETAIL_TRY_STATUS(
        taker.matrix("lm_head.weight", shape.vocab_size, shape.hidden_size, weights.head));
  }
  DOVETAIL_TRY_STATUS(taker.finish(path));
  return weights;
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

Status check_exists(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return {};
  return not_found(
      fmt::format("{}: no such file or folder, want a GGUF file, a folder with "
                  "config.json, or a config.json",
                  path));
}

}  // namespace

Result<ModelShape> load_shape(const std::string& path) {
  DOVETAIL_TRY_STATUS(check_exists(path));
  if (is_folder(path)) return read_hf_config(path + "/config.json", ConfigUse::kShapeOnly);
  if (std::filesystem::path(path).extension() == ".json") {
    return read_hf_config(path, ConfigUse::kShapeOnly);
  }
  DOVETAIL_TRY(const GgufFile file, open_gguf(path));
  return gguf_shape(file, ConfigUse::kShapeOnly);
}

Result<Weights> load_weights(const std::string& path) {
  DOVETAIL_TRY_STATUS(check_exists(path));
  if (is_folder(path)) {
    DOVETAIL_TRY(const ModelShape shape,
                 read_hf_config(path + "/config.json", ConfigUse::kWeights));
    DOVETAIL_TRY(const auto source, open_folder_tensors(path));
    return take_weights(*source, shape, path);
  }
  if (std::filesystem::path(path).extension() == ".json") {
    return invalid_argument(
        fmt::format("{}: a config.json holds no weights, want a GGUF file or a "
                    "folder with safetensors",
                    path));
  }
  DOVETAIL_TRY(const GgufFile file, open_gguf(path));
  DOVETAIL_TRY(const ModelShape shape, gguf_shape(file, ConfigUse::kWeights));
  return take_weights(*gguf_tensor_source(file, shape), shape, path);
}

}  // namespace dovetail::model
