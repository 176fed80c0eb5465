#include "study/study_config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "chip/chip.h"
#include "formats/activation.h"
#include "formats/format.h"
#include "recipe/profiled_formats.h"
#include "search/enumerate.h"

namespace dovetail::study {
namespace {

// Which formats "x" and "y" and where they came from: an entry that appears twice is a mistake.
Status check_distinct(const std::string& where, const std::vector<std::string>& names) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) {
      return invalid_argument(
          fmt::format("{} = \"{}\" appears twice, want each once", where, name));
    }
  }
  return {};
}

Status check_products(const StudyConfig& config) {
  if (config.products.empty()) {
    return invalid_argument("products is empty, want at least one [[products]]");
  }
  std::vector<std::string> names;
  for (const ProductConfig& product : config.products) names.push_back(product.name);
  return check_distinct("products.name", names);
}

// The name is also a folder below out/, so it may not climb out of there.
Status check_name(const std::string& name) {
  const bool plain = !name.empty() && name.front() != '.' && name.size() <= 100 &&
                     name.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789._-") == std::string::npos;
  if (plain) return {};
  return invalid_argument(fmt::format(
      "name = \"{}\", want 1 to 100 letters, digits, '.', '_' or '-': results go to out/<name>",
      name));
}

// Every side is solved and measured under each global choice.
constexpr double kMaxGlobalChoices = 16;

Status check_rotations(const StudyConfig& config) {
  const std::vector<std::string>& rotations = config.menu.rotations;
  if (rotations.empty()) return invalid_argument("menu.rotations is empty, want \"none\" at least");
  DOVETAIL_TRY_STATUS(check_distinct("menu.rotations", rotations));
  const double choices =
      std::pow(static_cast<double>(rotations.size()), static_cast<double>(config.products.size()));
  if (choices <= kMaxGlobalChoices) return {};
  return invalid_argument(
      fmt::format("menu.rotations: {} rotations of each of {} products are {} global choices, want "
                  "at most {}",
                  rotations.size(), config.products.size(), choices, kMaxGlobalChoices));
}

// One limit, on a product that exists, of a kind that the verdict can be of.
Status check_target(const StudyConfig& config, const AccuracyTarget& target) {
  const std::string where = fmt::format("accuracy, benchmark = \"{}\"", target.benchmark);
  const int limits = (target.margin_frac > 0 ? 1 : 0) + (target.margin_questions > 0 ? 1 : 0) +
                     (target.floor_frac > 0 ? 1 : 0);
  if (limits != 1) {
    return invalid_argument(fmt::format(
        "{}: {} of margin_frac, margin_questions and floor_frac are set, want one", where, limits));
  }
  if (target.verdict == "benchmark" && target.questions_per_task > 0) {
    return invalid_argument(
        fmt::format("{}: questions_per_task = {} with verdict = \"benchmark\", "
                    "which asks all questions",
                    where, target.questions_per_task));
  }
  if (target.verdict == "population" && target.margin_questions > 0) {
    return invalid_argument(
        fmt::format("{}: margin_questions = {} counts the questions of a benchmark, want verdict = "
                    "\"benchmark\", or margin_frac",
                    where, target.margin_questions));
  }
  if (target.product.empty() && config.products.size() == 1) return {};
  std::vector<std::string> names;
  for (const ProductConfig& product : config.products) names.push_back(product.name);
  if (std::ranges::find(names, target.product) != names.end()) return {};
  return invalid_argument(fmt::format("{}: product = \"{}\", want one of {}", where, target.product,
                                      fmt::join(names, ", ")));
}

}  // namespace

Status check_study(const StudyConfig& config) {
  DOVETAIL_TRY_STATUS(check_name(config.name));
  DOVETAIL_TRY_STATUS(check_products(config));
  for (const AccuracyTarget& target : config.accuracy) {
    DOVETAIL_TRY_STATUS(check_target(config, target));
  }
  if (config.kl_caps_nats.empty()) {
    return invalid_argument("kl_caps_nats is empty, want at least one cap");
  }
  if (config.objectives.empty()) {
    return invalid_argument("objectives is empty, want at least one");
  }
  // Fewer give no rank correlation: said here and not after minutes of profiling.
  if (config.validation_recipes == 1 || config.validation_recipes == 2) {
    return invalid_argument(fmt::format("validation_recipes = {}, want 0 (none) or at least 3",
                                        config.validation_recipes));
  }
  if (config.chip.empty() && !config.space.has_value()) {
    return invalid_argument(
        "space is missing, want [space], or chip = \"FILE\" to freeze the chip");
  }
  if (!config.chip.empty() && config.space.has_value()) {
    return invalid_argument(fmt::format(
        "chip = \"{}\" freezes the chip, but [space] is there too; want only one", config.chip));
  }
  if (!config.recipe.empty() && config.products.size() != 1) {
    return invalid_argument(fmt::format("recipe = \"{}\" with {} products, want one product",
                                        config.recipe, config.products.size()));
  }
  if (config.space.has_value()) DOVETAIL_TRY_STATUS(search::check_space(*config.space));
  DOVETAIL_TRY_STATUS(check_distinct("objectives", config.objectives));
  const auto menu = make_menu(config.menu);
  if (!menu.has_value()) return std::unexpected(menu.error());
  return check_rotations(config);
}

Result<StudyConfig> load_study(const std::string& path) {
  DOVETAIL_TRY(StudyConfig config, read_config<StudyConfig>(path));
  const Status status = check_study(config);
  if (!status.has_value()) return with_context(status.error(), path);
  return config;
}

namespace {

// Studies choose among the formats that a loss profile prices.
Status check_profiled(const formats::WeightFormat& weight) {
  const auto& profiled = recipe::profiled_weight_formats();
  if (std::find(profiled.begin(), profiled.end(), weight) != profiled.end()) return {};
  std::vector<std::string> names;
  for (const formats::WeightFormat& format : profiled)
    names.push_back(formats::format_name(format));
  const std::string name = formats::format_name(weight);
  const auto near = nearest_name(name, names);
  return invalid_argument(fmt::format(
      "menu.weights: {} is a format, but not one that profiles price; want one of {}{}", name,
      fmt::join(names, ", "), near.has_value() ? fmt::format(" (nearest: {})", *near) : ""));
}

}  // namespace

Result<recipe::Menu> make_menu(const MenuConfig& config) {
  DOVETAIL_TRY_STATUS(check_distinct("menu.weights", config.weights));
  DOVETAIL_TRY_STATUS(check_distinct("menu.kv", config.kv));
  recipe::Menu menu;
  menu.linear.push_back({});
  menu.kv.push_back({});
  std::vector<std::string> weights = config.weights;
  if (std::find(weights.begin(), weights.end(), "bf16") == weights.end()) {
    weights.insert(weights.begin(), "bf16");
  }
  for (const std::string& weight_name : weights) {
    const auto weights_alone = recipe::parse_linear_treatment(weight_name);
    if (!weights_alone.has_value()) return with_context(weights_alone.error(), "menu.weights");
    if (weight_name.find('+') != std::string::npos) {
      return invalid_argument(
          fmt::format("menu.weights: {}, want weights alone; activations have a list of their own",
                      weight_name));
    }
    if (weights_alone->algorithm == recipe::Algorithm::kSignround) {
      return invalid_argument(
          fmt::format("menu.weights: {}: studies put sites together in any way, but signround "
                      "learns all sites of a layer together; want imatrix, gptq or gptq_cd",
                      weight_name));
    }
    DOVETAIL_TRY_STATUS(check_profiled(weights_alone->weight));
    for (const std::string& activation_name : config.activations) {
      const auto activation = formats::parse_activation_format(activation_name);
      if (!activation.has_value()) return with_context(activation.error(), "menu.activations");
      if (formats::is_static(*activation)) {
        return invalid_argument(
            fmt::format("menu.activations: {}: profiles know no scale fixed beforehand, want a "
                        "format per token or group",
                        activation_name));
      }
      recipe::LinearTreatment treatment = *weights_alone;
      treatment.activation = *activation;
      if (treatment != recipe::LinearTreatment{}) menu.linear.push_back(treatment);
    }
  }
  for (const std::string& kv_name : config.kv) {
    const auto kv = recipe::parse_kv_treatment(kv_name);
    if (!kv.has_value()) return with_context(kv.error(), "menu.kv");
    const Status priced = chip::check_priced(*kv);
    if (!priced.has_value()) return with_context(priced.error(), "menu.kv");
    if (*kv != recipe::KvTreatment{}) menu.kv.push_back(*kv);
  }
  return menu;
}

}  // namespace dovetail::study
