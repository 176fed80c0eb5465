#include "checkpoint/source_files.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/json_text.h"
#include "base/paths.h"
#include "model/bounded_json.h"
#include "model/rope_scaling.h"
#include "model/tokenizer_export.h"

namespace dovetail::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCopied[] = {"tokenizer.json",
                                   "tokenizer_config.json",
                                   "tokenizer.model",
                                   "vocab.json",
                                   "merges.txt",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "chat_template.jinja",
                                   "generation_config.json"};

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

const char* architecture_of(model::Family family) {
  switch (family) {
    case model::Family::kLlama:
      return "LlamaForCausalLM";
    case model::Family::kQwen2:
      return "Qwen2ForCausalLM";
    case model::Family::kQwen3:
      return "Qwen3ForCausalLM";
  }
  DOVETAIL_CHECK(false);
}

void set_shape(const model::ModelShape& s, Json& config) {
  config["architectures"] = {architecture_of(s.family)};
  config["model_type"] = model::family_name(s.family);
  config["num_hidden_layers"] = s.num_layers;
  config["hidden_size"] = s.hidden_size;
  config["intermediate_size"] = s.intermediate_size;
  config["num_attention_heads"] = s.num_heads;
  config["num_key_value_heads"] = s.num_kv_heads;
  config["head_dim"] = s.head_dim;
  config["vocab_size"] = s.vocab_size;
  config["max_position_embeddings"] = s.max_positions;
  config["rms_norm_eps"] = s.rms_norm_eps;
  config["hidden_act"] = "silu";
  config["tie_word_embeddings"] = s.tied_embedding;
  if (!config.contains("rope_parameters")) config["rope_theta"] = s.rope_theta;
  if (s.family != model::Family::kQwen2 && !config.contains("attention_bias"))
    config["attention_bias"] = false;
  config.erase("torch_dtype");
  config["dtype"] = "float32";
}

// A source folder's own config.json has said it already.
Status set_rope_scaling(const std::string& source, const model::ModelShape& s, Json& config) {
  if (s.rope_divisors.empty() || is_folder(source)) return {};
  const float factor = model::linear_factor(s.rope_divisors);
  if (factor == 0) {
    return invalid_argument(fmt::format(
        "{}: rotary frequencies have divisors of their own (rope_freqs.weight of a GGUF "
        "file), for which config.json has no form; GGUF has",
        s.name));
  }
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", factor}};
  return {};
}

}  // namespace

Result<Json> config_json(const std::string& source, const model::ModelShape& shape) {
  Json config = Json::object();
  if (is_folder(source)) {
    const std::string path = source + "/config.json";
    DOVETAIL_TRY(const std::string text, read_text_file(path, model::kMaxJsonFileBytes));
    DOVETAIL_TRY(config, parse_json(text, path));
    if (!config.is_object()) return invalid_argument(path + ": want one JSON object");
    config.erase("quantization_config");
  } else if (!source.empty()) {
    DOVETAIL_TRY(const model::TokenizerFiles files, model::tokenizer_files(source));
    if (files.bos_id >= 0) config["bos_token_id"] = files.bos_id;
    if (files.eos_id >= 0) config["eos_token_id"] = files.eos_id;
  }
  set_shape(shape, config);
  DOVETAIL_TRY_STATUS(set_rope_scaling(source, shape, config));
  return config;
}

Status write_source_files(const std::string& source, const std::string& folder) {
  if (source.empty()) return {};
  if (is_folder(source)) {
    for (const char* name : kCopied) {
      std::error_code code;
      if (!fs::exists(fs::path(source) / name, code)) continue;
      fs::copy_file(fs::path(source) / name, fs::path(folder) / name, code);
      if (code) return io_error(fmt::format("{}/{}: {}", folder, name, code.message()));
    }
    return {};
  }
  DOVETAIL_TRY(const model::TokenizerFiles files, model::tokenizer_files(source));
  DOVETAIL_TRY_STATUS(write_text_file(folder + "/tokenizer.json", files.tokenizer_json));
  DOVETAIL_TRY_STATUS(
      write_text_file(folder + "/tokenizer_config.json", files.tokenizer_config_json));
  Json generation = Json::object();
  if (files.bos_id >= 0) generation["bos_token_id"] = files.bos_id;
  if (files.eos_id >= 0) generation["eos_token_id"] = files.eos_id;
  return write_text_file(folder + "/generation_config.json", generation.dump(2) + "\n");
}

}  // namespace dovetail::checkpoint
