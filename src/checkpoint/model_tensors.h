// The tensors of a model under Hugging Face names, and the site that each belongs to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::checkpoint {

struct ModelTensor {
  std::string name = {};  // "model.layers.3.self_attn.q_proj.weight"
  int64_t rows = 1;       // 1 for a vector
  int64_t cols = 0;
  bool is_vector = false;
  // The treatment that its weights have under the recipe; none for what is never treated.
  std::optional<recipe::LinearTreatment> treatment = {};
  std::string site = {};  // "layers.3.attn_qkv", "head"; empty for what is never treated

  [[nodiscard]] bool is_treated() const {
    return treatment.has_value() && treatment->weight.element != formats::Element::kBf16;
  }
};

// All that a writer must be given, in the order of the model. A tied head that is treated is one
// tensor, lm_head.weight, and takes the place of the embedding; one that is not treated is
// model.embed_tokens.weight. shape: what pruning leaves. Errors: kInvalidArgument if the recipe has
// other layers or prunes this shape.
[[nodiscard]] Result<std::vector<ModelTensor>> model_tensors(const model::ModelShape& shape,
                                                             const recipe::Recipe& recipe);

inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

// "X" of "X.weight".
[[nodiscard]] std::string module_of(const std::string& name);

}  // namespace dovetail::checkpoint
