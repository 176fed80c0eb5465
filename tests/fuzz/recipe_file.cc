// A recipe file: what parses, printed, parses to the same.
#include "fuzz_target.h"
#include "recipe/site.h"

namespace dovetail::fuzz {

void fuzz_recipe_file(std::string_view input) {
  const model::ModelShape shape = {.name = "m",
                                   .num_layers = 2,
                                   .hidden_size = 96,
                                   .intermediate_size = 100,
                                   .num_heads = 4,
                                   .num_kv_heads = 2,
                                   .head_dim = 24,
                                   .vocab_size = 50};
  const std::string path = write_scratch("recipe.toml", input);
  const auto recipe = recipe::load_recipe(shape, path);
  if (!recipe.has_value()) {
    require_good_error(recipe.error(), path);
    return;
  }
  note_accepted();
  require(recipe->layers.size() == 2, "a recipe has a line for every layer");
  const auto again = recipe::parse_recipe(shape, recipe::recipe_to_toml(*recipe), "again.toml");
  require(again.has_value() && *again == *recipe, "a recipe survives its file");
}

}  // namespace dovetail::fuzz
