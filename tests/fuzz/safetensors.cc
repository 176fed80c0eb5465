// model.safetensors beside a fixed config.json, plain and with packed linears of four kinds.
#include "model/safetensors.h"

#include <fmt/format.h>

#include "model/compressed_tensors.h"

#include "fuzz_target.h"
#include "model_checks.h"

namespace dovetail::fuzz {
namespace {

// One layer, hidden size 4: the seeds of make_seeds.py fit it.
constexpr std::string_view kConfig =
    R"({"model_type":"llama","hidden_size":4,"intermediate_size":4,"num_hidden_layers":1,)"
    R"("num_attention_heads":2,"num_key_value_heads":1,"vocab_size":3,"max_position_embeddings":8,)"
    R"("rms_norm_eps":1e-5,"hidden_act":"silu","tie_word_embeddings":true})";

// The same, quantised: what the names of an input do not find is an error like any other.
std::string packed_config() {
  const auto group = [](std::string_view target, std::string_view format,
                        std::string_view weights) {
    return fmt::format(R"({{"targets":["re:.*{}"],"format":"{}","weights":{{{}}}}})", target,
                       format, weights);
  };
  std::string config(kConfig);
  config.pop_back();
  return config +
         R"(,"quantization_config":{"quant_method":"compressed-tensors","config_groups":{"a":)" +
         group("q_proj", "pack-quantized",
               R"("num_bits":3,"symmetric":false,"strategy":"group","group_size":2)") +
         R"(,"b":)" +
         group("(k|v)_proj", "nvfp4-pack-quantized",
               R"("num_bits":4,"type":"float","strategy":"tensor_group","group_size":2)") +
         R"(,"c":)" +
         group("o_proj", "int-quantized",
               R"("num_bits":8,"strategy":"channel","symmetric":false)") +
         R"(,"d":)" +
         group("mlp", "mxfp8-quantized",
               R"("num_bits":8,"type":"float","strategy":"block","block_structure":[3,3])") +
         "}}}";
}

void load_packed(std::string_view input) {
  static const std::string config =
      write_scratch("safetensors_packed/config.json", packed_config());
  write_scratch("safetensors_packed/model.safetensors", input);
  const std::string folder = scratch_folder() + "/safetensors_packed";
  const auto source = model::open_folder_tensors(folder);
  if (!source.has_value()) return;
  for (const std::string& name : (*source)->names()) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 4}, {4, 4}, {2, 4}}) {
      const auto values = (*source)->read(name, rows, cols);
      if (!values.has_value()) {
        require(values.error().code == ErrorCode::kInvalidArgument, "a wrong tensor is named");
      } else {
        require(static_cast<int64_t>(values->size()) == rows * cols, "all elements are decoded");
      }
    }
  }
}

}  // namespace

void fuzz_safetensors(std::string_view input) {
  static const std::string config = write_scratch("safetensors/config.json", kConfig);
  const std::string path = write_scratch("safetensors/model.safetensors", input);
  const std::string folder = scratch_folder() + "/safetensors";
  const auto source = model::open_safetensors_folder(folder);
  if (!source.has_value()) {
    require_good_error(source.error(), path);
    return;
  }
  load_packed(input);
  for (const std::string& name : (*source)->names()) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{1, 4}, {3, 4}, {2, 4}, {0, 0}}) {
      const auto values = (*source)->read(name, rows, cols);
      if (!values.has_value()) {
        require_good_error(values.error(), path);
      } else {
        require(static_cast<int64_t>(values->size()) == rows * cols, "all elements are decoded");
        require(values->size() <= input.size(), "no more values than bytes");
      }
    }
  }
  const auto weights = model::load_weights(folder);
  if (!weights.has_value()) {
    require_good_error(weights.error(), folder);
    return;
  }
  note_accepted();
  require_sound(*weights);
}

}  // namespace dovetail::fuzz
