// The grammar of treatments: what parses, printed, parses to the same.
#include "fuzz_target.h"
#include "recipe/site.h"
#include "small_shape.h"

namespace dovetail::fuzz {
namespace {

template <typename Parse, typename Print>
void require_identity(std::string_view input, const Parse& parse, const Print& print) {
  const auto value = parse(input);
  if (!value.has_value()) {
    require_good_error(value.error());
    return;
  }
  const auto again = parse(print(*value));
  require(again.has_value() && *again == *value, "what is printed parses to the same");
}

}  // namespace

void fuzz_treatment(std::string_view input) {
  require_identity(input, recipe::parse_linear_treatment,
                   [](const recipe::LinearTreatment& t) { return recipe::treatment_name(t); });
  require_identity(input, recipe::parse_kv_treatment,
                   [](const recipe::KvTreatment& t) { return recipe::treatment_name(t); });
  require_identity(input, formats::parse_weight_format,
                   [](const formats::WeightFormat& f) { return formats::format_name(f); });
  const model::ModelShape shape = small_shape(3);
  const auto recipe = recipe::parse_uniform_recipe(shape, input);
  if (!recipe.has_value()) {
    require_good_error(recipe.error());
    return;
  }
  note_accepted();
  const auto again = recipe::parse_recipe(shape, recipe::recipe_to_toml(*recipe), "again.toml");
  require(again.has_value() && *again == *recipe, "a uniform recipe survives its file");
  const double bits = recipe::bits_per_weight(shape, *recipe);
  require(bits >= 2 && bits <= 17, "weights take 2 to 16 bits and their scales");
}

}  // namespace dovetail::fuzz
