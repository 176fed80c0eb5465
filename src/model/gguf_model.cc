#include "model/gguf_model.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "model/decode_rows.h"
#include "model/shape.h"

namespace dovetail::model {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view hugging_face;
};

constexpr std::array<NamePair, 3> kOuterNames = {
    {{"token_embd.weight", "model.embed_tokens.weight"},
     {"output_norm.weight", "model.norm.weight"},
     {"output.weight", "lm_head.weight"}}};

// Behind "blk.N." and "model.layers.N.".
constexpr std::array<NamePair, 14> kBlockNames = {
    {{"attn_norm.weight", "input_layernorm.weight"},
     {"ffn_norm.weight", "post_attention_layernorm.weight"},
     {"attn_q.weight", "self_attn.q_proj.weight"},
     {"attn_k.weight", "self_attn.k_proj.weight"},
     {"attn_v.weight", "self_attn.v_proj.weight"},
     {"attn_output.weight", "self_attn.o_proj.weight"},
     {"attn_q.bias", "self_attn.q_proj.bias"},
     {"attn_k.bias", "self_attn.k_proj.bias"},
     {"attn_v.bias", "self_attn.v_proj.bias"},
     {"attn_q_norm.weight", "self_attn.q_norm.weight"},
     {"attn_k_norm.weight", "self_attn.k_norm.weight"},
     {"ffn_gate.weight", "mlp.gate_proj.weight"},
     {"ffn_up.weight", "mlp.up_proj.weight"},
     {"ffn_down.weight", "mlp.down_proj.weight"}}};

template <size_t N>
std::string translate(const std::array<NamePair, N>& pairs, std::string_view name,
                      std::string_view NamePair::* from, std::string_view NamePair::* to) {
  for (const NamePair& pair : pairs) {
    if (pair.*from == name) return std::string(pair.*to);
  }
  return {};
}

// The same tensor in the other naming; names that are in neither table stay as they are.
std::string renamed(const std::string& name, std::string_view prefix, std::string_view other_prefix,
                    std::string_view NamePair::* from, std::string_view NamePair::* to) {
  if (const std::string outer = translate(kOuterNames, name, from, to); !outer.empty())
    return outer;
  if (!name.starts_with(prefix)) return name;
  const size_t dot = name.find('.', prefix.size());
  if (dot == std::string::npos) return name;
  const std::string inner =
      translate(kBlockNames, std::string_view(name).substr(dot + 1), from, to);
  if (inner.empty()) return name;
  return fmt::format("{}{}.{}", other_prefix, name.substr(prefix.size(), dot - prefix.size()),
                     inner);
}

std::string to_hugging_face(const std::string& name) {
  return renamed(name, "blk.", "model.layers.", &NamePair::gguf, &NamePair::hugging_face);
}

std::string to_gguf(const std::string& name) {
  return renamed(name, "model.layers.", "blk.", &NamePair::hugging_face, &NamePair::gguf);
}

// llama.cpp stores query and key rows of the llama architecture so that the two channels of one
// rotation are neighbours; Hugging Face keeps them half a head apart. (rows, cols) in place.
// Source: llama.cpp, convert_hf_to_gguf.py, LlamaModel.permute.
void rotary_pairs_to_halves(std::vector<float>& values, int64_t head_dim, int64_t cols) {
  const auto head_values = static_cast<size_t>(head_dim * cols);
  std::vector<float> head(head_values);
  for (size_t start = 0; start < values.size(); start += head_values) {
    std::copy_n(values.begin() + static_cast<int64_t>(start), head_values, head.begin());
    for (int64_t i = 0; i < head_dim; ++i) {
      const int64_t target = (i % 2) * (head_dim / 2) + i / 2;
      std::copy_n(head.begin() + i * cols, cols,
                  values.begin() + static_cast<int64_t>(start) + target * cols);
    }
  }
}

class GgufSource final : public TensorSource {
 public:
  GgufSource(GgufFile file, const ModelShape& shape) : file_(std::move(file)), shape_(shape) {}

  [[nodiscard]] std::set<std::string> names() const override {
    std::set<std::string> names;
    for (const auto& [name, tensor] : file_.tensors()) {
      const bool in_shape = shape_.family == Family::kLlama && name == kRopeDivisorsName;
      if (!in_shape) names.insert(to_hugging_face(name));
    }
    return names;
  }

  [[nodiscard]] Result<std::vector<float>> read(const std::string& name, int64_t rows,
                                                int64_t cols) const override {
    DOVETAIL_TRY(auto values, read_stored_rows(name, rows, cols, 0, rows));
    if (!has_rotary_rows(shape_, name)) return values;
    const int64_t channel_values = name.ends_with(".bias") ? 1 : cols;
    if (rows * cols % (shape_.head_dim * channel_values) != 0) {
      return invalid_argument(
          fmt::format("{}: tensor {} has {} x {} values, want whole heads of {} channels",
                      file_.path(), to_gguf(name), rows, cols, shape_.head_dim));
    }
    rotary_pairs_to_halves(values, shape_.head_dim, channel_values);
    return values;
  }

  [[nodiscard]] Result<std::vector<float>> read_rows(const std::string& name, int64_t rows,
                                                     int64_t cols, int64_t first,
                                                     int64_t count) const override {
    if (!has_rotary_rows(shape_, name)) return read_stored_rows(name, rows, cols, first, count);
    // Rows of these stand elsewhere in the file: they are put in order as a whole.
    DOVETAIL_TRY(const auto values, read(name, rows, cols));
    const auto begin = values.begin() + first * cols;
    return std::vector<float>(begin, begin + count * cols);
  }

  void release() const override { file_.release_pages(); }

 private:
  // In the order of the file.
  [[nodiscard]] Result<std::vector<float>> read_stored_rows(const std::string& name, int64_t rows,
                                                            int64_t cols, int64_t first,
                                                            int64_t count) const {
    DOVETAIL_CHECK(first >= 0 && count >= 0 && first + count <= rows);
    const std::string stored_name = to_gguf(name);
    const std::string where = fmt::format("{}: tensor {}", file_.path(), stored_name);
    const auto entry = file_.tensors().find(stored_name);
    if (entry == file_.tensors().end()) return invalid_argument(where + " is missing");
    const GgufTensor& tensor = entry->second;
    const int64_t stored_rows = tensor.elements / tensor.dims[0];
    if (tensor.dims[0] != cols || stored_rows != rows) {
      return invalid_argument(fmt::format("{} has dimensions ({}), want ({}, {})", where,
                                          fmt::join(tensor.dims, ", "), cols, rows));
    }
    const TensorTypeFacts& facts = facts_of(tensor.type);
    const auto row_bytes = static_cast<size_t>(cols / facts.block_elements * facts.block_bytes);
    return decode_rows(tensor.type,
                       tensor.bytes.subspan(static_cast<size_t>(first) * row_bytes,
                                            static_cast<size_t>(count) * row_bytes),
                       count, cols, where);
  }

  const GgufFile file_;
  const ModelShape shape_;
};

Result<Family> read_family(const GgufFile& file) {
  DOVETAIL_TRY(const std::string_view architecture, file.text("general.architecture"));
  return parse_family(architecture, file.path(), "general.architecture");
}

// llama.cpp divides by both where a file has both, and takes a factor without a type as linear.
Status read_rope_divisors(const GgufFile& file, const std::string& arch, ModelShape& shape) {
  DOVETAIL_TRY(const auto type, file.find_text(arch + ".rope.scaling.type"));
  if (type.has_value() && *type != "none" && *type != "linear") {
    return invalid_argument(fmt::format("{}: {}.rope.scaling.type = {}, want none or linear",
                                        file.path(), arch, *type));
  }
  DOVETAIL_TRY(const auto attention, file.find_number(arch + ".rope.scaling.attn_factor"));
  if (attention.value_or(1) != 1) {
    return invalid_argument(
        fmt::format("{}: {}.rope.scaling.attn_factor = {}, want 1", file.path(), arch, *attention));
  }
  DOVETAIL_TRY(auto factor, file.find_number(arch + ".rope.scaling.factor"));
  if (!factor.has_value()) {
    DOVETAIL_TRY(factor, file.find_number(arch + ".rope.scale_linear"));
  }
  const bool scaled =
      type.value_or("linear") == "linear" && factor.value_or(0) != 0 && *factor != 1;
  if (scaled) {
    shape.rope_divisors.assign(static_cast<size_t>(shape.head_dim / 2),
                               static_cast<float>(*factor));
  }
  const auto tensor = file.tensors().find(kRopeDivisorsName);
  if (shape.family != Family::kLlama || tensor == file.tensors().end()) return {};
  const std::string where = fmt::format("{}: tensor {}", file.path(), kRopeDivisorsName);
  if (tensor->second.elements != shape.head_dim / 2 ||
      tensor->second.dims[0] != shape.head_dim / 2) {
    return invalid_argument(fmt::format("{} has {} values, want {}", where, tensor->second.elements,
                                        shape.head_dim / 2));
  }
  DOVETAIL_TRY(const auto stored, decode_rows(tensor->second.type, tensor->second.bytes, 1,
                                              shape.head_dim / 2, where));
  if (!scaled) shape.rope_divisors.assign(stored.size(), 1.0F);
  for (size_t i = 0; i < stored.size(); ++i) shape.rope_divisors[i] *= stored[i];
  return {};
}

Status read_head_dim(const GgufFile& file, const std::string& arch, ModelShape& shape) {
  DOVETAIL_TRY(const auto key_length, file.find_integer(arch + ".attention.key_length"));
  DOVETAIL_TRY(const auto value_length, file.find_integer(arch + ".attention.value_length"));
  DOVETAIL_TRY(const auto rotary, file.find_integer(arch + ".rope.dimension_count"));
  if (!key_length.has_value() &&
      (shape.num_heads < 1 || shape.hidden_size % shape.num_heads != 0)) {
    return invalid_argument(fmt::format("{}: {}.embedding_length = {} is no multiple of {} heads",
                                        file.path(), arch, shape.hidden_size, shape.num_heads));
  }
  shape.head_dim = key_length.has_value() ? *key_length : shape.hidden_size / shape.num_heads;
  if (value_length.value_or(shape.head_dim) != shape.head_dim) {
    return invalid_argument(
        fmt::format("{}: {}.attention.value_length = {}, want the key length {}", file.path(), arch,
                    *value_length, shape.head_dim));
  }
  if (rotary.value_or(shape.head_dim) != shape.head_dim) {
    return invalid_argument(
        fmt::format("{}: {}.rope.dimension_count = {}, want the head dimension {}", file.path(),
                    arch, *rotary, shape.head_dim));
  }
  return {};
}

// The vocabulary is what the embedding holds; it may be padded beyond the tokenizer's.
Status read_vocabulary(const GgufFile& file, ModelShape& shape) {
  const auto embedding = file.tensors().find("token_embd.weight");
  if (embedding == file.tensors().end()) {
    return invalid_argument(fmt::format("{}: tensor token_embd.weight is missing", file.path()));
  }
  shape.vocab_size = embedding->second.elements / embedding->second.dims[0];
  shape.tied_embedding = !file.tensors().contains("output.weight");
  shape.qkv_bias = file.tensors().contains("blk.0.attn_q.bias");
  shape.qk_norm = shape.family == Family::kQwen3;
  return {};
}

}  // namespace

Result<ModelShape> gguf_shape(const GgufFile& file) {
  ModelShape shape;
  shape.name = model_name_of(file.path());
  DOVETAIL_TRY(shape.family, read_family(file));
  const std::string arch(family_name(shape.family));
  DOVETAIL_TRY(shape.num_layers, file.integer(arch + ".block_count"));
  DOVETAIL_TRY(shape.hidden_size, file.integer(arch + ".embedding_length"));
  DOVETAIL_TRY(shape.intermediate_size, file.integer(arch + ".feed_forward_length"));
  DOVETAIL_TRY(shape.num_heads, file.integer(arch + ".attention.head_count"));
  DOVETAIL_TRY(const auto kv_heads, file.find_integer(arch + ".attention.head_count_kv"));
  shape.num_kv_heads = kv_heads.value_or(shape.num_heads);
  DOVETAIL_TRY_STATUS(read_head_dim(file, arch, shape));
  DOVETAIL_TRY(shape.max_positions, file.integer(arch + ".context_length"));
  DOVETAIL_TRY(const auto theta, file.find_number(arch + ".rope.freq_base"));
  shape.rope_theta = theta.value_or(10000.0);
  DOVETAIL_TRY(shape.rms_norm_eps, file.number(arch + ".attention.layer_norm_rms_epsilon"));
  DOVETAIL_TRY_STATUS(read_vocabulary(file, shape));
  DOVETAIL_TRY_STATUS(check_shape_counts(shape, file.path()));
  DOVETAIL_TRY_STATUS(read_rope_divisors(file, arch, shape));
  DOVETAIL_TRY_STATUS(check_shape(shape, file.path()));
  return shape;
}

std::string gguf_name(const std::string& hugging_face_name) {
  return to_gguf(hugging_face_name);
}

bool has_rotary_rows(const ModelShape& shape, const std::string& name) {
  return shape.family == Family::kLlama &&
         (name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos);
}

int64_t rotary_source_row(int64_t row, int64_t head_dim) {
  const int64_t i = row % head_dim;
  return row - i + (i % 2) * (head_dim / 2) + i / 2;
}

std::unique_ptr<TensorSource> gguf_tensor_source(GgufFile file, const ModelShape& shape) {
  return std::make_unique<GgufSource>(std::move(file), shape);
}

}  // namespace dovetail::model
