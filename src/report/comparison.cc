#include "report/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "report/record_view.h"

namespace dovetail::report {
namespace {

// Leaves by path, in the order of the document. Lists of plain values are one leaf.
using Leaves = std::vector<std::pair<std::string, Json>>;

void collect_leaves(const Json& json, const std::string& path, Leaves& leaves) {
  const bool plain_list = json.is_array() && std::ranges::none_of(json, [](const Json& item) {
                            return item.is_structured();
                          });
  if (!json.is_structured() || plain_list) {
    leaves.emplace_back(path, json);
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      collect_leaves(value, path.empty() ? key : path + "." + key, leaves);
    }
  } else {
    for (size_t i = 0; i < json.size(); ++i) {
      const Json& item = json[i];
      const std::string name = item.is_object() && item.contains("name") && item["name"].is_string()
                                   ? item["name"].get<std::string>()
                                   : std::to_string(i);
      collect_leaves(item, fmt::format("{}[{}]", path, name), leaves);
    }
  }
}

// By the unit at the end of the last key of a path.
std::string show_value(const std::string& path, const Json& value) {
  const std::string key = path.substr(path.find_last_of(". ") + 1);
  if (value.is_number() && key.ends_with("_ns")) return show_ns(value.get<double>());
  if (value.is_number() && (key.ends_with("_pj") || key.ends_with("_pj_per_token"))) {
    return show_pj(value.get<double>());
  }
  if (value.is_number() && key.ends_with("_mw")) {
    return fmt::format("{:.4g} W", value.get<double>() / 1000);
  }
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Doubles that took another path to the same answer are no change.
bool same(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>();
  const double y = b.get<double>();
  constexpr double kSameFrac = 1e-9;
  return x == y || std::abs(x - y) <= kSameFrac * std::max(std::abs(x), std::abs(y));
}

std::string relative_note(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number() || a.get<double>() == 0) return "";
  return fmt::format("{:+.3g} %", 100 * (b.get<double>() / a.get<double>() - 1));
}

void compare_leaves(const Json& from, const Json& to, const std::string& prefix,
                    std::vector<Change>& changes) {
  Leaves before;
  Leaves after;
  if (!from.is_null()) collect_leaves(from, "", before);
  if (!to.is_null()) collect_leaves(to, "", after);
  std::map<std::string, const Json*> after_by_path;
  for (const auto& [path, value] : after) after_by_path[path] = &value;
  for (const auto& [path, value] : before) {
    const auto it = after_by_path.find(path);
    if (it == after_by_path.end()) {
      changes.push_back({prefix + path, show_value(path, value), "", ""});
    } else if (!same(value, *it->second)) {
      changes.push_back({prefix + path, show_value(path, value), show_value(path, *it->second),
                         relative_note(value, *it->second)});
    }
    if (it != after_by_path.end()) after_by_path.erase(it);
  }
  for (const auto& [path, value] : after) {
    if (after_by_path.contains(path))
      changes.push_back({prefix + path, "", show_value(path, value), ""});
  }
}

const Json& at_key(const Json& json, const char* key) {
  static const Json kNull;
  return json.is_object() && json.contains(key) ? json[key] : kNull;
}

// A list of objects as an object of them, by the text at `key`.
Json by_text(const Json& list, const char* key) {
  Json object = Json::object();
  for (const Json& item : list) {
    if (!item.is_object()) continue;
    Json copy = item;
    copy.erase(key);
    object[text_at(item, key)] = std::move(copy);
  }
  return object;
}

ChangeGroup input_group(const Json& from, const Json& to, const std::string& title,
                        const char* key) {
  ChangeGroup group{title, Role::kInput};
  compare_leaves(at_key(from, key), at_key(to, key), "", group.changes);
  return group;
}

ChangeGroup products_group(const Json& from, const Json& to) {
  ChangeGroup group{"Products", Role::kInput};
  // The name of a row follows from the texts and the model; they are compared themselves.
  const auto declared = [](const Json& record) {
    Json products = by_text(record["products"], "name");
    for (Json& product : products) product.erase("profile_row");
    return products;
  };
  compare_leaves(declared(from), declared(to), "", group.changes);
  return group;
}

ChangeGroup constants_group(const Json& from, const Json& to) {
  ChangeGroup group{"Technology constants", Role::kInput};
  compare_leaves(by_text(list_at(from, "constants"), "key"),
                 by_text(list_at(to, "constants"), "key"), "", group.changes);
  return group;
}

std::string scenario_key(const Json& scenario) {
  return fmt::format("{}, loss <= {:g}", objective_words(text_at(scenario, "objective")),
                     number_at(scenario, "kl_cap_nats"));
}

void add_change(ChangeGroup& group, const std::string& what, const Json& a, const Json& b) {
  if (same(a, b)) return;
  group.changes.push_back({what, a.is_null() ? "" : show_value(what, a),
                           b.is_null() ? "" : show_value(what, b), relative_note(a, b)});
}

// Sites that are treated in another way, counted by what they were and what they became.
void compare_recipes(const std::string& name, const Json& from, const Json& to,
                     ChangeGroup& group) {
  std::map<std::pair<std::string, std::string>, int64_t> moves;
  int64_t num_changed = 0;
  int64_t num_sites = 0;
  for (const auto& [site, treatment] : to.items()) {
    ++num_sites;
    const std::string before = from.contains(site) ? show_value("", from[site]) : "(none)";
    const std::string after = show_value("", treatment);
    if (before == after) continue;
    ++num_changed;
    ++moves[{before, after}];
  }
  if (num_changed == 0) return;
  std::vector<std::pair<int64_t, std::pair<std::string, std::string>>> order;
  for (const auto& [move, count] : moves) order.emplace_back(-count, move);
  std::ranges::sort(order);
  constexpr size_t kMaxMoves = 4;
  std::string words;
  for (size_t i = 0; i < std::min(kMaxMoves, order.size()); ++i) {
    words += fmt::format("{}{} x {} -> {}", i == 0 ? "" : ", ", -order[i].first,
                         order[i].second.first, order[i].second.second);
  }
  if (order.size() > kMaxMoves)
    words += fmt::format(", and {} other moves", order.size() - kMaxMoves);
  group.changes.push_back({name + ": recipe", "",
                           fmt::format("{} of {} sites changed", num_changed, num_sites), words});
}

void compare_products(const Json& from, const Json& to, ChangeGroup& group) {
  const Json before = by_text(list_at(from, "products"), "name");
  const Json& products = list_at(to, "products");
  for (const Json& product : products) {
    const std::string name = text_at(product, "name");
    if (!before.contains(name)) {
      group.changes.push_back({name, "", describe_recipe(product), "new product"});
      continue;
    }
    const Json& old = before[name];
    compare_recipes(name, at_key(old, "recipe"), at_key(product, "recipe"), group);
    for (const char* key : {"bits_per_weight", "predicted_kl_nats", "expected_kl_nats",
                            "measured_kl_nats", "certified_kl_nats"}) {
      add_change(group, name + ": " + key, at_key(old, key), at_key(product, key));
    }
    for (const char* key :
         {"latency_ns", "prefill_latency_ns", "time_per_token_ns", "energy_pj_per_token"}) {
      add_change(group, name + ": " + key, at_key(at_key(old, "cost"), key),
                 at_key(at_key(product, "cost"), key));
    }
  }
}

void compare_margins(const Json& from, const Json& to, ChangeGroup& group) {
  const Json before = by_text(list_at(from, "baselines"), "name");
  const Json& baselines = list_at(to, "baselines");
  for (const Json& baseline : baselines) {
    const std::string name = text_at(baseline, "name");
    const Json& old = before.contains(name) ? before[name] : Json();
    const std::string what = "against \"" + baseline_words(name) + "\"";
    add_change(group, what + ": ratio", at_key(old, "ratio"), at_key(baseline, "ratio"));
    add_change(group, what + ": verdict", at_key(old, "verdict"), at_key(baseline, "verdict"));
    add_change(group, what + ": fits", at_key(old, "feasible"), at_key(baseline, "feasible"));
  }
}

// Names of chips are numbers of a space; they say nothing across studies.
Json without_name(Json chip) {
  if (chip.is_object()) chip.erase("name");
  return chip;
}

std::string show_objective(const std::string& objective, double value) {
  if (objective == "latency") return show_ns(value);
  if (objective == "energy") return show_pj(value);
  if (objective == "latency_area") return fmt::format("{:.4g} ms x mm2", value / 1e6);
  if (objective == "latency_price") return fmt::format("{:.4g} ms x USD", value / 1e6);
  if (objective == "energy_area") return fmt::format("{:.4g} mJ x mm2", value / 1e9);
  return fmt::format("{:.6g}", value);
}

void add_objective(const std::string& objective, const Json& before, const Json& after,
                   ChangeGroup& group) {
  if (same(before, after)) return;
  const auto show = [&](const Json& value) {
    return value.is_number() ? show_objective(objective, value.get<double>()) : std::string();
  };
  group.changes.push_back(
      {kObjectiveChange, show(before), show(after), relative_note(before, after)});
}

ChangeGroup scenario_group(const std::string& key, const Json& from, const Json& to) {
  ChangeGroup group{"Answer: " + key, Role::kAnswer};
  add_change(group, "fits", from["feasible"], to["feasible"]);
  if (!flag_at(from, "feasible", false) || !flag_at(to, "feasible", false)) {
    add_change(group, "why not", at_key(from, "why_not"), at_key(to, "why_not"));
    return group;
  }
  const Json& before = from["recommendation"];
  const Json& after = to["recommendation"];
  add_objective(text_at(to, "objective"), at_key(before, "objective_value"),
                at_key(after, "objective_value"), group);
  compare_leaves(without_name(before["chip"]), without_name(after["chip"]),
                 "chip: ", group.changes);
  compare_leaves(at_key(before, "limits"), at_key(after, "limits"), "", group.changes);
  compare_products(before, after, group);
  compare_margins(from, to, group);
  return group;
}

void add_scenarios(const Json& from, const Json& to, Comparison& comparison) {
  std::map<std::string, const Json*> before;
  for (const Json& scenario : from["scenarios"]) before[scenario_key(scenario)] = &scenario;
  ChangeGroup asked{"Scenarios asked", Role::kInput};
  std::vector<ChangeGroup> answers;
  for (const Json& scenario : to["scenarios"]) {
    const std::string key = scenario_key(scenario);
    const auto it = before.find(key);
    if (it == before.end()) {
      asked.changes.push_back({key, "", "asked", ""});
      continue;
    }
    answers.push_back(scenario_group(key, *it->second, scenario));
    before.erase(it);
  }
  for (const auto& [key, scenario] : before) asked.changes.push_back({key, "asked", "", ""});
  comparison.groups.push_back(std::move(asked));
  std::ranges::move(answers, std::back_inserter(comparison.groups));
}

ChangeGroup bias_group(const Json& from, const Json& to) {
  ChangeGroup group{"Prediction bias", Role::kLearned};
  for (const char* key : {"bias_ratio", "bias_spread_ratio", "bias_min_ratio", "bias_max_ratio",
                          "spearman", "r2_log", "num_recipes"}) {
    add_change(group, key, at_key(at_key(from, "additivity"), key),
               at_key(at_key(to, "additivity"), key));
  }
  return group;
}

// After over before of every loss that both tables hold and that changed.
std::vector<double> loss_ratios(const Json& from, const Json& to) {
  std::map<std::string, const Json*> before;
  const Json& old_sites = list_at(from, "sites");
  const Json& old_rows = list_at(from, "loss_nats");
  for (size_t i = 0; i < std::min(old_sites.size(), old_rows.size()); ++i) {
    before[show_value("", old_sites[i])] = &old_rows[i];
  }
  std::vector<double> ratios;
  const Json& sites = list_at(to, "sites");
  const Json& rows = list_at(to, "loss_nats");
  for (size_t i = 0; i < std::min(sites.size(), rows.size()); ++i) {
    const auto it = before.find(show_value("", sites[i]));
    if (it == before.end()) continue;
    for (size_t t = 0; t < std::min(rows[i].size(), it->second->size()); ++t) {
      const Json& a = (*it->second)[t];
      const Json& b = rows[i][t];
      if (!a.is_number() || !b.is_number() || same(a, b) || a.get<double>() <= 0) continue;
      ratios.push_back(b.get<double>() / a.get<double>());
    }
  }
  std::ranges::sort(ratios);
  return ratios;
}

// One line a product: thousands of losses say nothing one by one. Tables of other menus have other
// columns, so only those of equal menus are compared.
ChangeGroup loss_table_group(const Json& from, const Json& to) {
  ChangeGroup group{"Loss table", Role::kLearned};
  if (at_key(from, "menu") != at_key(to, "menu")) return group;
  for (const Json& table : list_at(to, "loss_table")) {
    std::string name = text_at(table, "product");
    Json product = {{"name", name}};
    if (table.contains("rotation")) product["rotation"] = table["rotation"];
    const Json* const before = loss_table_of(from, product);
    if (before == nullptr) continue;
    const std::vector<double> ratios = loss_ratios(*before, table);
    if (ratios.empty()) continue;
    if (list_at(to, "menu.rotations").size() > 1)
      name += fmt::format(" rotated by {}", text_at(table, "rotation"));
    group.changes.push_back(
        {name + ": losses of single sites", "",
         fmt::format("{} losses changed, median x{:.3g}", ratios.size(), ratios[ratios.size() / 2]),
         fmt::format("x{:.3g} to x{:.3g}", ratios.front(), ratios.back())});
  }
  return group;
}

// Other code may answer otherwise; its times and threads may not.
ChangeGroup program_group(const Json& from, const Json& to) {
  ChangeGroup group{"Program", Role::kInput};
  const Json& before = at_key(at_key(from, "run"), "version");
  const Json& after = at_key(at_key(to, "run"), "version");
  if (!before.is_null() && !after.is_null()) add_change(group, "version", before, after);
  return group;
}

ChangeGroup search_group(const Json& from, const Json& to) {
  ChangeGroup group{"Search", Role::kAnswer};
  add_change(group, "num_chips", at_key(from, "num_chips"), at_key(to, "num_chips"));
  add_change(group, "optimality_gap_frac", at_key(from, "optimality_gap_frac"),
             at_key(to, "optimality_gap_frac"));
  compare_leaves(at_key(from, "search"), at_key(to, "search"), "", group.changes);
  add_change(group, "points on the front", from["front"].size(), to["front"].size());
  return group;
}

}  // namespace

Result<Comparison> compare_records(const Json& from, const Json& to) {
  return reading_record([&]() -> Result<Comparison> {
    DOVETAIL_TRY_STATUS(check_record(from));
    DOVETAIL_TRY_STATUS(check_record(to));
    Comparison comparison{text_at(from, "name"), text_at(to, "name")};
    ChangeGroup study{"Question", Role::kInput};
    add_change(study, "question", at_key(from, "question"), at_key(to, "question"));
    add_change(study, "schema_version", at_key(from, "schema_version"),
               at_key(to, "schema_version"));
    comparison.groups.push_back(std::move(study));
    comparison.groups.push_back(products_group(from, to));
    comparison.groups.push_back(input_group(from, to, "Texts", "texts"));
    comparison.groups.push_back(input_group(from, to, "Menu of treatments", "menu"));
    comparison.groups.push_back(input_group(from, to, "Budget", "budget"));
    comparison.groups.push_back(input_group(from, to, "Space", "space"));
    comparison.groups.push_back(constants_group(from, to));
    add_scenarios(from, to, comparison);
    comparison.groups.push_back(program_group(from, to));
    comparison.groups.push_back(loss_table_group(from, to));
    comparison.groups.push_back(bias_group(from, to));
    comparison.groups.push_back(search_group(from, to));
    std::erase_if(comparison.groups,
                  [](const ChangeGroup& group) { return group.changes.empty(); });
    std::ranges::stable_sort(comparison.groups, {}, &ChangeGroup::role);
    return comparison;
  });
}

}  // namespace dovetail::report
