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
  kNearest,    // round to nearest, scales of least squared error
  kImatrix,    // the same, a column's error weighed by the mean square of its input
  kGptq,       // compress/gptq.h
  kGptqCd,     // then compress/coordinate_descent.h
  kSignround,  // then, all sites of the layer together, compress/learned_rounding.h
};
// "", "imatrix", "gptq", "gptq_cd", "signround"
[[nodiscard]] std::string_view algorithm_name(Algorithm algorithm);

// Scales of input channels that move into whatever produces the input, before weights are rounded
// (compress/fold.h). They need calibration text.
enum class Fold : uint8_t { kNone, kAwq, kSmooth };
[[nodiscard]] std::string_view fold_name(Fold fold);  // "", "awq", "smooth"

// A choice for a linear site (and the head): weights and the activations that meet them.
struct LinearTreatment {
  formats::WeightFormat weight;
  Algorithm algorithm = Algorithm::kNearest;  // always, for bf16
  Fold fold = Fold::kNone;                    // always, for bf16 and at the head
  formats::ActivationFormat activation = formats::ActivationFormat::kBf16;
  // Block of the online Hadamard transform of the input, before it is rounded; the weights carry
  // its inverse. 0: none; 16, 32, 64 or 128, a divisor of k. Never at the head.
  int64_t hadamard = 0;
  bool operator==(const LinearTreatment&) const = default;
};

// A choice for a kv site: how keys and values are stored, and the format of queries and softmax
// probabilities that meet them in the matrix unit.
struct KvTreatment {
  formats::KvFormat keys = formats::KvFormat::kBf16;
  formats::KvFormat values = formats::KvFormat::kBf16;                 // never per channel
  formats::ActivationFormat query = formats::ActivationFormat::kBf16;  // kBf16 or kInt8Token
  // Block of the online Hadamard transform of queries and keys after RoPE (QuaRot's R3). 0: none;
  // 16, 32, 64 or 128, a divisor of head_dim.
  int64_t hadamard = 0;
  bool operator==(const KvTreatment&) const = default;
};

// Rotations of the whole model that change no output, done offline before anything is rounded
// (compress/rotate.h).
enum class Rotation : uint8_t {
  kNone,
  kR1,    // the residual stream
  kR1R2,  // and the values of each head
};
[[nodiscard]] std::string_view rotation_name(Rotation rotation);  // "none", "r1", "r1r2"
[[nodiscard]] Result<Rotation> parse_rotation(std::string_view name);
// What a model of this shape is after rotation: an embedding that was tied is not.
[[nodiscard]] model::ModelShape rotated_shape(model::ModelShape shape, Rotation rotation);

// What stays of every layer's structure, the same in all of them; which channels and heads that
// are, calibration text says (compress/prune.h). 0: all of the model's.
struct Pruning {
  int64_t mlp_width = 0;  // MLP channels (a row of gate and up, a column of down)
  int64_t heads = 0;      // query heads, as many of each key head
  int64_t kv_heads = 0;   // key heads, each with its query heads
  bool operator==(const Pruning&) const = default;
};
// Pruned widths are multiples of it: whole columns of an array of 8 or 16, whole NVFP4 blocks.
// Wider arrays and groups want larger multiples; the grammar leaves that to whoever names one.
inline constexpr int64_t kMlpWidthGranule = 16;

// Bits that one token takes in the cache of one head: a key and a value.
[[nodiscard]] int64_t stored_bits_per_cached_token(const KvTreatment& treatment, int64_t head_dim);

// "int4_g128_gptq+a:int4_token+h:64", "bf16"; a kv treatment: "bf16", "int8", "int4",
// "int8+q:int8_token", "k:int4_c32+v:int4+qkh:64".
[[nodiscard]] std::string treatment_name(const LinearTreatment& treatment);
// Its weights alone: "int4_g128_gptq", "int4_g128_awq_gptq".
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
  Rotation rotation = Rotation::kNone;
  Pruning pruning = {};
  // How much of what compressed layers did to a site's inputs its weights make good before GPTQ
  // rounds them (compress/carried_error.h), 0..1.
  double carried_frac = 0;
  bool operator==(const Recipe&) const = default;
};

// Uniform treatment of a whole model: "int4_g128+a:int8_token+kv:int8+q:int8_token+head:int8". What
// is not named stays bf16; "bf16" alone is the reference. Parts behind the weights of the blocks:
//   a:FORMAT             activations
//   h:BLOCK              online Hadamard at the inputs of all linears of the blocks
//   h_down:BLOCK         the same at mlp_down (QuaRot's R4), instead of what h: says
//   kv:FORMAT            keys and values; or apart: k:FORMAT, v:FORMAT
//   q:FORMAT, qkh:BLOCK  queries and probabilities; online Hadamard of queries and keys
//   r:r1 | r:r1r2        rotation of the whole model
//   mlp:WIDTH            MLP channels that stay in every layer
//   heads:N, kv_heads:N  query heads that stay, as many of each key head; key heads that stay
//   qep:FRACTION         carried error that GPTQ's sites make good, above 0, at most 1
//   head:WEIGHTS         the head, which takes the activation of `a:` with it
// A block that divides not is an error, and so is a fold at the head.
[[nodiscard]] Result<Recipe> parse_uniform_recipe(const model::ModelShape& shape,
                                                  std::string_view name);
// Widths and heads that the model has, Hadamard blocks that divide what they turn (after pruning),
// none at the head, keys alone per channel, GPTQ where carried error is made good. `shape`: of the
// model before or after it was pruned. Errors: kInvalidArgument naming site, value and what was
// wanted. The parsers check it.
[[nodiscard]] Status check_recipe(const model::ModelShape& shape, const Recipe& recipe);
// What a model of this shape is after pruning; of one that was pruned: the same. Needs
// check_recipe.
[[nodiscard]] model::ModelShape pruned_shape(model::ModelShape shape, const Pruning& pruning);
// True if a model of this shape loses something.
[[nodiscard]] bool prunes(const Pruning& pruning, const model::ModelShape& shape);
// True if pruning, any site's algorithm or static activation needs calibration text.
[[nodiscard]] bool needs_calibration(const Recipe& recipe);
// The same without pruning: whether the sites themselves need it.
[[nodiscard]] bool sites_need_calibration(const Recipe& recipe);
// GPTQ, with or without what improves its codes.
[[nodiscard]] bool runs_gptq(Algorithm algorithm);
// At a linear site of the layer.
[[nodiscard]] bool has_algorithm(const LayerRecipe& layer, Algorithm algorithm);
// True if weights must be turned before the recipe's formats apply (compress/rotate.h).
[[nodiscard]] bool needs_rotation(const Recipe& recipe);
// From indices into a menu, one per site.
[[nodiscard]] Recipe make_recipe(const model::ModelShape& shape, const Menu& menu,
                                 const std::vector<int32_t>& choice);

// Mean stored bits over the weights that stay and are not bf16 in `recipe` (all linears of the
// blocks if none is): payload, scales, zeros.
[[nodiscard]] double bits_per_weight(const model::ModelShape& shape, const Recipe& recipe);

// Recipe files (TOML): read, write; one line per layer:
//   head = "int8"
//   rotation = "r1"
//   mlp_width = 1344
//   layers = [
//     "attn_qkv=int4_g128 attn_o=int4_g128 mlp_gate_up=int4_g64 mlp_down=int6 kv=int8",
//   ]
// Errors of reading: kNotFound, kInvalidArgument naming file, layer, value and what was wanted.
[[nodiscard]] std::string recipe_to_toml(const Recipe& recipe);
[[nodiscard]] Result<Recipe> load_recipe(const model::ModelShape& shape, const std::string& path);
[[nodiscard]] Result<Recipe> parse_recipe(const model::ModelShape& shape, std::string_view text,
                                          const std::string& name);

}  // namespace dovetail::recipe
