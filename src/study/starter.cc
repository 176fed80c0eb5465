#include "study/starter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "base/config_keys.h"
#include "base/paths.h"
#include "model/zoo.h"
#include "recipe/lower.h"
#include "recipe/workload.h"
#include "search/enumerate.h"

namespace dovetail::study {
namespace {

constexpr std::string_view kFirstModel = "smollm2-135m";
constexpr std::string_view kFirstClass = "edge";

const std::array<FieldText, kNumFields>& field_texts() {
  static const std::array<FieldText, kNumFields> kTexts = {{
      {"--model", "Which model?", "zoo name, GGUF file, model folder or config.json"},
      {"--class", "What kind of device?", "name in data/classes, or a TOML file"},
      {"--workload", "What does it do all day?", "name in data/workloads, or a TOML file"},
      {"--objective", "What should be small?", "one or more of the objectives of a study"},
      {"--kl-cap", "How much may compression hurt, as KL in nats per token?",
       "one or more numbers; 0.05 is hardly visible, 0.4 is felt"},
      {"--area-mm2", "How large may the die be, in mm2?", "a number"},
      {"--power-w", "How much power may it take, in W?", "a number, for peak and sustained power"},
      {"--dram-gb-per-s", "How much DRAM bandwidth may it have, in GB/s?", "a number", false},
      {"--loss-profile", "Whose losses does it borrow?",
       "for a model without weights: a model that has some", false},
  }};
  return kTexts;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c != ',' && c != ' ' && c != '\t') {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

// A number inside the range of a key of the study.
Result<double> take_number(const std::string& text, const char* key_path) {
  static const std::vector<ConfigKey> kKeys = describe_config<StudyConfig>();
  const auto key = std::ranges::find(kKeys, key_path, &ConfigKey::path);
  DOVETAIL_CHECK(key != kKeys.end());
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = code == std::errc() && end == text.data() + text.size();
  if (!whole || !(value >= key->min && value <= key->max)) {
    return invalid_argument(fmt::format("\"{}\", want {} ({})", text, key->wanted, key->help));
  }
  return value;
}

bool is_zoo_model(const std::string& name) {
  const auto zoo = model::load_zoo();
  return zoo.has_value() && std::ranges::find(*zoo, name, &model::ZooEntry::name) != zoo->end();
}

// Nothing for a model of the zoo that was not fetched yet.
Result<std::optional<model::ModelShape>> shape_of(const std::string& name) {
  auto shape = model::resolve_shape(name);
  if (shape.has_value()) return std::optional(*std::move(shape));
  if (is_zoo_model(name)) return std::optional<model::ModelShape>();
  return std::unexpected(std::move(shape).error());
}

bool has_weights(const std::string& model) {
  const std::vector<std::string> shapes = model::shape_names();
  return std::ranges::find(shapes, model) == shapes.end() &&
         std::filesystem::path(model).filename() != "config.json";
}

Result<StudyClass> load_class(const std::string& name) {
  DOVETAIL_TRY(const std::string file, data_file("classes", name));
  DOVETAIL_TRY(StudyClass loaded, read_config<StudyClass>(file));
  const Status space = search::check_space(loaded.space);
  if (!space.has_value()) return with_context(space.error(), file);
  return loaded;
}

Result<recipe::Workload> load_workload(const std::string& name) {
  DOVETAIL_TRY(const std::string file, data_file("workloads", name));
  return read_config<recipe::Workload>(file);
}

Status set_objectives(Wishes& wishes, const std::string& answer) {
  const std::vector<std::string> names = split(answer);
  if (names.empty()) return invalid_argument("want at least one objective");
  for (const std::string& name : names) {
    DOVETAIL_TRY([[maybe_unused]] const search::Objective known, search::parse_objective(name));
  }
  wishes.objectives = names;
  return {};
}

Status set_caps(Wishes& wishes, const std::string& answer) {
  std::vector<double> caps;
  for (const std::string& word : split(answer)) {
    DOVETAIL_TRY(const double cap, take_number(word, "kl_caps_nats"));
    caps.push_back(cap);
  }
  if (caps.empty()) return invalid_argument("want at least one number");
  wishes.kl_caps_nats = caps;
  return {};
}

// How many bytes the weights take at four bits, which nearly every answer stays above.
double bytes_at_four_bits(const model::ModelShape& shape) {
  return static_cast<double>(shape.num_parameters()) / 2;
}

constexpr double kGib = 1024.0 * 1024 * 1024;

// Of all chips that share a model.
double most_capacity_gib(const search::Space& space) {
  return space.dram_capacity_gib * static_cast<double>(search::most_tensor_parallel(space));
}

Status check_capacity(const Wishes& wishes, const StudyClass& chosen) {
  DOVETAIL_TRY(const std::optional<model::ModelShape> shape, shape_of(wishes.model));
  if (!shape.has_value()) return {};
  const double wanted_gib = bytes_at_four_bits(*shape) / kGib;
  if (wanted_gib < most_capacity_gib(chosen.space)) return {};
  std::vector<std::string> roomy;
  for (const std::string& name : data_names("classes")) {
    const auto other = load_class(name);
    if (other.has_value() && wanted_gib < most_capacity_gib(other->space)) roomy.push_back(name);
  }
  return invalid_argument(fmt::format(
      "--class {} has {:g} GiB of DRAM, but {} takes {:.1f} GiB at 4 bits per weight; {}",
      wishes.class_name, most_capacity_gib(chosen.space), wishes.model, wanted_gib,
      roomy.empty() ? "no class in data/classes has more"
                    : fmt::format("want one of {}", fmt::join(roomy, ", "))));
}

std::string question_of(const Wishes& wishes, const StudyClass& chosen) {
  return fmt::format("Which compression recipe and which chip fit {} for {} ({})?", wishes.model,
                     wishes.workload, chosen.description);
}

}  // namespace

const FieldText& field_text(Field field) {
  return field_texts()[static_cast<size_t>(field)];
}

Status set_answer(Wishes& wishes, Field field, const std::string& answer) {
  const auto number = [&](std::optional<double>& target, const char* key) -> Status {
    DOVETAIL_TRY(target, take_number(answer, key));
    return {};
  };
  switch (field) {
    case Field::kModel: {
      DOVETAIL_TRY([[maybe_unused]] const auto shape, shape_of(answer));
      wishes.model = answer;
      return {};
    }
    case Field::kClass: {
      DOVETAIL_TRY([[maybe_unused]] const StudyClass loaded, load_class(answer));
      wishes.class_name = answer;
      return {};
    }
    case Field::kWorkload: {
      DOVETAIL_TRY([[maybe_unused]] const recipe::Workload loaded, load_workload(answer));
      wishes.workload = answer;
      return {};
    }
    case Field::kObjectives:
      return set_objectives(wishes, answer);
    case Field::kKlCaps:
      return set_caps(wishes, answer);
    case Field::kArea:
      return number(wishes.max_area_mm2, "budget.max_area_mm2");
    case Field::kPower:
      return number(wishes.max_power_w, "budget.max_peak_power_w");
    case Field::kDram:
      return number(wishes.max_dram_gb_per_s, "budget.max_dram_gb_per_s");
    case Field::kLossProfile: {
      DOVETAIL_TRY([[maybe_unused]] const auto shape, shape_of(answer));
      if (!has_weights(answer)) {
        return invalid_argument(
            fmt::format("\"{}\" is a shape without weights, want a model that has some", answer));
      }
      wishes.loss_profile = answer;
      return {};
    }
  }
  return {};
}

Result<std::string> default_answer(const Wishes& wishes, Field field) {
  if (field == Field::kModel) return std::string(kFirstModel);
  if (field == Field::kClass) return std::string(kFirstClass);
  if (field == Field::kLossProfile) return std::string(kFirstModel);
  DOVETAIL_TRY(
      const StudyClass chosen,
      load_class(wishes.class_name.empty() ? std::string(kFirstClass) : wishes.class_name));
  switch (field) {
    case Field::kWorkload:
      return chosen.workload;
    case Field::kObjectives:
      return fmt::format("{}", fmt::join(chosen.objectives, ","));
    case Field::kKlCaps:
      return fmt::format("{}", fmt::join(chosen.kl_caps_nats, ","));
    case Field::kArea:
      return fmt::format("{}", chosen.budget.max_area_mm2);
    case Field::kPower:
      return fmt::format("{}", chosen.budget.max_peak_power_w);
    default:
      return fmt::format("{}", chosen.budget.max_dram_gb_per_s);
  }
}

Result<StudyConfig> start_study(const Wishes& given) {
  Wishes wishes = given;
  const auto fill = [&](bool missing, Field field) -> Status {
    if (!missing) return {};
    DOVETAIL_TRY(const std::string answer, default_answer(wishes, field));
    return set_answer(wishes, field, answer);
  };
  DOVETAIL_TRY_STATUS(fill(wishes.model.empty(), Field::kModel));
  DOVETAIL_TRY_STATUS(fill(wishes.class_name.empty(), Field::kClass));
  DOVETAIL_TRY_STATUS(fill(wishes.workload.empty(), Field::kWorkload));
  DOVETAIL_TRY_STATUS(fill(wishes.objectives.empty(), Field::kObjectives));
  DOVETAIL_TRY_STATUS(fill(wishes.kl_caps_nats.empty(), Field::kKlCaps));
  const bool borrows = !has_weights(wishes.model);
  DOVETAIL_TRY_STATUS(fill(borrows && wishes.loss_profile.empty(), Field::kLossProfile));
  if (!borrows && !wishes.loss_profile.empty()) {
    return invalid_argument(
        fmt::format("--loss-profile = \"{}\", but {} has weights of its own; want none",
                    wishes.loss_profile, wishes.model));
  }
  DOVETAIL_TRY(const StudyClass chosen, load_class(wishes.class_name));
  DOVETAIL_TRY_STATUS(check_capacity(wishes, chosen));
  DOVETAIL_TRY(const recipe::Workload workload, load_workload(wishes.workload));
  DOVETAIL_TRY(const auto shape, shape_of(wishes.model));
  if (shape.has_value()) {  // a prompt that is longer than the model can read, and the like
    const Status checked = recipe::check_workload(*shape, workload);
    if (!checked.has_value()) return with_context(checked.error(), "--workload");
  }
  StudyConfig config;
  config.name = wishes.name;
  config.question = question_of(wishes, chosen);
  config.objectives = wishes.objectives;
  config.kl_caps_nats = wishes.kl_caps_nats;
  config.products = {{.name = "product",
                      .model = wishes.model,
                      .workload = wishes.workload,
                      .weight = 1.0,
                      .loss_profile = wishes.loss_profile}};
  config.text = chosen.text;
  config.menu = chosen.menu;
  config.budget = chosen.budget;
  config.budget.max_area_mm2 = wishes.max_area_mm2.value_or(chosen.budget.max_area_mm2);
  config.budget.max_peak_power_w = wishes.max_power_w.value_or(chosen.budget.max_peak_power_w);
  config.budget.max_sustained_power_w =
      wishes.max_power_w.value_or(chosen.budget.max_sustained_power_w);
  config.budget.max_dram_gb_per_s =
      wishes.max_dram_gb_per_s.value_or(chosen.budget.max_dram_gb_per_s);
  config.space = chosen.space;
  config.reference_chips = chosen.reference_chips;
  config.confirmations = chosen.confirmations;
  config.validation_recipes = chosen.validation_recipes;
  DOVETAIL_TRY_STATUS(check_study(config));
  return config;
}

std::string study_text(const StudyConfig& config) {
  return "# A study for dovetail optimize. Change what you like: every key says what it means and "
         "what it\n# may be; a key that is commented out has the value that it shows. An unknown "
         "key is refused.\n\n" +
         commented_toml(to_json(config), describe_config<StudyConfig>());
}

}  // namespace dovetail::study
