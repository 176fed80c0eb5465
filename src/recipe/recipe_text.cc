// Treatment names, uniform recipes and recipe files.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/config.h"
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

constexpr std::array<Algorithm, 2> kCalibrated = {Algorithm::kImatrix, Algorithm::kGptq};

bool has_suffix(std::string_view name, std::string_view algorithm) {
  return name.size() > algorithm.size() && name.ends_with(algorithm) &&
         name[name.size() - algorithm.size() - 1] == '_';
}

// Weight format and algorithm of `name` into a treatment: "int4_g128_gptq".
Status parse_weight(std::string_view name, LinearTreatment& treatment) {
  std::string_view format = name;
  for (const Algorithm algorithm : kCalibrated) {
    if (!has_suffix(name, algorithm_name(algorithm))) continue;
    treatment.algorithm = algorithm;
    format.remove_suffix(algorithm_name(algorithm).size() + 1);
  }
  for (const std::string_view missing : {"awq", "smoothquant", "quarot", "autoround"}) {
    if (!has_suffix(name, missing)) continue;
    return invalid_argument(
        fmt::format("treatment '{}': algorithm '{}' is not built, want gptq, imatrix or no suffix",
                    name, missing));
  }
  DOVETAIL_TRY(treatment.weight, formats::parse_weight_format(format));
  if (treatment.weight.element == formats::Element::kBf16 && format != name)
    return invalid_argument(fmt::format("treatment '{}': bf16 takes no algorithm", name));
  return {};
}

// The parts of a uniform treatment, whichever are named.
struct UniformParts {
  LinearTreatment linear;
  KvTreatment kv;
  LinearTreatment head;
};

Result<UniformParts> parse_parts(std::string_view name) {
  UniformParts parts;
  const std::vector<std::string_view> pieces = split(name, '+');
  DOVETAIL_TRY_STATUS(parse_weight(pieces[0], parts.linear));
  std::vector<std::string_view> seen;
  bool has_head = false;
  for (size_t i = 1; i < pieces.size(); ++i) {
    const std::string_view piece = pieces[i];
    const std::string_view key = piece.substr(0, piece.find(':'));
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return invalid_argument(fmt::format("treatment '{}': '{}:' stands twice", name, key));
    }
    seen.push_back(key);
    if (const auto a = value_of(piece, "a:")) {
      DOVETAIL_TRY(parts.linear.activation, formats::parse_activation_format(*a));
    } else if (const auto kv = value_of(piece, "kv:")) {
      DOVETAIL_TRY(parts.kv.kv, formats::parse_kv_format(*kv));
    } else if (const auto q = value_of(piece, "q:")) {
      DOVETAIL_TRY(parts.kv.query, formats::parse_activation_format(*q));
    } else if (const auto head = value_of(piece, "head:")) {
      DOVETAIL_TRY_STATUS(parse_weight(*head, parts.head));
      has_head = true;
    } else {
      return invalid_argument(fmt::format(
          "treatment '{}': '{}' is unknown, want a:FORMAT, kv:FORMAT, q:FORMAT or head:FORMAT",
          name, piece));
    }
  }
  if (has_head) parts.head.activation = parts.linear.activation;
  return parts;
}

Status check_query(const KvTreatment& kv, std::string_view name) {
  if (kv.query == formats::ActivationFormat::kFp8Token) {
    return invalid_argument(
        fmt::format("treatment '{}': q: is fp8_token, want bf16 or int8_token", name));
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
  recipe.layers.resize(file.layers.size());
  for (size_t i = 0; i < file.layers.size(); ++i) {
    const Status status = parse_layer_line(file.layers[i], recipe.layers[i]);
    if (!status.has_value()) {
      return with_context(status.error(), fmt::format("{}: layers[{}]", name, i));
    }
  }
  return recipe;
}

}  // namespace

std::string weight_treatment_name(const LinearTreatment& treatment) {
  std::string name = formats::format_name(treatment.weight);
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
  return name;
}

std::string treatment_name(const KvTreatment& treatment) {
  std::string name = formats::format_name(treatment.kv);
  if (treatment.query != formats::ActivationFormat::kBf16) {
    name += "+q:" + formats::format_name(treatment.query);
  }
  return name;
}

Result<LinearTreatment> parse_linear_treatment(std::string_view name) {
  const std::vector<std::string_view> pieces = split(name, '+');
  LinearTreatment treatment;
  DOVETAIL_TRY_STATUS(parse_weight(pieces[0], treatment));
  if (pieces.size() == 1) return treatment;
  const auto a = value_of(pieces[1], "a:");
  if (pieces.size() > 2 || !a.has_value()) {
    return invalid_argument(
        fmt::format("treatment '{}': want WEIGHTS or WEIGHTS+a:ACTIVATIONS", name));
  }
  DOVETAIL_TRY(treatment.activation, formats::parse_activation_format(*a));
  return treatment;
}

Result<KvTreatment> parse_kv_treatment(std::string_view name) {
  const std::vector<std::string_view> pieces = split(name, '+');
  KvTreatment treatment;
  DOVETAIL_TRY(treatment.kv, formats::parse_kv_format(pieces[0]));
  if (pieces.size() == 1) return treatment;
  const auto q = value_of(pieces[1], "q:");
  if (pieces.size() > 2 || !q.has_value()) {
    return invalid_argument(fmt::format("kv treatment '{}': want KV or KV+q:QUERIES", name));
  }
  DOVETAIL_TRY(treatment.query, formats::parse_activation_format(*q));
  DOVETAIL_TRY_STATUS(check_query(treatment, name));
  return treatment;
}

Result<Recipe> parse_uniform_recipe(const model::ModelShape& shape, std::string_view name) {
  DOVETAIL_TRY(const UniformParts parts, parse_parts(name));
  DOVETAIL_TRY_STATUS(check_query(parts.kv, name));
  Recipe recipe;
  recipe.head = parts.head;
  LayerRecipe layer;
  layer.linear.fill(parts.linear);
  layer.kv = parts.kv;
  recipe.layers.assign(static_cast<size_t>(shape.num_layers), layer);
  return recipe;
}

std::string recipe_to_toml(const Recipe& recipe) {
  std::string text = fmt::format("head = \"{}\"\nlayers = [\n", treatment_name(recipe.head));
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
