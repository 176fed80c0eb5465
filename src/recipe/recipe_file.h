// The keys of a recipe file, as load_recipe reads and recipe_to_toml writes it.
#pragma once

#include <string>
#include <vector>

namespace dovetail::recipe {

struct RecipeFile {
  std::string head = "bf16";
  std::string rotation = "none";
  std::vector<std::string> layers;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("head", s.head, {.help = "treatment of the head"});
    v.text("rotation", s.rotation,
           {.choices = {"none", "r1", "r1r2"}, .help = "rotation of the whole model"});
    v.texts("layers", s.layers,
            {.required = true,
             .help = "one text per layer: attn_qkv=TREATMENT attn_o=.. mlp_gate_up=.. mlp_down=.. "
                     "kv=..; a site that is absent stays bf16"});
  }
};

}  // namespace dovetail::recipe
