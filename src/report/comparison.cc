#include "report/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "report/page_assets.h"
#include "report/page_text.h"
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

std::string show_value(const Json& value) {
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
      changes.push_back({prefix + path, show_value(value), "", ""});
    } else if (!same(value, *it->second)) {
      changes.push_back({prefix + path, show_value(value), show_value(*it->second),
                         relative_note(value, *it->second)});
    }
    if (it != after_by_path.end()) after_by_path.erase(it);
  }
  for (const auto& [path, value] : after) {
    if (after_by_path.contains(path)) changes.push_back({prefix + path, "", show_value(value), ""});
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
  ChangeGroup group{title, true};
  compare_leaves(at_key(from, key), at_key(to, key), "", group.changes);
  return group;
}

ChangeGroup products_group(const Json& from, const Json& to) {
  ChangeGroup group{"Products", true};
  compare_leaves(by_text(from["products"], "name"), by_text(to["products"], "name"), "",
                 group.changes);
  return group;
}

ChangeGroup constants_group(const Json& from, const Json& to) {
  ChangeGroup group{"Technology constants", true};
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
  group.changes.push_back({what, a.is_null() ? "" : show_value(a), b.is_null() ? "" : show_value(b),
                           relative_note(a, b)});
}

// Sites that are treated in another way, counted by what they were and what they became.
void compare_recipes(const std::string& name, const Json& from, const Json& to,
                     ChangeGroup& group) {
  std::map<std::pair<std::string, std::string>, int64_t> moves;
  int64_t num_changed = 0;
  int64_t num_sites = 0;
  for (const auto& [site, treatment] : to.items()) {
    ++num_sites;
    const std::string before = from.contains(site) ? show_value(from[site]) : "(none)";
    const std::string after = show_value(treatment);
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

ChangeGroup scenario_group(const std::string& key, const Json& from, const Json& to) {
  ChangeGroup group{"Answer: " + key, false};
  add_change(group, "fits", from["feasible"], to["feasible"]);
  if (!from["feasible"].get<bool>() || !to["feasible"].get<bool>()) {
    add_change(group, "why not", at_key(from, "why_not"), at_key(to, "why_not"));
    return group;
  }
  const Json& before = from["recommendation"];
  const Json& after = to["recommendation"];
  add_change(group, "objective", at_key(before, "objective_value"),
             at_key(after, "objective_value"));
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
  ChangeGroup asked{"Scenarios asked", true};
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

ChangeGroup loss_model_group(const Json& from, const Json& to) {
  ChangeGroup group{"Loss model", false};
  for (const char* key :
       {"spearman", "r2_log", "bias_ratio", "bias_min_ratio", "bias_max_ratio", "num_recipes"}) {
    add_change(group, key, at_key(at_key(from, "additivity"), key),
               at_key(at_key(to, "additivity"), key));
  }
  return group;
}

ChangeGroup search_group(const Json& from, const Json& to) {
  ChangeGroup group{"Search", false};
  add_change(group, "num_chips", at_key(from, "num_chips"), at_key(to, "num_chips"));
  add_change(group, "optimality_gap_frac", at_key(from, "optimality_gap_frac"),
             at_key(to, "optimality_gap_frac"));
  compare_leaves(at_key(from, "search"), at_key(to, "search"), "", group.changes);
  add_change(group, "points on the front", from["front"].size(), to["front"].size());
  return group;
}

int64_t count_changes(const Comparison& comparison, bool input) {
  int64_t num_changes = 0;
  for (const ChangeGroup& group : comparison.groups) {
    if (group.input == input) num_changes += static_cast<int64_t>(group.changes.size());
  }
  return num_changes;
}

std::string input_titles(const Comparison& comparison) {
  std::string titles;
  for (const ChangeGroup& group : comparison.groups) {
    if (group.input) titles += (titles.empty() ? "" : ", ") + group.title;
  }
  return titles;
}

}  // namespace

Result<Comparison> compare_records(const Json& from, const Json& to) {
  DOVETAIL_TRY_STATUS(check_record(from));
  DOVETAIL_TRY_STATUS(check_record(to));
  Comparison comparison{text_at(from, "name"), text_at(to, "name")};
  ChangeGroup study{"Question", true};
  add_change(study, "question", at_key(from, "question"), at_key(to, "question"));
  add_change(study, "schema_version", at_key(from, "schema_version"), at_key(to, "schema_version"));
  comparison.groups.push_back(std::move(study));
  comparison.groups.push_back(products_group(from, to));
  comparison.groups.push_back(input_group(from, to, "Texts", "texts"));
  comparison.groups.push_back(input_group(from, to, "Menu of treatments", "menu"));
  comparison.groups.push_back(input_group(from, to, "Budget", "budget"));
  comparison.groups.push_back(input_group(from, to, "Space", "space"));
  comparison.groups.push_back(constants_group(from, to));
  add_scenarios(from, to, comparison);
  comparison.groups.push_back(loss_model_group(from, to));
  comparison.groups.push_back(search_group(from, to));
  std::erase_if(comparison.groups, [](const ChangeGroup& group) { return group.changes.empty(); });
  std::ranges::stable_partition(comparison.groups, [](const ChangeGroup& g) { return g.input; });
  return comparison;
}

std::string comparison_summary(const Comparison& comparison) {
  const int64_t num_inputs = count_changes(comparison, true);
  const int64_t num_answers = count_changes(comparison, false);
  if (num_inputs == 0 && num_answers == 0) {
    return "Nothing changed: inputs and answers are the same.";
  }
  if (num_inputs == 0) {
    return fmt::format(
        "No input changed, yet {} numbers of the answers did: the program or its "
        "constants' code changed between the two.",
        num_answers);
  }
  if (num_answers == 0) {
    return fmt::format("{} inputs changed ({}), and no answer did.", num_inputs,
                       input_titles(comparison));
  }
  return fmt::format("{} inputs changed ({}), and with them {} numbers of the answers.", num_inputs,
                     input_titles(comparison), num_answers);
}

std::string comparison_text(const Comparison& comparison) {
  // Names and values of the records stand in the lines, and they are free.
  const auto line = [](const std::string& words) { return one_line(words) + "\n"; };
  std::string text = line(fmt::format("{} -> {}", comparison.from_name, comparison.to_name)) +
                     line(comparison_summary(comparison));
  constexpr size_t kMaxShown = 25;
  for (const ChangeGroup& group : comparison.groups) {
    text += "\n" + line(fmt::format("{}{}", group.title, group.input ? " (input)" : ""));
    for (size_t i = 0; i < std::min(kMaxShown, group.changes.size()); ++i) {
      const Change& change = group.changes[i];
      text += line(fmt::format("  {}: {} -> {}{}", change.what,
                               change.from.empty() ? "(none)" : change.from,
                               change.to.empty() ? "(none)" : change.to,
                               change.note.empty() ? "" : "  (" + change.note + ")"));
    }
    if (group.changes.size() > kMaxShown) {
      text += fmt::format("  and {} more on the page\n", group.changes.size() - kMaxShown);
    }
  }
  return text;
}

Result<std::string> comparison_html(const Comparison& comparison) {
  std::string body;
  for (const ChangeGroup& group : comparison.groups) {
    body += fmt::format("<section><h2>{}</h2><p class=\"lead\">{}</p>\n", escape(group.title),
                        group.input ? "Given to the study." : "Found by the study.");
    for (const Change& change : group.changes) {
      body += fmt::format(
          "<div class=\"change\"><span>{}</span><span class=\"from\">{}</span><span>→</span>"
          "<span>{}{}</span></div>\n",
          escape(change.what), change.from.empty() ? "none" : escape(change.from),
          change.to.empty() ? "none" : escape(change.to),
          change.note.empty()
              ? ""
              : fmt::format(" <span class=\"note\">{}</span>", escape(change.note)));
    }
    body += "</section>\n";
  }
  const std::string title =
      escape(fmt::format("{} → {}", comparison.from_name, comparison.to_name));
  const std::string summary = escape(comparison_summary(comparison));
  return fill_template(
      kComparisonShell,
      {{"title", title}, {"summary", summary}, {"style", kPageStyle}, {"body", body}});
}

Json to_json(const Comparison& comparison) {
  Json groups = Json::array();
  for (const ChangeGroup& group : comparison.groups) {
    Json changes = Json::array();
    for (const Change& change : group.changes) {
      changes.push_back(
          {{"what", change.what}, {"from", change.from}, {"to", change.to}, {"note", change.note}});
    }
    groups.push_back({{"title", group.title}, {"input", group.input}, {"changes", changes}});
  }
  return Json{{"from", comparison.from_name},
              {"to", comparison.to_name},
              {"summary", comparison_summary(comparison)},
              {"groups", groups}};
}

}  // namespace dovetail::report
