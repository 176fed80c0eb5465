#include "report/html.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "report/page_style.h"
#include "report/record_view.h"
#include "report/svg.h"

namespace dovetail::report {
namespace {

std::string table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows) {
  std::string html = "<div class='scroll'><table><thead><tr>";
  for (const std::string& cell : head) html += fmt::format("<th>{}</th>", escape(cell));
  html += "</tr></thead><tbody>";
  for (const auto& row : rows) {
    html += "<tr>";
    for (const std::string& cell : row) html += fmt::format("<td>{}</td>", escape(cell));
    html += "</tr>";
  }
  return html + "</tbody></table></div>";
}

std::string section(const std::string& id, const std::string& title, const std::string& body) {
  return fmt::format("<section id='{}'><h2>{}</h2>{}</section>", id, escape(title), body);
}

std::string scenario_title(const Json& scenario) {
  return fmt::format("{} at KL <= {:g}", objective_words(text_at(scenario, "objective")),
                     number_at(scenario, "kl_cap_nats"));
}

// "1.043 [1.021, 1.066] established"
std::string ratio_text(const Json& baseline) {
  return fmt::format("{:.3f} [{:.3f}, {:.3f}] {}", number_at(baseline, "ratio"),
                     number_at(baseline, "ratio_low"), number_at(baseline, "ratio_high"),
                     text_at(baseline, "verdict"));
}

std::string answer_rows(const Json& record) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) {
      rows.push_back(
          {scenario_title(scenario), "no point fits", text_at(scenario, "why_not"), "", "", ""});
      continue;
    }
    const Json& point = scenario["recommendation"];
    std::string recipes;
    std::string losses;
    for (const Json& product : point["products"]) {
      recipes += (recipes.empty() ? "" : "; ") + describe_recipe(product);
      losses += (losses.empty() ? "" : "; ") +
                (has_number(product, "measured_kl_nats")
                     ? fmt::format("{:.4f} measured, {:.4f} certified",
                                   number_at(product, "measured_kl_nats"),
                                   number_at(product, "certified_kl_nats"))
                     : fmt::format("{:.4f} expected, not measured",
                                   number_at(product, "expected_kl_nats")));
    }
    const Json& first = point["products"][0];
    rows.push_back({scenario_title(scenario), show_ns(number_at(first, "cost.latency_ns")),
                    fmt::format("{:.4g} mm2, {:.3g} W peak", number_at(point, "limits.area_mm2"),
                                number_at(point, "limits.peak_power_mw") / 1e3),
                    describe_chip(point["chip"]), recipes, losses});
  }
  return table({"scenario", "request latency", "silicon", "chip", "recipe", "KL, nats/token"},
               rows);
}

std::string front_chart(const Json& record) {
  static const char* kClasses[] = {"a", "b", "c", "d", "e", "f"};
  std::vector<Series> series;
  std::vector<double> caps;
  for (const Json& entry : record["front"]) {
    if (text_at(entry, "metric") != "latency") continue;
    const double cap = number_at(entry, "kl_cap_nats");
    if (std::find(caps.begin(), caps.end(), cap) == caps.end()) caps.push_back(cap);
  }
  for (size_t i = 0; i < caps.size(); ++i) {
    Series one{
        .name = fmt::format("KL <= {:g}", caps[i]), .css_class = kClasses[i % 6], .line = true};
    for (const Json& entry : record["front"]) {
      if (text_at(entry, "metric") != "latency" || number_at(entry, "kl_cap_nats") != caps[i])
        continue;
      const double area = number_at(entry, "area_mm2");
      const double latency_ms = number_at(entry, "latency_ns") / 1e6;
      one.points.push_back(
          {area, latency_ms,
           fmt::format("{}: {:.4g} mm2, {:.4g} ms", text_at(entry, "chip"), area, latency_ms)});
    }
    std::sort(one.points.begin(), one.points.end(),
              [](const Point& a, const Point& b) { return a.x < b.x; });
    series.push_back(std::move(one));
  }
  return scatter_chart(
      {.title = "Front: die area against request latency, one line for each loss cap",
       .x = {"die area, mm2 (analytical)", true},
       .y = {"request latency, ms (analytical)", true}},
      series);
}

std::string baseline_charts(const Json& record) {
  std::string html;
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) continue;
    std::vector<Bar> bars;
    for (const Json& baseline : scenario["baselines"]) {
      if (!baseline["feasible"].get<bool>()) {
        bars.push_back({text_at(baseline, "name"), 1, 1, 1, "does not fit"});
        continue;
      }
      bars.push_back(
          {text_at(baseline, "name"), number_at(baseline, "ratio"),
           number_at(baseline, "ratio_low"), number_at(baseline, "ratio_high"),
           fmt::format("{:.3f}  {}", number_at(baseline, "ratio"), text_at(baseline, "verdict"))});
    }
    html += fmt::format(
        "<figure><figcaption>{}</figcaption>{}</figure>", escape(scenario_title(scenario)),
        ratio_chart("Baseline cost over joint cost, " + scenario_title(scenario), bars));
  }
  return html;
}

std::string baseline_table(const Json& record) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) continue;
    for (const Json& baseline : scenario["baselines"]) {
      if (!baseline["feasible"].get<bool>()) {
        rows.push_back({scenario_title(scenario), text_at(baseline, "name"), "does not fit",
                        text_at(baseline, "why_not"), "", ""});
        continue;
      }
      const Json& point = baseline["point"];
      const Json& product = point["products"][0];
      rows.push_back({scenario_title(scenario), text_at(baseline, "name"), ratio_text(baseline),
                      text_at(baseline, "fixed_first"), describe_chip(point["chip"]),
                      fmt::format("{}; KL {:.4f}", describe_recipe(product),
                                  number_at(product, "measured_kl_nats",
                                            number_at(product, "expected_kl_nats")))});
    }
  }
  return table({"scenario", "baseline", "cost over joint cost", "fixed first", "chip", "recipe"},
               rows);
}

// Colour by stored bits, 2 to 16, so that a map reads at a glance.
std::string bits_class(const std::string& treatment) {
  if (treatment.starts_with("bf16")) return "bits16";
  if (treatment.starts_with("fp8")) return "bits8";
  if (treatment.starts_with("mxfp4") || treatment.starts_with("nvfp4")) return "bits4";
  if (treatment.starts_with("int") && treatment.size() > 3)
    return fmt::format("bits{}", treatment[3]);
  return "bits16";
}

std::string recipe_map(const Json& product) {
  // Site names hold dots, so they are looked up whole.
  const auto cell = [&](const std::string& site) {
    const Json& recipe = product["recipe"];
    const std::string treatment = recipe.contains(site) ? recipe[site].get<std::string>() : "";
    double resident = 0;
    if (product.contains("resident_frac") && product["resident_frac"].contains(site)) {
      resident = product["resident_frac"][site].get<double>();
    }
    return fmt::format("<td class='{}' title='{}'>{}{}</td>", bits_class(treatment), escape(site),
                       escape(treatment),
                       resident > 0 ? fmt::format(" &#9632;{:.0f} %", 100 * resident) : "");
  };
  static const char* kKinds[] = {"attn_qkv", "attn_o", "mlp_gate_up", "mlp_down", "kv"};
  std::string html = "<div class='scroll'><table class='map'><thead><tr><th>layer</th>";
  for (const char* kind : kKinds) html += fmt::format("<th>{}</th>", kind);
  html += "</tr></thead><tbody>";
  for (int64_t layer = 0; product["recipe"].contains(fmt::format("layers.{}.attn_qkv", layer));
       ++layer) {
    html += fmt::format("<tr><th>{}</th>", layer);
    for (const char* kind : kKinds) html += cell(fmt::format("layers.{}.{}", layer, kind));
    html += "</tr>";
  }
  html += "<tr><th>head</th>" + cell("head") + "</tr></tbody></table></div>";
  return html;
}

std::string recipe_maps(const Json& record) {
  std::string html =
      "<p>Colour: stored bits of the weights (or of the cache). A square: the share that stays in "
      "on-chip SRAM.</p>";
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) continue;
    for (const Json& product : scenario["recommendation"]["products"]) {
      html += fmt::format("<details><summary>{}: {}</summary>{}</details>",
                          escape(scenario_title(scenario)), escape(text_at(product, "name")),
                          recipe_map(product));
    }
  }
  return html;
}

std::string prediction(const Json& record) {
  if (!has_number(record, "additivity_spearman")) {
    return "<p>No model with weights in this study: losses are predicted from a borrowed profile "
           "and "
           "were not measured.</p>";
  }
  std::vector<Series> series = {{.name = "validation recipes", .css_class = "a"},
                                {.name = "points of this study", .css_class = "b"}};
  for (const Json& point : list_at(record, "additivity.recipes")) {
    series[0].points.push_back({number_at(point, "predicted_nats_per_token"),
                                number_at(point, "measured_nats_per_token"),
                                text_at(point, "name")});
  }
  const auto add = [&](const Json& point, const std::string& name) {
    for (const Json& product : point["products"]) {
      if (!has_number(product, "measured_kl_nats")) continue;
      series[1].points.push_back(
          {number_at(product, "predicted_kl_nats"), number_at(product, "measured_kl_nats"), name});
    }
  };
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) continue;
    add(scenario["recommendation"], "joint, " + scenario_title(scenario));
    for (const Json& baseline : scenario["baselines"]) {
      if (baseline["feasible"].get<bool>()) {
        add(baseline["point"], text_at(baseline, "name") + ", " + scenario_title(scenario));
      }
    }
  }
  return fmt::format(
             "<p>Over {:.0f} whole recipes: Spearman {:.3f}, R&sup2; of logarithms {:.3f}, "
             "measured over "
             "predicted {:.2f} [{:.2f}, {:.2f}].</p>",
             number_at(record, "additivity.num_recipes"), number_at(record, "additivity_spearman"),
             number_at(record, "additivity.r2_log"), number_at(record, "additivity.bias_ratio"),
             number_at(record, "additivity.bias_min_ratio"),
             number_at(record, "additivity.bias_max_ratio")) +
         scatter_chart({.title = "Predicted against measured loss",
                        .x = {"predicted KL, nats/token", true},
                        .y = {"measured KL, nats/token (executed)", true},
                        .diagonal = true},
                       series);
}

std::string sensitivity(const Json& record) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& scenario : record["scenarios"]) {
    for (const Json& row : list_at(scenario, "sensitivity")) {
      rows.push_back(
          {scenario_title(scenario), text_at(row, "constant"),
           fmt::format("{:g} .. {:g}", number_at(row, "low"), number_at(row, "high")),
           row["winner_changes"].get<bool>() ? "the winner changes" : "the winner stays",
           fmt::format("{:+.1f} % .. {:+.1f} %", 100 * number_at(row, "objective_change_low_frac"),
                       100 * number_at(row, "objective_change_high_frac"))});
    }
  }
  if (rows.empty()) return "<p>Not computed in this study.</p>";
  return "<p>The area of a unit that executes several formats is an estimate until it is "
         "synthesised; the search was run again at both ends of its range.</p>" +
         table({"scenario", "constant", "range", "winner", "objective"}, rows);
}

std::string cost_parts(const Json& record) {
  std::string html;
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) continue;
    const Json& point = scenario["recommendation"];
    std::vector<std::vector<std::string>> rows;
    for (const char* group : {"area_parts_mm2", "power_parts_mw"}) {
      if (!point.contains(group)) continue;
      for (const auto& [part, value] : point[group].items()) {
        rows.push_back({group, part, fmt::format("{:.4g}", value.get<double>())});
      }
    }
    for (const Json& product : point["products"]) {
      for (const char* key :
           {"bound_latency_ns", "latency_ns", "prefill_latency_ns", "time_per_token_ns",
            "throughput_tokens_per_s", "energy_pj", "energy_pj_per_token"}) {
        rows.push_back({text_at(product, "name"), key,
                        fmt::format("{:.5g}", number_at(product, std::string("cost.") + key))});
      }
    }
    html += fmt::format("<details><summary>{}</summary>{}</details>",
                        escape(scenario_title(scenario)), table({"group", "part", "value"}, rows));
  }
  return html;
}

std::string provenance(const Json& record) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& product : record["products"]) {
    rows.push_back({"product " + text_at(product, "name"),
                    fmt::format("{}, workload {}, loss profile {}, off-grid seed {}, weights {}",
                                text_at(product, "model"), text_at(product, "workload"),
                                text_at(product, "loss_profile"), text_at(product, "off_grid_seed"),
                                text_at(product, "weights_digest").substr(0, 12))});
  }
  for (const char* text : {"profile", "select", "certify"}) {
    rows.push_back({fmt::format("text {}", text), text_at(record, fmt::format("texts.{}", text))});
  }
  rows.push_back({"budget", text_at(record, "budget")});
  rows.push_back({"search", text_at(record, "search")});
  if (record.contains("run")) rows.push_back({"run", text_at(record, "run")});
  std::string html = table({"what", "value"}, rows);
  std::vector<std::vector<std::string>> constants;
  for (const Json& constant : list_at(record, "constants")) {
    constants.push_back(
        {text_at(constant, "key"), fmt::format("{:g}", number_at(constant, "value")),
         fmt::format("{:g} .. {:g}", number_at(constant, "low"), number_at(constant, "high")),
         text_at(constant, "unit"), text_at(constant, "date"), text_at(constant, "source")});
  }
  return html +
         fmt::format(
             "<details><summary>{} technology constants with their sources</summary>{}</details>",
             constants.size(),
             table({"constant", "value", "range", "unit", "date", "source"}, constants));
}

}  // namespace

Result<std::string> render_html(const Json& record) {
  DOVETAIL_TRY_STATUS(check_record(record));
  const std::string name = escape(text_at(record, "name"));
  std::string html = fmt::format(
      "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width, initial-scale=1'>"
      "<title>Dovetail: {0}</title><style>{1}</style></head><body><main><h1>{0}</h1><p>{2}</p>",
      name, kPageStyle, escape(text_at(record, "question")));
  html += section(
      "answer", "The answer",
      answer_rows(record) +
          fmt::format("<p>Losses are KL(reference || compressed) in nats per token, relative "
                      "to the released weights, on {}; on other text they differ (&times;0.6 "
                      "to 1.8 seen). Costs are analytical (tier T1).</p>",
                      escape(text_at(record, "texts.select.description"))));
  html += section("front", "Front", front_chart(record));
  html += section("baselines", "Joint answer against the sequential ways of working",
                  "<p>Baseline cost over joint cost at measured loss; above 1 the joint answer is "
                  "cheaper. A margin whose band holds 1 is not established.</p>" +
                      baseline_charts(record) + baseline_table(record));
  html += section("recipes", "Recipes", recipe_maps(record));
  html += section("prediction", "Predicted against measured loss", prediction(record));
  html += section("sensitivity", "Does the winner survive the guesses?", sensitivity(record));
  html += section("parts", "Where area, power and time go", cost_parts(record));
  html += section("provenance", "Provenance", provenance(record));
  return html + "</main></body></html>\n";
}

}  // namespace dovetail::report
