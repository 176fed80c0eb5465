#include "roadmap/tables.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/paths.h"
#include "model/zoo.h"
#include "record/schema.h"
#include "roadmap/config_from_json.h"
#include "silicon/estimate.h"

namespace dovetail::roadmap {
namespace {

constexpr const char* kAgain = "run dovetail optimize again on it, which keeps what was measured";

Status check_version(const Json& record) {
  if (!record.is_object() || !record.contains("schema_version"))
    return invalid_argument("record: schema_version is missing, want the record of a study");
  const int version = record.at("schema_version").get<int>();
  if (version == record::kSchemaVersion) return {};
  return invalid_argument(fmt::format("record: schema_version = {}, want {}; {}", version,
                                      record::kSchemaVersion, kAgain));
}

// As the study had them, whatever the data folder says today.
Result<silicon::Technology> recorded_technology(const Json& record) {
  DOVETAIL_TRY(silicon::Technology technology,
               silicon::Technology::load(data_folder() + "/technology"));
  for (const Json& constant : record.at("constants")) {
    const auto key = constant.at("key").get<std::string>();
    const double value = constant.at("value").get<double>();
    const auto today = technology.value(key);
    if (!today.has_value()) {
      return invalid_argument(fmt::format(
          "record: constant {} is none of data/technology: a study of another version; {}", key,
          kAgain));
    }
    if (*today != value) technology = technology.with(key, value);
  }
  return technology;
}

Result<recipe::Menu> read_menu(const Json& json) {
  recipe::Menu menu;
  for (const Json& name : json.at("linear")) {
    DOVETAIL_TRY(menu.linear.emplace_back(),
                 recipe::parse_linear_treatment(name.get<std::string>()));
  }
  for (const Json& name : json.at("kv")) {
    DOVETAIL_TRY(menu.kv.emplace_back(), recipe::parse_kv_treatment(name.get<std::string>()));
  }
  return menu;
}

// The record holds what a page shows of a shape; biases, which cost a little, are the model's own.
Result<model::ModelShape> read_shape(const Json& product) {
  DOVETAIL_TRY(model::ModelShape shape,
               model::resolve_shape(product.at("model").get<std::string>()));
  const std::pair<const char*, int64_t> dims[] = {
      {"num_layers", shape.num_layers},     {"hidden_size", shape.hidden_size},
      {"num_heads", shape.num_heads},       {"intermediate_size", shape.intermediate_size},
      {"num_kv_heads", shape.num_kv_heads}, {"head_dim", shape.head_dim},
      {"vocab_size", shape.vocab_size}};
  for (const auto& [key, value] : dims) {
    const auto recorded = product.at("shape").at(key).get<int64_t>();
    if (recorded == value) continue;
    return invalid_argument(fmt::format("record: product \"{}\" has {} = {}, its model \"{}\" {}",
                                        product.at("name").get<std::string>(), key, recorded,
                                        product.at("model").get<std::string>(), value));
  }
  return shape;
}

Result<search::LossTable> read_losses(const Json& table, const recipe::Menu& menu,
                                      const model::ModelShape& shape) {
  search::LossTable losses{.num_layers = shape.num_layers, .menu = menu, .loss = {}};
  for (const Json& row : table.at("loss_nats")) {
    std::vector<double>& site = losses.loss.emplace_back();
    for (const Json& loss : row)
      site.push_back(loss.is_null() ? search::kForbidden : loss.get<double>());
  }
  const Status known = search::check_loss_table(losses);
  if (!known.has_value()) return with_context(known.error(), "record: loss_table");
  return losses;
}

bool is_frozen(const search::LossTable& losses) {
  return std::ranges::all_of(losses.loss, [](const std::vector<double>& row) {
    return std::ranges::count_if(row, [](double loss) { return std::isfinite(loss); }) == 1;
  });
}

Result<TableProduct> read_product(const Json& record, const Json& json, Tables& tables) {
  TableProduct product{.name = json.at("name").get<std::string>(),
                       .weight = json.at("weight").get<double>()};
  DOVETAIL_TRY(const model::ModelShape shape, read_shape(json));
  DOVETAIL_TRY(const recipe::Workload workload,
               config_from_json<recipe::Workload>(json.at("workload"), "record: workload"));
  for (const Json& table : record.at("loss_table")) {
    if (table.at("product") != product.name) continue;
    DOVETAIL_TRY(const recipe::Rotation rotation,
                 recipe::parse_rotation(table.value("rotation", "none")));
    const model::ModelShape rotated = recipe::rotated_shape(shape, rotation);
    RotatedProduct& own = product.by_rotation[rotation];
    DOVETAIL_TRY(own.losses, read_losses(table, tables.menu, rotated));
    if (is_frozen(own.losses)) {
      return invalid_argument(fmt::format(
          "record: the study froze the recipe of \"{}\", so no technique could be left out; want "
          "a study without `recipe`",
          product.name));
    }
    DOVETAIL_TRY(silicon::CostModel costs,
                 silicon::CostModel::create(rotated, workload, tables.menu, tables.technology));
    own.costs = std::make_shared<const silicon::CostModel>(std::move(costs));
    if (std::ranges::find(tables.rotations, rotation) == tables.rotations.end())
      tables.rotations.push_back(rotation);
  }
  if (product.by_rotation.empty())
    return invalid_argument("record: loss_table holds no losses of product \"" + product.name +
                            "\"");
  return product;
}

PredictionBand read_band(const Json& json) {
  return {.bias_ratio = json.at("bias_ratio").get<double>(),
          .spread_ratio = std::max(1.0, json.at("bias_spread_ratio").get<double>())};
}

Status read_bands(const Json& additivity, Tables& tables) {
  if (!additivity.is_object()) return {};
  for (const recipe::Rotation rotation : tables.rotations)
    tables.bands[rotation] = read_band(additivity);
  if (additivity.contains("by_rotation")) {
    for (const auto& [name, own] : additivity.at("by_rotation").items()) {
      DOVETAIL_TRY(const recipe::Rotation rotation, recipe::parse_rotation(name));
      tables.bands[rotation] = read_band(own);
    }
  }
  if (additivity.contains("by_algorithm")) {
    for (const auto& [name, own] : additivity.at("by_algorithm").items())
      tables.algorithm_bands[name] = read_band(own);
  }
  return {};
}

template <typename T>
Result<int32_t> index_in(const std::vector<T>& list, const Result<T>& treatment) {
  if (!treatment.has_value()) return std::unexpected(treatment.error());
  const auto it = std::find(list.begin(), list.end(), *treatment);
  if (it == list.end())
    return invalid_argument("record: a recommendation uses a treatment that its menu lacks");
  return static_cast<int32_t>(it - list.begin());
}

Result<AnswerProduct> read_answer_product(const Json& json, const Tables& tables, size_t p) {
  AnswerProduct answer;
  DOVETAIL_TRY(answer.rotation, recipe::parse_rotation(json.value("rotation", "none")));
  const auto& by_rotation = tables.products[p].by_rotation;
  if (!by_rotation.contains(answer.rotation))
    return invalid_argument("record: a recommendation is rotated as no loss table is");
  const model::ModelShape& shape = by_rotation.at(answer.rotation).costs->shape();
  for (int64_t s = 0; s < recipe::num_sites(shape); ++s) {
    const recipe::Site site = recipe::site_at(shape, s);
    const std::string name = recipe::site_name(site);
    const auto treatment = json.at("recipe").at(name).get<std::string>();
    DOVETAIL_TRY(answer.treatments.emplace_back(),
                 site.kind == recipe::SiteKind::kKv
                     ? index_in(tables.menu.kv, recipe::parse_kv_treatment(treatment))
                     : index_in(tables.menu.linear, recipe::parse_linear_treatment(treatment)));
    answer.resident_frac.push_back(json.at("resident_frac").value(name, 0.0F));
  }
  answer.predicted_nats = json.at("predicted_kl_nats").get<double>();
  answer.measured = json.contains("measured_kl_nats");
  answer.loss_nats =
      json.at(answer.measured ? "measured_kl_nats" : "expected_kl_nats").get<double>();
  if (json.contains("certified_kl_nats")) {
    answer.certified_nats = json.at("certified_kl_nats").get<double>();
    answer.certified_stderr_nats = json.value("certified_kl_stderr_nats", 0.0);
  }
  return answer;
}

// Costs, and so everything that follows, must be those that the study had.
Status check_reproduced(const Tables& tables, const Answer& answer, const Json& point,
                        const std::string& name) {
  constexpr double kTolerance = 1e-6;
  for (size_t p = 0; p < answer.products.size(); ++p) {
    const AnswerProduct& product = answer.products[p];
    const silicon::CostModel& costs = *tables.products[p].by_rotation.at(product.rotation).costs;
    DOVETAIL_TRY(
        const silicon::CostReport report,
        silicon::estimate_cost(
            answer.chip, tables.technology, costs.shape(), costs.workload(),
            recipe::make_recipe(costs.shape(), tables.menu, product.treatments),
            silicon::Residency(product.resident_frac.begin(), product.resident_frac.end())));
    const Json& recorded = point.at("products").at(p).at("cost");
    const std::tuple<const char*, double, double> numbers[] = {
        {"latency_ns", report.latency_ns, recorded.at("latency_ns").get<double>()},
        {"energy_pj", report.energy_pj, recorded.at("energy_pj").get<double>()},
        {"area_mm2", report.area_mm2(), point.at("limits").at("area_mm2").get<double>()}};
    for (const auto& [key, now, then] : numbers) {
      if (std::abs(now / then - 1) <= kTolerance) continue;
      return invalid_argument(fmt::format(
          "record: {}: {} of the recommendation is {:.6g} there, {:.6g} by this program and the "
          "record's own constants: a study of another version; {}",
          name, key, then, now, kAgain));
    }
  }
  return {};
}

Result<Answer> read_answer(const Json& json, const Tables& tables) {
  Answer answer;
  const auto objective = json.at("objective").get<std::string>();
  DOVETAIL_TRY(answer.scenario.objective, search::parse_objective(objective));
  answer.scenario.max_loss = json.at("kl_cap_nats").get<double>();
  if (!json.at("feasible").get<bool>()) {
    answer.why_not = json.value("why_not", "");
    if (answer.why_not.empty()) answer.why_not = "no point fits";
    return answer;
  }
  const Json& point = json.at("recommendation");
  DOVETAIL_TRY(answer.chip, config_from_json<chip::Chip>(point.at("chip"), "record: chip"));
  for (size_t p = 0; p < tables.products.size(); ++p) {
    DOVETAIL_TRY(answer.products.emplace_back(),
                 read_answer_product(point.at("products").at(p), tables, p));
  }
  answer.objective = point.at("objective_value").get<double>();
  answer.gap_frac = point.at("gap_frac").get<double>();
  answer.elasticity = json.at("elasticity").get<double>();
  DOVETAIL_TRY_STATUS(check_reproduced(tables, answer, point,
                                       fmt::format("{}@{}", objective, answer.scenario.max_loss)));
  return answer;
}

Result<Tables> read_all(const Json& record) {
  DOVETAIL_TRY_STATUS(check_version(record));
  Tables tables;
  tables.name = record.at("name").get<std::string>();
  tables.question = record.value("question", "");
  const bool any_feasible = std::ranges::any_of(record.at("scenarios"), [](const Json& scenario) {
    return scenario.at("feasible").get<bool>();
  });
  if (any_feasible) {
    DOVETAIL_TRY(tables.technology, recorded_technology(record));
    DOVETAIL_TRY(tables.menu, read_menu(record.at("menu")));
    for (const Json& product : record.at("products")) {
      DOVETAIL_TRY(tables.products.emplace_back(), read_product(record, product, tables));
    }
    DOVETAIL_TRY_STATUS(read_bands(record.value("additivity", Json()), tables));
    DOVETAIL_TRY(tables.budget,
                 config_from_json<search::Budget>(record.at("budget"), "record: budget"));
    if (record.contains("space")) {
      DOVETAIL_TRY(tables.space,
                   config_from_json<search::Space>(record.at("space"), "record: space"));
    }
    tables.exact_search = record.at("search").value("exact", true);
  }
  for (const Json& scenario : record.at("scenarios")) {
    DOVETAIL_TRY(tables.answers.emplace_back(), read_answer(scenario, tables));
  }
  return tables;
}

}  // namespace

Result<Tables> read_tables(const Json& record) {
  try {
    return read_all(record);
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("record: {}", error.what()));
  }
}

}  // namespace dovetail::roadmap
