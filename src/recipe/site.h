// Sites and treatments: the places of a model that can be compressed on their own, and the choices.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "model/model.h"

namespace dovetail::recipe {

// Per layer the first five; the head once. A tied embedding is the head's; an untied one stays
// bf16 (one row is read per token; it counts for DRAM capacity alone).
enum class SiteKind : uint8_t { kAttnQkv, kAttnO, kMlpGateUp, kMlpDown, kKv, kHead };
inline constexpr int64_t kNumSiteKinds = 6;
inline constexpr int64_t kSitesPerLayer = 5;

[[nodiscard]] std::string_view site_kind_name(SiteKind kind);  // "attn_qkv", ..., "kv", "head"

// Site index: layer * kSitesPerLayer + kind, the head last.
struct Site {
  SiteKind kind = SiteKind::kAttnQkv;
  int64_t layer = 0;  // -1 for the head
};
[[nodiscard]] int64_t num_sites(const model::ModelShape& shape);
[[nodiscard]] Site site_at(const model::ModelShape& shape, int64_t index);
[[nodiscard]] std::string site_name(const Site& site);  // "layers.3.mlp_down", "head"

// Weight shape of a linear site: y (m, n) = x (m, k) W (n, k). Linears that share a site are one
// matrix, stacked along n (q, k, v; gate, up). kKv has no weights: {0, 0}.
struct LinearShape {
  int64_t n = 0;  // output features
  int64_t k = 0;  // input features, the reduction axis
};
[[nodiscard]] LinearShape linear_shape(const model::ModelShape& shape, SiteKind kind);

// How weights become codes. All but kNearest need calibration text.
enum class Algorithm : uint8_t {
  kNearest,  // round to nearest, scales of least squared error
  kImatrix,  // the same, a column's error weighed by the mean square of its input
  kGptq,     // compress/gptq.h
};
[[nodiscard]] std::string_view algorithm_name(Algorithm algorithm);  // "", "imatrix", "gptq"

// A choice for a linear site (and the head): weights and the activations that meet them.
struct LinearTreatment {
  formats::WeightFormat weight;
  Algorithm algorithm = Algorithm::kNearest;  // always, for bf16
  formats::ActivationFormat activation = formats::ActivationFormat::kBf16;
  bool operator==(const LinearTreatment&) const = default;
};

// A choice for a kv site: how keys and values are stored, and the format of queries and softmax
// probabilities that meet them in the matrix unit.
struct KvTreatment {
  formats::KvFormat kv = formats::KvFormat::kBf16;
  formats::ActivationFormat query = formats::ActivationFormat::kBf16;  // kBf16 or kInt8Token
  bool operator==(const KvTreatment&) const = default;
};

// "int4_g128_gptq+a:int8_token", "bf16"; a kv treatment: "bf16", "int8", "int4",
// "int8+q:int8_token".
[[nodiscard]] std::string treatment_name(const LinearTreatment& treatment);
// Its weights alone: "int4_g128_gptq".
[[nodiscard]] std::string weight_treatment_name(const LinearTreatment& treatment);
[[nodiscard]] std::string treatment_name(const KvTreatment& treatment);
[[nodiscard]] Result<LinearTreatment> parse_linear_treatment(std::string_view name);
[[nodiscard]] Result<KvTreatment> parse_kv_treatment(std::string_view name);

// What a search may choose from. Index 0 of both lists is bf16: the reference, loss 0.
struct Menu {
  std::vector<LinearTreatment> linear;
  std::vector<KvTreatment> kv;
  [[nodiscard]] int64_t size(SiteKind kind) const {
    return static_cast<int64_t>(kind == SiteKind::kKv ? kv.size() : linear.size());
  }
};

// A treatment for every site. linear[i] for the linears of a layer in SiteKind order.
struct LayerRecipe {
  std::array<LinearTreatment, 4> linear;
  KvTreatment kv;
  bool operator==(const LayerRecipe&) const = default;
};
struct Recipe {
  std::vector<LayerRecipe> layers;
  LinearTreatment head;
  bool operator==(const Recipe&) const = default;
};

// Uniform treatment of a whole model: "int4_g128+a:int8_token+kv:int8+q:int8_token+head:int8". What
// is not named stays bf16; "bf16" alone is the reference. A head that is named takes the activation
// of `a:` with it. An algorithm suffix that is not built (_awq) is an error.
[[nodiscard]] Result<Recipe> parse_uniform_recipe(const model::ModelShape& shape,
                                                  std::string_view name);
// True if any site's algorithm needs calibration text.
[[nodiscard]] bool needs_calibration(const Recipe& recipe);
// From indices into a menu, one per site.
[[nodiscard]] Recipe make_recipe(const model::ModelShape& shape, const Menu& menu,
                                 const std::vector<int32_t>& choice);

// Mean stored bits over the weights that are not bf16 in `recipe` (all linears of the blocks if
// none is): payload, scales, zeros.
[[nodiscard]] double bits_per_weight(const model::ModelShape& shape, const Recipe& recipe);

// Recipe files (TOML): read, write; one line per layer:
//   head = "int8"
//   layers = [
//     "attn_qkv=int4_g128 attn_o=int4_g128 mlp_gate_up=int4_g64 mlp_down=int6 kv=int8",
//   ]
// Errors of reading: kNotFound, kInvalidArgument naming file, layer, value and what was wanted.
[[nodiscard]] std::string recipe_to_toml(const Recipe& recipe);
[[nodiscard]] Result<Recipe> load_recipe(const model::ModelShape& shape, const std::string& path);
[[nodiscard]] Result<Recipe> parse_recipe(const model::ModelShape& shape, std::string_view text,
                                          const std::string& name);

}  // namespace dovetail::recipe
