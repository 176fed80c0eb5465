#include "recipe/site.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/activation.h"
#include "formats/kv_cache.h"

namespace dovetail::recipe {

std::string_view site_kind_name(SiteKind kind) {
  constexpr std::array<std::string_view, kNumSiteKinds> names = {
      "attn_qkv", "attn_o", "mlp_gate_up", "mlp_down", "kv", "head"};
  return names[static_cast<size_t>(kind)];
}

int64_t num_sites(const model::ModelShape& shape) {
  return shape.num_layers * kSitesPerLayer + 1;
}

Site site_at(const model::ModelShape& shape, int64_t index) {
  DOVETAIL_CHECK(index >= 0 && index < num_sites(shape));
  if (index == shape.num_layers * kSitesPerLayer) return {.kind = SiteKind::kHead, .layer = -1};
  return {.kind = static_cast<SiteKind>(index % kSitesPerLayer), .layer = index / kSitesPerLayer};
}

std::string site_name(const Site& site) {
  const std::string kind(site_kind_name(site.kind));
  return site.layer < 0 ? kind : "layers." + std::to_string(site.layer) + "." + kind;
}

LinearShape linear_shape(const model::ModelShape& shape, SiteKind kind) {
  switch (kind) {
    case SiteKind::kAttnQkv:
      return {.n = shape.q_size() + 2 * shape.kv_size(), .k = shape.hidden_size};
    case SiteKind::kAttnO:
      return {.n = shape.hidden_size, .k = shape.q_size()};
    case SiteKind::kMlpGateUp:
      return {.n = 2 * shape.intermediate_size, .k = shape.hidden_size};
    case SiteKind::kMlpDown:
      return {.n = shape.hidden_size, .k = shape.intermediate_size};
    case SiteKind::kHead:
      return {.n = shape.vocab_size, .k = shape.hidden_size};
    case SiteKind::kKv:
      break;
  }
  return {};
}

std::string_view algorithm_name(Algorithm algorithm) {
  constexpr std::array<std::string_view, 5> names = {"", "imatrix", "gptq", "gptq_cd", "signround"};
  return names[static_cast<size_t>(algorithm)];
}

std::string_view fold_name(Fold fold) {
  constexpr std::array<std::string_view, 3> names = {"", "awq", "smooth"};
  return names[static_cast<size_t>(fold)];
}

bool needs_calibration(const Recipe& recipe) {
  return recipe.pruning != Pruning{} || sites_need_calibration(recipe);
}

bool sites_need_calibration(const Recipe& recipe) {
  const auto calibrated = [](const LinearTreatment& t) {
    return t.algorithm != Algorithm::kNearest || t.fold != Fold::kNone ||
           formats::is_static(t.activation);
  };
  return calibrated(recipe.head) ||
         std::ranges::any_of(recipe.layers, [&](const LayerRecipe& layer) {
           return std::ranges::any_of(layer.linear, calibrated);
         });
}

bool runs_gptq(Algorithm algorithm) {
  return algorithm == Algorithm::kGptq || algorithm == Algorithm::kGptqCd;
}

bool has_algorithm(const LayerRecipe& layer, Algorithm algorithm) {
  return std::ranges::find(layer.linear, algorithm, &LinearTreatment::algorithm) !=
         layer.linear.end();
}

bool needs_rotation(const Recipe& recipe) {
  return recipe.rotation != Rotation::kNone ||
         std::ranges::any_of(recipe.layers, [](const LayerRecipe& layer) {
           return std::ranges::any_of(layer.linear,
                                      [](const LinearTreatment& t) { return t.hadamard != 0; });
         });
}

std::string_view rotation_name(Rotation rotation) {
  constexpr std::array<std::string_view, 3> names = {"none", "r1", "r1r2"};
  return names[static_cast<size_t>(rotation)];
}

Result<Rotation> parse_rotation(std::string_view name) {
  for (const Rotation rotation : {Rotation::kNone, Rotation::kR1, Rotation::kR1R2})
    if (rotation_name(rotation) == name) return rotation;
  return invalid_argument(fmt::format("rotation '{}', want none, r1 or r1r2", name));
}

model::ModelShape rotated_shape(model::ModelShape shape, Rotation rotation) {
  if (rotation != Rotation::kNone) shape.tied_embedding = false;
  return shape;
}

int64_t stored_bits_per_cached_token(const KvTreatment& treatment, int64_t head_dim) {
  return formats::stored_bits_per_kv_vector(treatment.keys, head_dim) +
         formats::stored_bits_per_kv_vector(treatment.values, head_dim);
}

namespace {

Status check_block(int64_t block, std::string_view what, int64_t size) {
  if (block == 0) return {};
  const bool known = block == 16 || block == 32 || block == 64 || block == 128;
  if (known && size % block == 0) return {};
  return invalid_argument(fmt::format(
      "{} Hadamard block {}, want 16, 32, 64 or 128 and a divisor of {}", what, block, size));
}

std::vector<int64_t> multiples(int64_t step, int64_t up_to) {
  std::vector<int64_t> values;
  for (int64_t value = step; value <= up_to; value += step) values.push_back(value);
  return values;
}

Status check_pruning(const model::ModelShape& shape, const Pruning& pruning) {
  if (pruning == Pruning{}) return {};
  if (shape.num_kv_heads < 1)
    return invalid_argument("pruning: a shape without key heads, want at least one");
  const auto [width, heads, kv_heads] = pruning;
  const bool width_is_legal = width >= 0 && width <= shape.intermediate_size &&
                              (width % kMlpWidthGranule == 0 || width == shape.intermediate_size);
  if (!width_is_legal) {
    return invalid_argument(
        fmt::format("pruning: mlp width {}, want a multiple of {} up to {}{}", width,
                    kMlpWidthGranule, shape.intermediate_size,
                    shape.intermediate_size % kMlpWidthGranule == 0 ? "" : ", or that itself"));
  }
  if (kv_heads < 0 || kv_heads > shape.num_kv_heads) {
    return invalid_argument(
        fmt::format("pruning: {} key heads, want 1 to {}", kv_heads, shape.num_kv_heads));
  }
  const int64_t keys = kv_heads == 0 ? shape.num_kv_heads : kv_heads;
  const int64_t most = keys * (shape.num_heads / shape.num_kv_heads);
  if (heads < 0 || heads > most || heads % keys != 0) {
    return invalid_argument(
        fmt::format("pruning: {} query heads, want {}: as many of each of {} key heads", heads,
                    fmt::join(multiples(keys, most), ", "), keys));
  }
  return {};
}

Status check_kv(const KvTreatment& kv, int64_t head_dim) {
  if (formats::is_per_channel(kv.values)) {
    return invalid_argument(
        fmt::format("values {}, want a format per token: keys alone have groups "
                    "per channel",
                    formats::format_name(kv.values)));
  }
  return check_block(kv.hadamard, "queries and keys:", head_dim);
}

}  // namespace

model::ModelShape pruned_shape(model::ModelShape shape, const Pruning& pruning) {
  if (pruning.mlp_width != 0) shape.intermediate_size = pruning.mlp_width;
  if (pruning.kv_heads != 0) {
    shape.num_heads = shape.num_heads / shape.num_kv_heads * pruning.kv_heads;
    shape.num_kv_heads = pruning.kv_heads;
  }
  if (pruning.heads != 0) shape.num_heads = pruning.heads;
  return shape;
}

bool prunes(const Pruning& pruning, const model::ModelShape& shape) {
  const model::ModelShape after = pruned_shape(shape, pruning);
  return after.intermediate_size != shape.intermediate_size || after.num_heads != shape.num_heads ||
         after.num_kv_heads != shape.num_kv_heads;
}

namespace {

Status check_carried(const Recipe& recipe) {
  if (recipe.carried_frac == 0) return {};
  if (!(recipe.carried_frac > 0) || recipe.carried_frac > 1) {
    return invalid_argument(fmt::format("qep: {}, want above 0, at most 1", recipe.carried_frac));
  }
  const auto some_layer = [&](Algorithm algorithm) {
    return std::ranges::any_of(
        recipe.layers, [&](const LayerRecipe& layer) { return has_algorithm(layer, algorithm); });
  };
  if (some_layer(Algorithm::kSignround))
    return invalid_argument("qep: not beside signround, which follows the original model itself");
  if (!some_layer(Algorithm::kGptq) && !some_layer(Algorithm::kGptqCd))
    return invalid_argument("qep: no site of the blocks has gptq or gptq_cd, want one");
  return {};
}

}  // namespace

Status check_recipe(const model::ModelShape& unpruned, const Recipe& recipe) {
  DOVETAIL_TRY_STATUS(check_pruning(unpruned, recipe.pruning));
  DOVETAIL_TRY_STATUS(check_carried(recipe));
  const model::ModelShape shape = pruned_shape(unpruned, recipe.pruning);
  for (size_t layer = 0; layer < recipe.layers.size(); ++layer) {
    const LayerRecipe& at = recipe.layers[layer];
    const auto site = [&](SiteKind kind) {
      return site_name({.kind = kind, .layer = static_cast<int64_t>(layer)});
    };
    for (size_t i = 0; i < at.linear.size(); ++i) {
      const auto kind = static_cast<SiteKind>(i);
      const Status status =
          check_block(at.linear[i].hadamard, "input:", linear_shape(shape, kind).k);
      if (!status.has_value()) return with_context(status.error(), site(kind));
    }
    const Status status = check_kv(at.kv, shape.head_dim);
    if (!status.has_value()) return with_context(status.error(), site(SiteKind::kKv));
  }
  if (recipe.head.fold != Fold::kNone || recipe.head.algorithm == Algorithm::kSignround) {
    return invalid_argument(fmt::format(
        "head: {}, want a treatment without awq, smooth and signround: they need a layer around",
        weight_treatment_name(recipe.head)));
  }
  if (recipe.head.hadamard == 0) return {};
  return invalid_argument(
      fmt::format("head: Hadamard block {}, want none at the head", recipe.head.hadamard));
}

Recipe make_recipe(const model::ModelShape& shape, const Menu& menu,
                   const std::vector<int32_t>& choice) {
  DOVETAIL_CHECK(static_cast<int64_t>(choice.size()) == num_sites(shape));
  Recipe recipe;
  recipe.layers.resize(static_cast<size_t>(shape.num_layers));
  for (size_t i = 0; i < choice.size(); ++i) {
    const Site site = site_at(shape, static_cast<int64_t>(i));
    const auto index = static_cast<size_t>(choice[i]);
    if (site.kind == SiteKind::kHead) {
      recipe.head = menu.linear.at(index);
    } else if (site.kind == SiteKind::kKv) {
      recipe.layers[static_cast<size_t>(site.layer)].kv = menu.kv.at(index);
    } else {
      recipe.layers[static_cast<size_t>(site.layer)].linear[static_cast<size_t>(site.kind)] =
          menu.linear.at(index);
    }
  }
  return recipe;
}

double bits_per_weight(const model::ModelShape& unpruned, const Recipe& recipe) {
  const model::ModelShape shape = pruned_shape(unpruned, recipe.pruning);
  const auto is_bf16 = [](const LinearTreatment& t) {
    return t.weight.element == formats::Element::kBf16;
  };
  double bits = 0;
  double weights = 0;
  const auto add = [&](SiteKind kind, const LinearTreatment& treatment) {
    if (is_bf16(treatment)) return;
    const LinearShape linear = linear_shape(shape, kind);
    bits += static_cast<double>(linear.n) *
            static_cast<double>(formats::stored_bits_per_row(treatment.weight, linear.k));
    weights += static_cast<double>(linear.n) * static_cast<double>(linear.k);
  };
  for (const LayerRecipe& layer : recipe.layers) {
    for (size_t i = 0; i < layer.linear.size(); ++i) add(static_cast<SiteKind>(i), layer.linear[i]);
  }
  add(SiteKind::kHead, recipe.head);
  return weights > 0 ? bits / weights : 16.0;
}

}  // namespace dovetail::recipe
