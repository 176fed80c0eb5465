// Treatment names, uniform recipes and recipe files.
#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/config.h"
#include "formats/kv_cache.h"
#include "recipe/recipe_file.h"
#include "recipe/site.h"

namespace dovetail::recipe {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

// "a:int8_token" with key "a:" gives "int8_token".
std::optional<std::string_view> value_of(std::string_view part, std::string_view key) {
  if (!part.starts_with(key)) return std::nullopt;
  return part.substr(key.size());
}

// Longer suffixes before those that they end in.
constexpr std::array<Algorithm, 4> kCalibrated = {Algorithm::kImatrix, Algorithm::kGptqCd,
                                                  Algorithm::kGptq, Algorithm::kSignround};

bool has_suffix(std::string_view name, std::string_view algorithm) {
  return name.size() > algorithm.size() && name.ends_with(algorithm) &&
         name[name.size() - algorithm.size() - 1] == '_';
}

// Weight format, fold and algorithm of `name` into a treatment: "int4_g128_awq_gptq".
Status parse_weight(std::string_view name, LinearTreatment& treatment) {
  std::string_view format = name;
  for (const Algorithm algorithm : kCalibrated) {
    if (!has_suffix(format, algorithm_name(algorithm))) continue;
    treatment.algorithm = algorithm;
    format.remove_suffix(algorithm_name(algorithm).size() + 1);
    break;
  }
  for (const Fold fold : {Fold::kAwq, Fold::kSmooth}) {
    if (!has_suffix(format, fold_name(fold))) continue;
    treatment.fold = fold;
    format.remove_suffix(fold_name(fold).size() + 1);
  }
  DOVETAIL_TRY(treatment.weight, formats::parse_weight_format(format));
  if (treatment.weight.element == formats::Element::kBf16 && format != name)
    return invalid_argument(fmt::format("treatment '{}': bf16 takes no algorithm", name));
  return {};
}

Result<int64_t> parse_block(std::string_view text) {
  for (const int64_t block : {16, 32, 64, 128})
    if (text == std::to_string(block)) return block;
  return invalid_argument(fmt::format("Hadamard block '{}', want 16, 32, 64 or 128", text));
}

// The parts of a uniform treatment, whichever are named.
struct UniformParts {
  LinearTreatment linear;
  std::optional<int64_t> down_hadamard;
  KvTreatment kv;
  LinearTreatment head;
  bool has_head = false;
  Rotation rotation = Rotation::kNone;
  Pruning pruning;
  double carried_frac = 0;
};

// One part of a kv treatment: "kv:int4", "k:int4_c32", "q:int8_token". False: it is none.
Result<bool> parse_kv_part(std::string_view piece, KvTreatment& kv) {
  if (const auto both = value_of(piece, "kv:")) {
    DOVETAIL_TRY(kv.keys, formats::parse_kv_format(*both));
    kv.values = kv.keys;
  } else if (const auto keys = value_of(piece, "k:")) {
    DOVETAIL_TRY(kv.keys, formats::parse_kv_format(*keys));
  } else if (const auto values = value_of(piece, "v:")) {
    DOVETAIL_TRY(kv.values, formats::parse_kv_format(*values));
  } else if (const auto query = value_of(piece, "q:")) {
    DOVETAIL_TRY(kv.query, formats::parse_activation_format(*query));
  } else if (const auto block = value_of(piece, "qkh:")) {
    DOVETAIL_TRY(kv.hadamard, parse_block(*block));
  } else {
    return false;
  }
  return true;
}

// One part of a linear treatment behind its weights. False: it is none.
Result<bool> parse_linear_part(std::string_view piece, LinearTreatment& treatment) {
  if (const auto a = value_of(piece, "a:")) {
    DOVETAIL_TRY(treatment.activation, formats::parse_activation_format(*a));
  } else if (const auto block = value_of(piece, "h:")) {
    DOVETAIL_TRY(treatment.hadamard, parse_block(*block));
  } else {
    return false;
  }
  return true;
}

// "mlp:1344": what is pruned and how much stays. False: the piece is none.
Result<bool> parse_pruning_part(std::string_view piece, Pruning& pruning) {
  const std::array<std::pair<std::string_view, int64_t*>, 3> parts = {
      {{"mlp:", &pruning.mlp_width}, {"heads:", &pruning.heads}, {"kv_heads:", &pruning.kv_heads}}};
  for (const auto& [key, stays] : parts) {
    const auto text = value_of(piece, key);
    if (!text.has_value()) continue;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), end, *stays);
    if (error == std::errc{} && stop == end && *stays > 0) return true;
    return invalid_argument(
        fmt::format("'{}': '{}', want how many stay, a positive number", key, *text));
  }
  return false;
}

Result<double> parse_fraction(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc{} && stop == end && value > 0 && value <= 1) return value;
  return invalid_argument(fmt::format("'qep:': '{}', want a number above 0, at most 1", text));
}

// A part of a uniform treatment that is neither of a linear nor of kv.
Result<bool> parse_model_part(std::string_view piece, UniformParts& parts) {
  if (const auto block = value_of(piece, "h_down:")) {
    DOVETAIL_TRY(parts.down_hadamard, parse_block(*block));
  } else if (const auto rotation = value_of(piece, "r:")) {
    DOVETAIL_TRY(parts.rotation, parse_rotation(*rotation));
  } else if (const auto fraction = value_of(piece, "qep:")) {
    DOVETAIL_TRY(parts.carried_frac, parse_fraction(*fraction));
  } else if (const auto head = value_of(piece, "head:")) {
    DOVETAIL_TRY_STATUS(parse_weight(*head, parts.head));
    parts.has_head = true;
  } else {
    return parse_pruning_part(piece, parts.pruning);
  }
  return true;
}

// Errors if a key of `pieces` (from the second on) stands twice, or kv: beside k: or v:.
Status check_keys(std::string_view name, const std::vector<std::string_view>& pieces) {
  std::vector<std::string_view> seen;
  const auto has = [&](std::string_view key) { return std::ranges::find(seen, key) != seen.end(); };
  for (const std::string_view piece : pieces) {
    const std::string_view key = piece.substr(0, piece.find(':'));
    if (has(key))
      return invalid_argument(fmt::format("treatment '{}': '{}:' stands twice", name, key));
    seen.push_back(key);
  }
  if (has("kv") && (has("k") || has("v"))) {
    return invalid_argument(
        fmt::format("treatment '{}': want kv:FORMAT, or k:FORMAT and v:FORMAT", name));
  }
  return {};
}

Result<UniformParts> parse_parts(std::string_view name) {
  UniformParts parts;
  std::vector<std::string_view> pieces = split(name, '+');
  DOVETAIL_TRY_STATUS(parse_weight(pieces[0], parts.linear));
  pieces.erase(pieces.begin());
  DOVETAIL_TRY_STATUS(check_keys(name, pieces));
  for (const std::string_view piece : pieces) {
    DOVETAIL_TRY(bool known, parse_linear_part(piece, parts.linear));
    if (!known) {
      DOVETAIL_TRY(known, parse_kv_part(piece, parts.kv));
    }
    if (!known) {
      DOVETAIL_TRY(known, parse_model_part(piece, parts));
    }
    if (!known) {
      return invalid_argument(fmt::format(
          "treatment '{}': '{}' is unknown, want a:, kv:, k:, v:, q: or head:FORMAT, h:, h_down: "
          "or qkh:BLOCK, r:ROTATION, mlp:WIDTH, heads: or kv_heads:NUMBER, qep:FRACTION",
          name, piece));
    }
  }
  if (parts.has_head) parts.head.activation = parts.linear.activation;
  return parts;
}

Status check_query(const KvTreatment& kv, std::string_view name) {
  if (kv.query != formats::ActivationFormat::kBf16 &&
      kv.query != formats::ActivationFormat::kInt8Token) {
    return invalid_argument(fmt::format("treatment '{}': q: is {}, want bf16 or int8_token", name,
                                        formats::format_name(kv.query)));
  }
  return {};
}

Status parse_layer_line(std::string_view line, LayerRecipe& layer) {
  std::array<bool, kSitesPerLayer> seen{};
  for (const std::string_view word : split(line, ' ')) {
    if (word.empty()) continue;
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
      return invalid_argument(fmt::format("'{}', want site=treatment", word));
    }
    const std::string_view key = word.substr(0, equals);
    size_t kind = 0;
    while (kind < seen.size() && site_kind_name(static_cast<SiteKind>(kind)) != key) ++kind;
    if (kind == seen.size()) {
      std::vector<std::string> sites;
      for (size_t i = 0; i < seen.size(); ++i) {
        sites.emplace_back(site_kind_name(static_cast<SiteKind>(i)));
      }
      const auto near = nearest_name(key, sites);
      return invalid_argument(
          fmt::format("site '{}' is unknown, want one of {}{}", key, fmt::join(sites, ", "),
                      near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
    }
    if (seen[kind]) return invalid_argument(fmt::format("site '{}' stands twice", key));
    seen[kind] = true;
    const std::string_view value = word.substr(equals + 1);
    if (static_cast<SiteKind>(kind) == SiteKind::kKv) {
      DOVETAIL_TRY(layer.kv, parse_kv_treatment(value));
    } else {
      DOVETAIL_TRY(layer.linear[kind], parse_linear_treatment(value));
    }
  }
  return {};
}

Result<Recipe> recipe_from_file(const model::ModelShape& shape, Result<RecipeFile> parsed,
                                const std::string& name) {
  DOVETAIL_TRY(const RecipeFile file, std::move(parsed));
  if (static_cast<int64_t>(file.layers.size()) != shape.num_layers) {
    return invalid_argument(fmt::format("{}: layers has {} lines, want {} (the layers of {})", name,
                                        file.layers.size(), shape.num_layers, shape.name));
  }
  Recipe recipe;
  const auto head = parse_linear_treatment(file.head);
  if (!head.has_value()) return with_context(head.error(), name + ": head");
  recipe.head = *head;
  const auto rotation = parse_rotation(file.rotation);
  if (!rotation.has_value()) return with_context(rotation.error(), name + ": rotation");
  recipe.rotation = *rotation;
  recipe.carried_frac = file.qep;
  recipe.pruning = {.mlp_width = file.mlp_width, .heads = file.heads, .kv_heads = file.kv_heads};
  recipe.layers.resize(file.layers.size());
  for (size_t i = 0; i < file.layers.size(); ++i) {
    const Status status = parse_layer_line(file.layers[i], recipe.layers[i]);
    if (!status.has_value()) {
      return with_context(status.error(), fmt::format("{}: layers[{}]", name, i));
    }
  }
  const Status status = check_recipe(shape, recipe);
  if (!status.has_value()) return with_context(status.error(), name);
  return recipe;
}

}  // namespace

std::string weight_treatment_name(const LinearTreatment& treatment) {
  std::string name = formats::format_name(treatment.weight);
  if (treatment.fold != Fold::kNone) name += fmt::format("_{}", fold_name(treatment.fold));
  if (treatment.algorithm != Algorithm::kNearest) {
    name += fmt::format("_{}", algorithm_name(treatment.algorithm));
  }
  return name;
}

std::string treatment_name(const LinearTreatment& treatment) {
  std::string name = weight_treatment_name(treatment);
  if (treatment.activation != formats::ActivationFormat::kBf16) {
    name += "+a:" + formats::format_name(treatment.activation);
  }
  if (treatment.hadamard != 0) name += fmt::format("+h:{}", treatment.hadamard);
  return name;
}

std::string treatment_name(const KvTreatment& treatment) {
  std::string name = formats::format_name(treatment.keys);
  if (treatment.keys != treatment.values) {
    name = fmt::format("k:{}+v:{}", name, formats::format_name(treatment.values));
  }
  if (treatment.query != formats::ActivationFormat::kBf16) {
    name += "+q:" + formats::format_name(treatment.query);
  }
  if (treatment.hadamard != 0) name += fmt::format("+qkh:{}", treatment.hadamard);
  return name;
}

Result<LinearTreatment> parse_linear_treatment(std::string_view name) {
  std::vector<std::string_view> pieces = split(name, '+');
  LinearTreatment treatment;
  DOVETAIL_TRY_STATUS(parse_weight(pieces[0], treatment));
  pieces.erase(pieces.begin());
  DOVETAIL_TRY_STATUS(check_keys(name, pieces));
  for (const std::string_view piece : pieces) {
    DOVETAIL_TRY(const bool known, parse_linear_part(piece, treatment));
    if (known) continue;
    return invalid_argument(
        fmt::format("treatment '{}': want WEIGHTS, +a:ACTIVATIONS, +h:BLOCK", name));
  }
  return treatment;
}

Result<KvTreatment> parse_kv_treatment(std::string_view name) {
  std::vector<std::string_view> pieces = split(name, '+');
  KvTreatment treatment;
  if (pieces[0].find(':') == std::string_view::npos) {
    DOVETAIL_TRY(treatment.keys, formats::parse_kv_format(pieces[0]));
    treatment.values = treatment.keys;
    pieces[0] = "kv:";
  }
  DOVETAIL_TRY_STATUS(check_keys(name, pieces));
  for (const std::string_view piece : pieces) {
    if (piece == "kv:") continue;
    DOVETAIL_TRY(const bool known, parse_kv_part(piece, treatment));
    if (known && !piece.starts_with("kv:")) continue;
    return invalid_argument(
        fmt::format("kv treatment '{}': want KV or k:KEYS+v:VALUES, +q:QUERIES, +qkh:BLOCK", name));
  }
  if (formats::is_per_channel(treatment.values)) {
    return invalid_argument(fmt::format(
        "kv treatment '{}': values have no groups per channel, want k:KEYS+v:VALUES", name));
  }
  DOVETAIL_TRY_STATUS(check_query(treatment, name));
  return treatment;
}

Result<Recipe> parse_uniform_recipe(const model::ModelShape& shape, std::string_view name) {
  DOVETAIL_TRY(const UniformParts parts, parse_parts(name));
  DOVETAIL_TRY_STATUS(check_query(parts.kv, name));
  Recipe recipe;
  recipe.head = parts.head;
  recipe.rotation = parts.rotation;
  recipe.pruning = parts.pruning;
  recipe.carried_frac = parts.carried_frac;
  LayerRecipe layer;
  layer.linear.fill(parts.linear);
  LinearTreatment& down = layer.linear[static_cast<size_t>(SiteKind::kMlpDown)];
  down.hadamard = parts.down_hadamard.value_or(down.hadamard);
  layer.kv = parts.kv;
  recipe.layers.assign(static_cast<size_t>(shape.num_layers), layer);
  const Status status = check_recipe(shape, recipe);
  if (!status.has_value()) {
    return with_context(status.error(), fmt::format("treatment '{}'", name));
  }
  return recipe;
}

std::string recipe_to_toml(const Recipe& recipe) {
  std::string text = fmt::format("head = \"{}\"\n", treatment_name(recipe.head));
  if (recipe.rotation != Rotation::kNone) {
    text += fmt::format("rotation = \"{}\"\n", rotation_name(recipe.rotation));
  }
  const auto stays = [&](const char* key, int64_t count) {
    if (count != 0) text += fmt::format("{} = {}\n", key, count);
  };
  stays("mlp_width", recipe.pruning.mlp_width);
  stays("heads", recipe.pruning.heads);
  stays("kv_heads", recipe.pruning.kv_heads);
  if (recipe.carried_frac != 0) text += fmt::format("qep = {}\n", recipe.carried_frac);
  text += "layers = [\n";
  for (const LayerRecipe& layer : recipe.layers) {
    text += "  \"";
    for (size_t i = 0; i < layer.linear.size(); ++i) {
      text += fmt::format("{}={} ", site_kind_name(static_cast<SiteKind>(i)),
                          treatment_name(layer.linear[i]));
    }
    text += fmt::format("kv={}\",\n", treatment_name(layer.kv));
  }
  return text + "]\n";
}

Result<Recipe> load_recipe(const model::ModelShape& shape, const std::string& path) {
  return recipe_from_file(shape, read_config<RecipeFile>(path), path);
}

Result<Recipe> parse_recipe(const model::ModelShape& shape, std::string_view text,
                            const std::string& name) {
  return recipe_from_file(shape, read_config_text<RecipeFile>(text, name), name);
}

}  // namespace dovetail::recipe
