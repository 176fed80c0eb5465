// A recipe file: what parses, printed, parses to the same.
#include "fuzz_target.h"
#include "recipe/site.h"
#include "small_shape.h"

namespace dovetail::fuzz {

void fuzz_recipe_file(std::string_view input) {
  const model::ModelShape shape = small_shape(2);
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
