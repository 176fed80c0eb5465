// config.json: what is accepted, written again, is accepted again and is the same.
#include "model/hf_config.h"

#include "cost_checks.h"
#include "fuzz_target.h"
#include "model/test_files.h"
#include "model_checks.h"

namespace dovetail::fuzz {
namespace {

void require_same(const model::ModelShape& a, const model::ModelShape& b) {
  require(a.family == b.family && a.num_layers == b.num_layers && a.hidden_size == b.hidden_size &&
              a.intermediate_size == b.intermediate_size && a.num_heads == b.num_heads &&
              a.num_kv_heads == b.num_kv_heads && a.vocab_size == b.vocab_size &&
              a.max_positions == b.max_positions && a.tied_embedding == b.tied_embedding,
          "a shape survives writing and reading");
}

}  // namespace

void fuzz_hf_config(std::string_view input) {
  const std::string path = write_scratch("hf/config.json", input);
  const auto shape = model::load_shape(path);
  if (!shape.has_value()) {
    require_good_error(shape.error(), path);
    return;
  }
  require_sound(*shape);
  note_accepted();
  require_finite_costs(reference_chip(), *shape,
                       {.name = "chat", .prompt_tokens = 512, .output_tokens = 64});
  // The writer has no key for a head dimension of its own.
  if (shape->head_dim * shape->num_heads != shape->hidden_size) return;
  const std::string copy = write_scratch("hf_copy/config.json", model::config_json_of(*shape));
  const auto again = model::load_shape(copy);
  require(again.has_value(), "an accepted shape is accepted again");
  require_same(*shape, *again);
}

}  // namespace dovetail::fuzz
