// model.safetensors beside a fixed config.json.
#include "model/safetensors.h"

#include "fuzz_target.h"
#include "model_checks.h"

namespace dovetail::fuzz {
namespace {

// One layer, hidden size 4: the seeds of make_seeds.py fit it.
constexpr std::string_view kConfig =
    R"({"model_type":"llama","hidden_size":4,"intermediate_size":4,"num_hidden_layers":1,)"
    R"("num_attention_heads":2,"num_key_value_heads":1,"vocab_size":3,"max_position_embeddings":8,)"
    R"("rms_norm_eps":1e-5,"hidden_act":"silu","tie_word_embeddings":true})";

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
