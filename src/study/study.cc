#include "study/study.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/parallel.h"
#include "base/paths.h"
#include "report/html.h"
#include "report/targets.h"
#include "silicon/constants.h"
#include "study/point_json.h"
#include "study/products.h"
#include "study/record_json.h"
#include "study/scenario.h"
#include "study/shadow_prices.h"
#include "study/tornado.h"

namespace dovetail::study {
namespace {

constexpr int64_t kMaxStudyBytes = 8 << 20;

// Seconds of each phase; the only part of a record that depends on the machine.
class Stopwatch {
 public:
  void lap(const std::string& phase) {
    const auto now = std::chrono::steady_clock::now();
    seconds_[phase + "_s"] = std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  Json take() { return std::move(seconds_); }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  Json seconds_ = Json::object();
};

// How far off the loss prediction is: of the first product's lab, whole recipes.
struct Prediction {
  Json json;  // additivity of the record, null without validation
  double bias = 1;
  double spread = 1;
};

Result<Prediction> validate_prediction(const StudyState& state) {
  Prediction prediction;
  if (state.config.validation_recipes == 0) return prediction;
  DOVETAIL_TRY(prediction.json, state.products[0].lab->additivity(state.menu));
  prediction.bias = prediction.json.at("bias_ratio").get<double>();
  prediction.spread = prediction.json.at("bias_spread_ratio").get<double>();
  return prediction;
}

Result<std::vector<chip::Chip>> load_reference_chips(const StudyConfig& config,
                                                     const silicon::Technology& technology) {
  std::vector<chip::Chip> chips;
  for (const std::string& name : config.reference_chips) {
    DOVETAIL_TRY(const std::string file, data_file("chips", name));
    DOVETAIL_TRY(chip::Chip chip, chip::load_chip(file));
    DOVETAIL_TRY_STATUS(silicon::check_known(chip, technology, file));
    chips.push_back(std::move(chip));
  }
  return chips;
}

// One pass over the space for all scenarios at once: the front and how much was cut.
Result<search::EnumerateResult> sweep(const StudyState& state, double bias,
                                      const ProgressSink& progress) {
  std::vector<search::Scenario> scenarios;
  for (const std::string& name : state.config.objectives) {
    DOVETAIL_TRY(const search::Objective objective, search::parse_objective(name));
    for (const double cap : state.config.kl_caps_nats) scenarios.push_back({objective, cap / bias});
  }
  return search::enumerate(search_products(state), *state.config.space, state.config.budget,
                           scenarios, {.method = state.config.search}, progress);
}

// What a result of this study depends on, for the keys of its rows.
Json identity(const StudyState& state, const Prediction& prediction) {
  Json config = to_json(state.config);
  config.erase("question");
  Json models = Json::array();
  for (const ProductState& product : state.products) {
    models.push_back({{"shape", product.shape.name}, {"weights", product.lab->digest()}});
  }
  return Json{{"config", config},
              {"models", models},
              {"technology", state.technology.digest()},
              {"bias", prediction.bias},
              {"version", DOVETAIL_VERSION}};
}

Result<Json> remember_sweep(const StudyState& state, const Prediction& prediction,
                            const ProgressSink& progress) {
  const Json key = {{"identity", identity(state, prediction)}};
  return state.memory->study().remember("sweep", key, [&]() -> Result<Json> {
    DOVETAIL_TRY(const search::EnumerateResult result, sweep(state, prediction.bias, progress));
    return sweep_to_json(state, result, prediction.bias,
                         search::EnumerateParams{}.front_epsilon_frac);
  });
}

Result<Json> solve_scenario(const StudyState& state, const ScenarioQuestion& question,
                            const ProgressSink& progress) {
  DOVETAIL_TRY(const ScenarioAnswer answer, answer_scenario(state, question, progress));
  DOVETAIL_TRY(Json json, scenario_to_json(state, answer));
  DOVETAIL_TRY(json["shadow_prices"], shadow_prices_to_json(state, answer, progress));
  DOVETAIL_TRY(json["tornado"], tornado_to_json(state, answer, progress));
  return json;
}

// Every scenario is one row, so a killed study goes on with the scenario where it stopped.
Result<Json> remember_scenarios(const StudyState& state, const Prediction& prediction,
                                const ProgressSink& progress) {
  DOVETAIL_TRY(const std::vector<chip::Chip> reference_chips,
               load_reference_chips(state.config, state.technology));
  Json scenarios = Json::array();
  for (const std::string& name : state.config.objectives) {
    DOVETAIL_TRY(const search::Objective objective, search::parse_objective(name));
    for (const double cap : state.config.kl_caps_nats) {
      const ScenarioQuestion question{.objective = objective,
                                      .kl_cap_nats = cap,
                                      .bias = prediction.bias,
                                      .bias_spread_ratio = prediction.spread,
                                      .reference_chips = reference_chips};
      const Json key = {
          {"identity", identity(state, prediction)}, {"objective", name}, {"kl_cap_nats", cap}};
      DOVETAIL_TRY(Json scenario, state.memory->study().remember("scenario", key, [&] {
        return solve_scenario(state, question, progress);
      }));
      scenarios.push_back(std::move(scenario));
    }
  }
  return scenarios;
}

double largest_gap(const Json& scenarios) {
  double gap = 0;
  for (const Json& scenario : scenarios) {
    if (scenario.at("feasible").get<bool>()) {
      gap = std::max(gap, scenario.at("recommendation").at("gap_frac").get<double>());
    }
  }
  return gap;
}

Result<Json> make_record(const StudyState& state, const Prediction& prediction, const Json& swept,
                         const Json& scenarios) {
  const StudyConfig& config = state.config;
  const bool enumerated = !swept.is_null();
  Json record = {{"schema_version", record::kSchemaVersion},
                 {"name", config.name},
                 {"question", config.question}};
  record["num_chips"] = enumerated ? swept.at("search").at("num_chips") : Json(1);
  record["optimality_gap_frac"] = largest_gap(scenarios);
  record["additivity_spearman"] =
      prediction.json.is_null() ? Json() : prediction.json.at("spearman");
  record["additivity"] = prediction.json;
  record["products"] = Json::array();
  record["loss_table"] = Json::array();
  for (const ProductState& product : state.products) {
    record["products"].push_back(product_to_json(product, config.off_grid_seed));
    record["loss_table"].push_back(losses_to_json(product));
  }
  DOVETAIL_TRY(record["texts"], state.products[0].lab->describe_texts());
  record["menu"] = menu_to_json(state.menu);
  record["budget"] = to_json(config.budget);
  if (config.space.has_value()) record["space"] = to_json(*config.space);
  record["search"] = enumerated ? swept.at("search") : Json::object();
  record["front"] = enumerated ? swept.at("front") : Json::array();
  record["scenarios"] = scenarios;
  record["constants"] = constants_to_json(state.technology);
  if (enumerated) {
    record["chips_per_s"] =
        swept.at("search").at("num_chips").get<double>() / swept.at("seconds").get<double>();
  }
  return record;
}

Status write_record(const StudyState& state, const Json& record, const std::string& study_path,
                    const std::string& out_folder) {
  DOVETAIL_TRY(const std::string study_text, read_text_file(study_path, kMaxStudyBytes));
  DOVETAIL_TRY_STATUS(write_text_file(out_folder + "/study.toml", study_text));
  DOVETAIL_TRY_STATUS(state.memory->study().put("study", Json(state.config.name), record));
  DOVETAIL_TRY_STATUS(write_text_file(out_folder + "/record.json", record.dump(1) + "\n"));
  DOVETAIL_TRY_STATUS(
      write_text_file(out_folder + "/canonical.json", canonical(record).dump(1) + "\n"));
  return write_reports(record, out_folder);
}

}  // namespace

Json canonical(const Json& record) {
  Json copy = record;
  copy.erase("run");
  copy.erase("chips_per_s");
  return copy;
}

Status write_reports(const Json& record, const std::string& out_folder) {
  DOVETAIL_TRY(const std::string html, report::render_html(record));
  DOVETAIL_TRY_STATUS(write_text_file(out_folder + "/report.html", html));
  DOVETAIL_TRY(const Json targets, report::make_targets(record));
  return write_text_file(out_folder + "/targets.json", targets.dump(2) + "\n");
}

Result<Json> run_study(const StudyConfig& config, const std::string& study_path,
                       const std::string& out_folder, const ProgressSink& progress) {
  Stopwatch watch;
  DOVETAIL_TRY(StudyState state, prepare(config, out_folder, progress));
  watch.lap("prepare");
  DOVETAIL_TRY(const Prediction prediction, validate_prediction(state));
  watch.lap("validate");
  Json swept;
  if (config.space.has_value()) {
    DOVETAIL_TRY(swept, remember_sweep(state, prediction, progress));
  }
  watch.lap("sweep");
  DOVETAIL_TRY(const Json scenarios, remember_scenarios(state, prediction, progress));
  watch.lap("scenarios");
  DOVETAIL_TRY(Json record, make_record(state, prediction, swept, scenarios));
  record["run"] = watch.take();
  record["run"]["threads"] = num_threads();
  record["run"]["version"] = DOVETAIL_VERSION;
  DOVETAIL_TRY_STATUS(write_record(state, record, study_path, out_folder));
  return record;
}

}  // namespace dovetail::study
