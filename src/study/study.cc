#include "study/study.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>

#include <fmt/format.h>

#include "base/parallel.h"
#include "base/paths.h"
#include "report/html.h"
#include "report/targets.h"
#include "silicon/check_chip.h"
#include "silicon/constants.h"
#include "study/accuracy.h"
#include "study/list_progress.h"
#include "study/point_json.h"
#include "study/products.h"
#include "study/recipe_files.h"
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
  Json json;                   // additivity of the record, null without validation
  std::vector<LossBias> bias;  // of every state
};

Result<Prediction> validate_prediction(const StudyStates& states) {
  Prediction prediction;
  prediction.bias.resize(states.size());
  const StudyState& first = states.front();
  if (first.config.validation_recipes == 0) return prediction;
  DOVETAIL_TRY(prediction.json,
               first.products[0].lab->additivity(first.menu, rotations_of(states, 0)));
  for (size_t i = 0; i < states.size(); ++i) {
    const recipe::Rotation rotation = states[i].products[0].rotation;
    const Json& own =
        prediction.json.at("by_rotation").at(std::string(recipe::rotation_name(rotation)));
    prediction.bias[i] = {.ratio = own.at("bias_ratio").get<double>(),
                          .spread_ratio = own.at("bias_spread_ratio").get<double>()};
  }
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
  Json bias = Json::array();
  for (const LossBias& own : prediction.bias) bias.push_back(own.ratio);
  Json config = to_json(state.config);
  config.erase("question");
  config.erase("accuracy");  // judged after the search, which does not know it
  Json models = Json::array();
  for (const ProductState& product : state.products) {
    models.push_back({{"shape", product.shape.name}, {"weights", product.lab->digest()}});
  }
  return Json{{"config", config},
              {"models", models},
              {"technology", state.technology.digest()},
              {"bias", bias},
              {"version", DOVETAIL_VERSION}};
}

Json sweep_key(const StudyState& state, const Prediction& prediction) {
  return {{"identity", identity(state, prediction)}, {"global_choice", global_choice_name(state)}};
}

Piece sweep_piece(const StudyState& state, double bias, Json key, const ProgressSink& progress) {
  const auto compute = [&state, bias, progress]() -> Result<Json> {
    DOVETAIL_TRY(const search::EnumerateResult result, sweep(state, bias, progress));
    return sweep_to_json(state, result, bias, search::EnumerateParams{}.front_epsilon_frac);
  };
  return {.kind = "sweep", .input = std::move(key), .compute = compute};
}

// One per objective and cap.
Result<std::vector<ScenarioQuestion>> scenario_questions(const StudyStates& states,
                                                         const Prediction& prediction) {
  const StudyState& state = states.front();
  DOVETAIL_TRY(const std::vector<chip::Chip> reference_chips,
               load_reference_chips(state.config, state.technology));
  std::vector<ScenarioQuestion> questions;
  for (const std::string& name : state.config.objectives) {
    DOVETAIL_TRY(const search::Objective objective, search::parse_objective(name));
    for (const double cap : state.config.kl_caps_nats) {
      questions.push_back({.objective = objective,
                           .kl_cap_nats = cap,
                           .bias = prediction.bias,
                           .reference_chips = reference_chips,
                           .key = {{"identity", identity(state, prediction)},
                                   {"objective", name},
                                   {"kl_cap_nats", cap}}});
    }
  }
  return questions;
}

using Answers = std::vector<std::shared_ptr<const ScenarioAnswer>>;

Piece shadow_prices_piece(const StudyState& state,
                          const std::shared_ptr<const ScenarioAnswer>& answer,
                          const ProgressSink& progress) {
  return {.kind = "shadow_prices", .input = answer->key, .compute = [&state, answer, progress] {
            return shadow_prices_to_json(state, *answer, progress);
          }};
}

// Explained under the global choice of the answer.
Piece scenario_piece(const StudyStates& states, const ScenarioQuestion& question,
                     const ProgressSink& progress) {
  const auto compute = [&]() -> Result<Json> {
    DOVETAIL_TRY(ScenarioAnswer found, answer_scenario(states, question, progress));
    const auto answer = std::make_shared<const ScenarioAnswer>(std::move(found));
    const StudyState& state = states[answer->joint.state];
    DOVETAIL_TRY(Json json, scenario_to_json(states, *answer));
    DOVETAIL_TRY(json["shadow_prices"],
                 state.memory->remember(shadow_prices_piece(state, answer, progress)));
    DOVETAIL_TRY(json["tornado"], tornado_to_json(state, *answer, progress));
    return json;
  };
  return {.kind = "scenario", .input = question.key, .compute = compute};
}

void append(std::vector<Piece> pieces, std::vector<Piece>& to) {
  std::ranges::move(pieces, std::back_inserter(to));
}

// The tornado's steps depend on each other; the long pieces of a list come first.
Status explain_ahead(const StudyStates& states, const Answers& answers,
                     const ProgressSink& progress) {
  const std::pair<TornadoStep, const char*> steps[] = {
      {TornadoStep::kContenders, "asking what each resource is worth"},
      {TornadoStep::kContests, "moving constants"},
      {TornadoStep::kSearches, "searching under moved constants"}};
  for (const auto& [step, what] : steps) {
    const ListProgress stage(what, progress);
    std::vector<Piece> pieces;
    for (const auto& answer : answers) {
      if (step != TornadoStep::kContenders) break;
      pieces.push_back(shadow_prices_piece(states[answer->joint.state], answer, stage.inside()));
    }
    for (const auto& answer : answers) {
      DOVETAIL_TRY(std::vector<Piece> own,
                   tornado_pieces(step, states[answer->joint.state], answer, stage.inside()));
      append(std::move(own), pieces);
    }
    DOVETAIL_TRY_STATUS(states.front().memory->work_through(pieces, stage.counter()));
  }
  return {};
}

Result<std::vector<const ScenarioQuestion*>> unanswered(
    const StudyState& state, const std::vector<ScenarioQuestion>& questions) {
  std::vector<const ScenarioQuestion*> open;
  for (const ScenarioQuestion& question : questions) {
    DOVETAIL_TRY(const std::optional<Json> done, state.memory->find("scenario", question.key));
    if (!done.has_value()) open.push_back(&question);
  }
  return open;
}

// In lists of pieces that all workers of the study share; who is killed goes on with the piece that
// it was at. Returns the sweep's result under each global choice, none for a frozen chip.
Result<std::vector<Json>> search_ahead(const StudyStates& states, const Prediction& prediction,
                                       const std::vector<ScenarioQuestion>& questions,
                                       const ProgressSink& progress) {
  const StudyState& first = states.front();
  DOVETAIL_TRY(const std::vector<const ScenarioQuestion*> open, unanswered(first, questions));
  const size_t num_sweeps = first.config.space.has_value() ? states.size() : 0;
  const ListProgress settling("settling every side at measured loss", progress);
  std::vector<Piece> sides;
  for (size_t i = 0; i < num_sweeps; ++i) {
    sides.push_back(sweep_piece(states[i], prediction.bias[i].ratio,
                                sweep_key(states[i], prediction), settling.inside()));
  }
  for (const ScenarioQuestion* question : open) {
    DOVETAIL_TRY(std::vector<Piece> own, side_pieces(states, *question, settling.inside()));
    append(std::move(own), sides);
  }
  DOVETAIL_TRY(std::vector<Json> settled, first.memory->remember_all(sides, settling.counter()));
  const ListProgress certifying("certifying on the third text", progress);
  std::vector<Piece> certificates;
  for (const ScenarioQuestion* question : open) {
    DOVETAIL_TRY(std::vector<Piece> own,
                 certificate_pieces(states, *question, certifying.inside()));
    append(std::move(own), certificates);
  }
  DOVETAIL_TRY_STATUS(first.memory->work_through(certificates, certifying.counter()));
  Answers answers;
  for (const ScenarioQuestion* question : open) {
    DOVETAIL_TRY(ScenarioAnswer answer, answer_scenario(states, *question, progress));
    answers.push_back(std::make_shared<const ScenarioAnswer>(std::move(answer)));
  }
  DOVETAIL_TRY_STATUS(explain_ahead(states, answers, progress));
  settled.resize(num_sweeps);
  return settled;
}

struct Searched {
  std::vector<Json> sweeps;  // under each global choice; none for a frozen chip
  Json scenarios = Json::array();
  Json accuracy = {};  // null without targets
};

Result<std::vector<ScenarioAnswer>> answers_to(const StudyStates& states,
                                               const std::vector<ScenarioQuestion>& questions,
                                               const ProgressSink& progress) {
  std::vector<ScenarioAnswer> answers;
  for (const ScenarioQuestion& question : questions) {
    DOVETAIL_TRY(ScenarioAnswer answer, answer_scenario(states, question, progress));
    answers.push_back(std::move(answer));
  }
  return answers;
}

Result<Searched> search_and_confirm(const StudyStates& states, const Prediction& prediction,
                                    const std::string& out_folder, const ProgressSink& progress) {
  DOVETAIL_TRY(const std::vector<ScenarioQuestion> questions,
               scenario_questions(states, prediction));
  Searched searched;
  DOVETAIL_TRY(searched.sweeps, search_ahead(states, prediction, questions, progress));
  for (const ScenarioQuestion& question : questions) {
    DOVETAIL_TRY(Json scenario,
                 states.front().memory->remember(scenario_piece(states, question, progress)));
    scenario["row"] = record::row_name("scenario", question.key);
    searched.scenarios.push_back(std::move(scenario));
  }
  DOVETAIL_TRY(const std::vector<ScenarioAnswer> answers, answers_to(states, questions, progress));
  DOVETAIL_TRY_STATUS(write_recipe_files(states, answers, out_folder));
  DOVETAIL_TRY(searched.accuracy, judge_accuracy(states, answers, progress));
  return searched;
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

// Products as they are under the first global choice, losses under each.
Status add_products(const StudyStates& states, Json& record) {
  record["products"] = Json::array();
  record["loss_table"] = Json::array();
  for (size_t i = 0; i < states.front().products.size(); ++i) {
    const ProductState& product = states.front().products[i];
    Json described = product_to_json(product, states.front().config.off_grid_seed);
    DOVETAIL_TRY(described["profile_row"], product.lab->profile_row(product.rotation));
    record["products"].push_back(std::move(described));
    for (const recipe::Rotation rotation : rotations_of(states, i)) {
      const auto found = std::ranges::find_if(
          states, [&](const StudyState& state) { return state.products[i].rotation == rotation; });
      record["loss_table"].push_back(losses_to_json(found->products[i]));
    }
  }
  return {};
}

// The space was swept under each global choice.
void add_sweeps(const StudyStates& states, const Prediction& prediction,
                const std::vector<Json>& sweeps, Json& record) {
  double seconds = 0;
  for (size_t i = 0; i < sweeps.size(); ++i) {
    seconds += sweeps[i].at("seconds").get<double>();
    const std::string row =
        i == 0 ? "sweep" : fmt::format("sweep_{}", global_choice_name(states[i]));
    record["rows"][row] = record::row_name("sweep", sweep_key(states[i], prediction));
  }
  record["search"] = joined_search(states, sweeps);
  record["front"] = joined_front(states, sweeps);
  record["num_chips"] = record["search"].at("num_chips");
  record["chips_per_s"] =
      record["num_chips"].get<double>() * static_cast<double>(sweeps.size()) / seconds;
}

Result<Json> make_record(const StudyStates& states, const Prediction& prediction,
                         const Searched& searched) {
  const StudyState& state = states.front();
  const StudyConfig& config = state.config;
  Json record = {{"schema_version", record::kSchemaVersion},
                 {"name", config.name},
                 {"question", config.question}};
  record["num_chips"] = 1;
  record["optimality_gap_frac"] = largest_gap(searched.scenarios);
  record["additivity_spearman"] =
      prediction.json.is_null() ? Json() : prediction.json.at("spearman");
  record["additivity"] = prediction.json;
  DOVETAIL_TRY_STATUS(add_products(states, record));
  DOVETAIL_TRY(record["texts"], state.products[0].lab->describe_texts());
  record["menu"] = menu_to_json(states);
  record["budget"] = to_json(config.budget);
  if (config.space.has_value()) record["space"] = to_json(*config.space);
  record["search"] = Json::object();
  record["front"] = Json::array();
  record["scenarios"] = searched.scenarios;
  if (!searched.accuracy.is_null()) record["accuracy"] = searched.accuracy;
  record["constants"] = constants_to_json(state.technology);
  record["rows"] = {{"study", record::row_name("study", Json(config.name))}};
  if (!searched.sweeps.empty()) add_sweeps(states, prediction, searched.sweeps, record);
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
  DOVETAIL_TRY(const StudyStates states, prepare(config, out_folder, progress));
  watch.lap("prepare");
  DOVETAIL_TRY(const Prediction prediction, validate_prediction(states));
  watch.lap("validate");
  DOVETAIL_TRY(const Searched searched,
               search_and_confirm(states, prediction, out_folder, progress));
  watch.lap("search");
  DOVETAIL_TRY(Json record, make_record(states, prediction, searched));
  record["run"] = watch.take();
  record["run"].update(states.front().products[0].lab->algorithm_times());
  record["run"]["threads"] = num_threads();
  record["run"]["version"] = DOVETAIL_VERSION;
  DOVETAIL_TRY_STATUS(write_record(states.front(), record, study_path, out_folder));
  return record;
}

}  // namespace dovetail::study
