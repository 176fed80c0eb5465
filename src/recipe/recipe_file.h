// The keys of a recipe file, as load_recipe reads and recipe_to_toml writes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dovetail::recipe {

struct RecipeFile {
  std::string head = "bf16";
  std::string rotation = "none";
  int64_t mlp_width = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  double qep = 0;
  std::vector<std::string> layers;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("head", s.head, {.help = "treatment of the head"});
    v.text("rotation", s.rotation,
           {.choices = {"none", "r1", "r1r2"}, .help = "rotation of the whole model"});
    v.number("mlp_width", s.mlp_width,
             {.min = 0, .help = "MLP channels that stay in every layer, a multiple of 16; 0: all"});
    v.number("heads", s.heads,
             {.min = 0,
              .help = "query heads that stay in every layer, as many of each key head; 0: all"});
    v.number("kv_heads", s.kv_heads,
             {.min = 0,
              .help = "key heads that stay in every layer, each with its query heads; 0: all"});
    v.number("qep", s.qep,
             {.min = 0,
              .max = 1,
              .help = "error carried from compressed layers that sites with gptq make good"});
    v.texts("layers", s.layers,
            {.required = true,
             .help = "one text per layer: attn_qkv=TREATMENT attn_o=.. mlp_gate_up=.. mlp_down=.. "
                     "kv=..; a site that is absent stays bf16"});
  }
};

}  // namespace dovetail::recipe
