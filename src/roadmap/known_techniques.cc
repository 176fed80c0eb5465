#include "roadmap/known_techniques.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "chip/chip.h"
#include "formats/activation.h"
#include "recipe/profiled_formats.h"

namespace dovetail::roadmap {
namespace {

constexpr const char* kNotPriced = "not priced in this study";
constexpr const char* kNoStudy = "no study prices it";
constexpr const char* kNotBuilt = "not built";

void add(Json& rows, const std::string& technique, const char* kind, const char* status,
         const std::string& how) {
  rows.push_back({{"technique", technique}, {"kind", kind}, {"status", status}, {"how", how}});
}

// An integer format of the menu for examples of keys, the narrowest that algorithms may treat.
std::string example_format(const recipe::Menu& menu) {
  for (const recipe::LinearTreatment& linear : menu.linear)
    if (linear.weight.element == formats::Element::kInt) return formats::format_name(linear.weight);
  return "int4_g64";
}

void add_algorithms(const recipe::Menu& menu, Json& rows) {
  const std::string format = example_format(menu);
  for (const auto algorithm :
       {recipe::Algorithm::kImatrix, recipe::Algorithm::kGptq, recipe::Algorithm::kGptqCd}) {
    const bool priced = std::ranges::any_of(
        menu.linear, [&](const auto& linear) { return linear.algorithm == algorithm; });
    if (priced) continue;
    const std::string name(recipe::algorithm_name(algorithm));
    add(rows, name, "algorithm", kNotPriced, fmt::format("menu.weights: \"{}_{}\"", format, name));
  }
  for (const auto fold : {recipe::Fold::kAwq, recipe::Fold::kSmooth}) {
    const bool priced =
        std::ranges::any_of(menu.linear, [&](const auto& linear) { return linear.fold == fold; });
    if (priced) continue;
    const std::string name(recipe::fold_name(fold));
    add(rows, name, "folding", kNotPriced, fmt::format("menu.weights: \"{}_{}\"", format, name));
  }
}

void add_formats(const recipe::Menu& menu, Json& rows) {
  std::vector<std::string> weights;
  for (const formats::WeightFormat& format : recipe::profiled_weight_formats()) {
    const bool priced = std::ranges::any_of(
        menu.linear, [&](const auto& linear) { return linear.weight == format; });
    if (!priced) weights.push_back(formats::format_name(format));
  }
  for (const std::string& name : weights)
    add(rows, name, "weight format", kNotPriced, fmt::format("menu.weights: \"{}\"", name));
  for (const auto activation :
       {formats::ActivationFormat::kInt8Token, formats::ActivationFormat::kFp8Token}) {
    const bool priced = std::ranges::any_of(
        menu.linear, [&](const auto& linear) { return linear.activation == activation; });
    const std::string name = formats::format_name(activation);
    if (!priced)
      add(rows, "a:" + name, "activation format", kNotPriced,
          fmt::format("menu.activations: \"{}\"", name));
  }
}

void add_kv(const recipe::Menu& menu, Json& rows) {
  for (const char* name : {"int8", "int4", "int3", "int2", "fp8", "nvfp4"}) {
    const auto treatment = recipe::parse_kv_treatment(name);
    if (!treatment.has_value() || !chip::check_priced(*treatment).has_value()) continue;
    const bool priced =
        std::ranges::any_of(menu.kv, [&](const auto& kv) { return kv.keys == treatment->keys; });
    if (!priced)
      add(rows, fmt::format("kv:{}", name), "kv treatment", kNotPriced,
          fmt::format("menu.kv: \"{}\"", name));
  }
}

}  // namespace

Json unpriced_techniques(const recipe::Menu& menu, const std::vector<recipe::Rotation>& rotations) {
  Json rows = Json::array();
  if (!menu.linear.empty()) {
    add_algorithms(menu, rows);
    add_formats(menu, rows);
    add_kv(menu, rows);
    for (const auto rotation : {recipe::Rotation::kR1, recipe::Rotation::kR1R2}) {
      if (std::ranges::find(rotations, rotation) != rotations.end()) continue;
      const std::string name(recipe::rotation_name(rotation));
      add(rows, "r:" + name, "rotation", kNotPriced, fmt::format("menu.rotations: \"{}\"", name));
    }
  }
  const char* eval = "eval kl MODEL --treatment measures its loss, cost its cost";
  add(rows, "h:, h_down:, qkh:", "online Hadamard transforms", kNoStudy, eval);
  add(rows, "2:4, 4:8", "sparse formats", kNoStudy, eval);
  add(rows, "mlp:, heads:, kv_heads:", "pruning", kNoStudy, eval);
  add(rows, "signround, qep:", "learned rounding, carried error", kNoStudy,
      "they treat a layer's sites together; eval kl MODEL --treatment measures their loss");
  add(rows, "QAT", "training with the numerics", kNotBuilt, "");
  add(rows, "distillation", "training on the uncompressed model's outputs", kNotBuilt, "");
  return rows;
}

}  // namespace dovetail::roadmap
