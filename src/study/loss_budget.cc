#include "study/loss_budget.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "eval/accuracy_map.h"
#include "report/record_view.h"

namespace dovetail::study {
namespace {

using report::has_number;
using report::list_at;
using report::number_at;
using report::text_at;

Status check(const LossBudgetParams& params) {
  if (!(params.confidence_frac > 0.5 && params.confidence_frac < 1)) {
    return invalid_argument(
        fmt::format("confidence = {}, want a value in (0.5, 1)", params.confidence_frac));
  }
  const double margin = params.margin_frac.value_or(0.5);
  if (margin > 0 && margin < 1) return {};
  return invalid_argument(fmt::format("margin = {}, want a value in (0, 1)", margin));
}

// How much may be lost; a floor leaves what the released model scores above it.
double margin_of(const Json& target, const LossBudgetParams& params) {
  if (params.margin_frac.has_value()) return *params.margin_frac;
  const double floor = number_at(target, "floor_frac");
  if (floor > 0) return number_at(target, "baseline.score_frac") - floor;
  return number_at(target, "margin_frac");
}

// Of the answers that were judged; only a verdict at this margin or a narrower one proves it.
Json proven_kl(const Json& accuracy, size_t index, double margin_frac, bool own_margin) {
  Json best;
  for (const Json& answer : list_at(accuracy, "answers")) {
    for (const Json& verdict : list_at(answer, "targets")) {
      if (verdict.at("target") != index || !has_number(verdict, "certified_kl_nats")) continue;
      const bool passed = own_margin || number_at(verdict, "verdict.margin_frac") <= margin_frac;
      if (text_at(verdict, "decision") != "pass" || !passed) continue;
      const double kl = number_at(verdict, "certified_kl_nats");
      if (best.is_null() || kl > best.get<double>()) best = kl;
    }
  }
  return best;
}

Result<Json> mapped_kl(const Json& target, double margin_frac, double confidence_frac) {
  if (!target.contains("map") || target.at("map").is_null() || margin_frac <= 0) return Json();
  DOVETAIL_TRY(const eval::AccuracyMap map, eval::accuracy_map_from_json(target.at("map")));
  const auto largest = eval::largest_kl(map, margin_frac, confidence_frac);
  return largest.has_value() ? Json(*largest) : Json();
}

const Json* product_named(const Json& point, const std::string& name) {
  for (const Json& product : list_at(point, "products")) {
    if (text_at(product, "name") == name) return &product;
  }
  return nullptr;
}

// The answer for this product whose predicted loss is nearest, by ratio.
const Json* nearest_answer(const Json& record, const std::string& name, double kl_nats) {
  const Json* nearest = nullptr;
  double distance = 0;
  for (const Json& scenario : list_at(record, "scenarios")) {
    if (!report::flag_at(scenario, "feasible", false)) continue;
    const Json* product = product_named(scenario.at("recommendation"), name);
    if (product == nullptr || number_at(*product, "predicted_kl_nats") <= 0) continue;
    const double here = std::abs(std::log(number_at(*product, "predicted_kl_nats") / kl_nats));
    if (nearest != nullptr && here >= distance) continue;
    nearest = product;
    distance = here;
  }
  return nearest;
}

bool is_kv(const std::string& site) {
  return site.ends_with("kv");
}

// The loss of each site under its treatment; bf16 spends nothing.
std::vector<double> spent_by_site(const Json& record, const Json& table, const Json& product) {
  std::vector<double> spent;
  const Json& sites = list_at(table, "sites");
  for (size_t i = 0; i < sites.size(); ++i) {
    const auto site = sites[i].get<std::string>();
    const Json& names = list_at(record, is_kv(site) ? "menu.kv" : "menu.linear");
    const std::string treatment = product.at("recipe").value(site, "bf16");
    const auto column =
        static_cast<size_t>(std::ranges::find(names, Json(treatment)) - names.begin());
    const Json& row = table.at("loss_nats").at(i);
    const bool known = column < row.size() && row[column].is_number();
    spent.push_back(known ? std::max(0.0, row[column].get<double>()) : 0.0);
  }
  return spent;
}

Json budget_by_site(const Json& record, const std::string& name, double kl_nats) {
  Json rows = Json::array();
  const Json* product = nearest_answer(record, name, kl_nats);
  const Json* table = product == nullptr ? nullptr : report::loss_table_of(record, *product);
  if (table == nullptr) return rows;
  const std::vector<double> spent = spent_by_site(record, *table, *product);
  double total = 0;
  for (const double loss : spent) total += loss;
  if (total <= 0) return rows;
  for (size_t i = 0; i < spent.size(); ++i) {
    rows.push_back({{"site", table->at("sites")[i]},
                    {"share_frac", spent[i] / total},
                    {"budget_nats", kl_nats * spent[i] / total}});
  }
  return rows;
}

Result<Json> budget_of(const Json& record, size_t index, const LossBudgetParams& params) {
  const Json& target = record.at("accuracy").at("targets").at(index);
  const double margin = margin_of(target, params);
  Json json = {{"benchmark", text_at(target, "benchmark")},
               {"product", text_at(target, "product")},
               {"verdict", text_at(target, "verdict")},
               {"margin_frac", margin},
               {"confidence_frac", params.confidence_frac},
               {"proven_kl_nats", Json()},
               {"mapped_kl_nats", Json()},
               {"kl_nats", Json()},
               {"map", target.value("map", Json())},
               {"sites", Json::array()}};
  if (target.contains("why_not")) {
    json["why_not"] = target.at("why_not");
    return json;
  }
  if (margin <= 0) {
    json["why_not"] = "the released model itself does not reach the floor";
    return json;
  }
  json["proven_kl_nats"] =
      proven_kl(record.at("accuracy"), index, margin, !params.margin_frac.has_value());
  DOVETAIL_TRY(json["mapped_kl_nats"], mapped_kl(target, margin, params.confidence_frac));
  json["kl_nats"] =
      json["mapped_kl_nats"].is_null() ? json["proven_kl_nats"] : json["mapped_kl_nats"];
  if (json["kl_nats"].is_null()) {
    json["why_not"] = "no answer passed, and the points that were measured bound no KL";
    return json;
  }
  json["sites"] = budget_by_site(record, text_at(target, "product"), json["kl_nats"].get<double>());
  return json;
}

}  // namespace

Result<Json> loss_budgets(const Json& record, const LossBudgetParams& params) {
  DOVETAIL_TRY_STATUS(check(params));
  return report::reading_record([&]() -> Result<Json> {
    DOVETAIL_TRY_STATUS(report::check_record(record));
    if (!record.contains("accuracy")) {
      return invalid_argument(
          "the study has no accuracy targets; add [[accuracy]] to its file and run it again");
    }
    const Json& targets = list_at(record.at("accuracy"), "targets");
    Json budgets = Json::array();
    for (size_t i = 0; i < targets.size(); ++i) {
      if (!params.benchmark.empty() && text_at(targets[i], "benchmark") != params.benchmark) {
        continue;
      }
      DOVETAIL_TRY(Json budget, budget_of(record, i, params));
      budgets.push_back(std::move(budget));
    }
    if (budgets.empty()) {
      return invalid_argument(
          fmt::format("benchmark = {}: the study has no such target", params.benchmark));
    }
    return budgets;
  });
}

}  // namespace dovetail::study
