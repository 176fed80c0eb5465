// Recipes that treat a model uniformly, and the recipe with the fewest stored bytes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "search/chip_questions.h"
#include "search/enumerate.h"

namespace dovetail::search {

struct NamedRecipe {
  std::string name;     // "int4_g128+a:int8_token+kv:int8+head:int8"
  FrozenRecipe recipe;  // the same treatments in every product that it suits; the others: no sites
};

// All block linears alike, all kv sites alike; the head as the linears, or any 8-bit treatment, or
// bf16. `linear`: only this treatment of the linears, or every one of the first product's menu if
// empty. It suits a product whose menu has the treatments and whose loss is at most max_loss.
[[nodiscard]] std::vector<NamedRecipe> uniform_recipes(const std::vector<Product>& products,
                                                       std::string_view linear, double max_loss);

// Fewest stored bytes (weights with scales and zeros, KV of the whole batch at full context) within
// the cap, product by product. Empty if the cap cannot be met.
[[nodiscard]] Result<FrozenRecipe> smallest_recipe(const std::vector<Product>& products,
                                                   double max_loss, double max_gap_frac);

}  // namespace dovetail::search
