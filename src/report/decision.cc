#include "report/decision.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "report/record_view.h"

namespace dovetail::report {
namespace {

bool is_feasible(const Json& scenario) {
  return scenario.contains("feasible") && scenario["feasible"] == true &&
         scenario.contains("recommendation");
}

std::string percent(double frac) {
  return fmt::format("{:.2g} %", 100 * std::abs(frac));
}

std::string sentence_case(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string scenario_words(const Json& scenario) {
  return fmt::format("{} at a loss of at most {:g} nats per token",
                     objective_words(text_at(scenario, "objective")),
                     number_at(scenario, "kl_cap_nats"));
}

// "the best of 9,797,760 chips, searched exactly to within 0.06 % of the optimum".
std::string search_words(const Json& record) {
  const double gap = number_at(record, "optimality_gap_frac");
  if (!has_number(record, "search.num_chips")) {
    return fmt::format("its recipe is within {} of the best", percent(gap));
  }
  const std::string chips = show_count(number_at(record, "search.num_chips"));
  if (flag_at(record["search"], "exact", true)) {
    return fmt::format("the best of {} chips, searched exactly to within {} of the optimum", chips,
                       percent(gap));
  }
  return fmt::format("the best of {} evaluated among {} chips ({}), at most {} above the bound",
                     has_number(record, "search.evaluations")
                         ? show_count(number_at(record, "search.evaluations"))
                         : "those",
                     chips, method_words(text_at(record, "search.method")),
                     percent(number_at(record, "search.bound_gap_frac")));
}

Sentence build_sentence(const Json& record, const Json& scenario) {
  const Json& point = scenario["recommendation"];
  std::string recipes;
  for (const Json& product : list_at(point, "products")) {
    recipes += fmt::format(
        "{}{} to {:.2f} bits per weight ({} a request{})", recipes.empty() ? "" : " and ",
        text_at(product, "name"), number_at(product, "bits_per_weight"),
        show_ns(number_at(product, "cost.latency_ns")),
        has_number(product, "cost.energy_pj_per_token")
            ? fmt::format(", {} a token", show_pj(number_at(product, "cost.energy_pj_per_token")))
            : "");
  }
  const bool given = !has_number(record, "search.num_chips");
  const bool exact = !record.contains("search") || flag_at(record["search"], "exact", true);
  return {
      "Build",
      fmt::format("For {}, {} in {} ({:.3g} mm², {:.2f} USD with its DRAM) and compress {}: {}.",
                  scenario_words(scenario), given ? "keep the given chip" : "build a chip",
                  describe_chip(point["chip"]), number_at(point, "limits.area_mm2"),
                  number_at(point, "limits.price_usd"), recipes, search_words(record)),
      exact ? "model" : "partly"};
}

const Json* closest_baseline(const Json& scenario) {
  const Json* closest = nullptr;
  for (const Json& baseline : list_at(scenario, "baselines")) {
    if (!flag_at(baseline, "feasible", false) || !has_number(baseline, "ratio")) continue;
    if (closest == nullptr || number_at(baseline, "ratio") < number_at(*closest, "ratio")) {
      closest = &baseline;
    }
  }
  return closest;
}

// In how many feasible scenarios with a baseline does the joint answer beat all of them for sure?
std::pair<int64_t, int64_t> count_established(const Json& record) {
  int64_t num_established = 0;
  int64_t num_compared = 0;
  for (const Json& scenario : record["scenarios"]) {
    const Json* closest = is_feasible(scenario) ? closest_baseline(scenario) : nullptr;
    if (closest == nullptr) continue;
    ++num_compared;
    if (text_at(*closest, "verdict") == "established") ++num_established;
  }
  return {num_established, num_compared};
}

Sentence together_sentence(const Json& record, const Json& scenario) {
  const Json* closest = closest_baseline(scenario);
  if (closest == nullptr) {
    return {
        "Together or in turn",
        "Whether choosing recipe and chip together pays is not established: there is no baseline "
        "to compare with here.",
        "open"};
  }
  const double ratio = number_at(*closest, "ratio");
  const std::string verdict = text_at(*closest, "verdict");
  const std::string who = baseline_words(text_at(*closest, "name"));
  const auto [num_established, num_compared] = count_established(record);
  const std::string overall =
      num_compared > 1 ? fmt::format(
                             "; over all {} scenarios the margin over the best alternative "
                             "is established in {}",
                             num_compared, num_established)
                       : "";
  const std::string band =
      fmt::format("×{:.3f}, band {:.3f} to {:.3f}", ratio, number_at(*closest, "ratio_low"),
                  number_at(*closest, "ratio_high"));
  if (verdict == "same point") {
    return {"Together or in turn",
            fmt::format("Choosing together gains nothing here: \"{}\" ends at the same point{}.",
                        who, overall),
            num_established > 0 ? "partly" : "open"};
  }
  if (verdict != "established") {
    return {"Together or in turn",
            fmt::format("A gain over the best alternative, \"{}\", is not established ({}){}.", who,
                        band, overall),
            "open"};
  }
  return {"Together or in turn",
          fmt::format("Choosing together beats every other way of working; the closest, \"{}\", "
                      "costs {} more ({}){}.",
                      who, percent(ratio - 1), band, overall),
          ratio < 1.03 ? "partly" : "model"};
}

std::string additivity_words(const Json& record) {
  if (!has_number(record, "additivity_spearman")) {
    return "how well predictions add up over whole recipes was not measured";
  }
  return fmt::format(
      "predictions ranked {:.0f} whole recipes with Spearman {:.3f}, measured over predicted loss "
      "being {:.2f} ({:.2f} to {:.2f}), which the search allows for",
      number_at(record, "additivity.num_recipes"), number_at(record, "additivity_spearman"),
      number_at(record, "additivity.bias_ratio"), number_at(record, "additivity.bias_min_ratio"),
      number_at(record, "additivity.bias_max_ratio"));
}

std::string chip_sums_words(const Json& product) {
  if (!product.contains("chip_sums")) return "";
  if (!has_number(product, "chip_sums.kl.kl_nats_per_token")) {
    return ", with the chip's own sums not measured: " + text_at(product["chip_sums"], "why_not");
  }
  return fmt::format(", {:.4f} there with the chip's own sums",
                     number_at(product, "chip_sums.kl.kl_nats_per_token"));
}

std::string measured_words(const Json& product) {
  std::string text = fmt::format("{} loses {:.4f} ± {:.4f} nats per token",
                                 text_at(product, "name"), number_at(product, "measured_kl_nats"),
                                 2 * number_at(product, "measured_kl_stderr_nats"));
  if (has_number(product, "certified_kl_nats")) {
    text += fmt::format(" ({:.4f} on a third text{})", number_at(product, "certified_kl_nats"),
                        chip_sums_words(product));
  }
  return text;
}

Sentence loss_sentence(const Json& record, const Json& scenario) {
  std::string measured;
  std::string borrowed;
  const Json& products = list_at(scenario["recommendation"], "products");
  const Json& declared = list_at(record, "products");
  for (size_t i = 0; i < products.size(); ++i) {
    const Json& product = products[i];
    if (has_number(product, "measured_kl_nats")) {
      measured += (measured.empty() ? "" : " and ") + measured_words(product);
      continue;
    }
    borrowed += fmt::format(
        "{}the loss of {} is not measured, {:.3f} nats per token being expected from the profile "
        "{}",
        borrowed.empty() ? "" : ", ", text_at(product, "name"),
        number_at(product, "expected_kl_nats", number_at(product, "predicted_kl_nats")),
        i < declared.size() ? text_at(declared[i], "loss_profile") : "");
  }
  std::string text;
  if (!measured.empty()) {
    text = "Executed on the host, " + measured + " against the released weights; ";
  }
  if (!borrowed.empty()) text += (text.empty() ? "Not established: " : "") + borrowed + "; ";
  return {"Loss", text + additivity_words(record) + ".",
          borrowed.empty()   ? "sure"
          : measured.empty() ? "open"
                             : "partly"};
}

// Which resource takes most of a phase's time, and what share: by the ops that it binds.
std::string binding_words(const Json& point, const std::string& phase) {
  std::map<std::string, double> time_ns;
  double total_ns = 0;
  for (const Json& product : list_at(point, "products")) {
    for (const Json& op : list_at(product, "cost.ops")) {
      if (text_at(op, "phase") != phase) continue;
      time_ns[text_at(op, "binding")] += number_at(op, "latency_ns");
      total_ns += number_at(op, "latency_ns");
    }
  }
  if (total_ns <= 0) return "";
  const auto top =
      std::ranges::max_element(time_ns, {}, [](const auto& entry) { return entry.second; });
  return fmt::format("{:.0f} % of the {} time waits for {}", 100 * top->second / total_ns, phase,
                     resource_words(top->first));
}

Sentence worth_sentence(const Json& scenario) {
  const Json& point = scenario["recommendation"];
  const std::string prefill = binding_words(point, "prefill");
  const std::string decode = binding_words(point, "decode");
  const std::string text = prefill + (prefill.empty() || decode.empty() ? "" : ", ") + decode +
                           (prefill.empty() && decode.empty() ? "" : "; ");
  const Json& prices = list_at(scenario, "shadow_prices");
  const Json* best = nullptr;
  for (const Json& price : prices) {
    if (!flag_at(price, "feasible", false) || !has_number(price, "objective_change_frac")) continue;
    const double change = number_at(price, "objective_change_frac");
    if (best == nullptr || change < number_at(*best, "objective_change_frac")) best = &price;
  }
  if (best == nullptr) {
    return {"What binds",
            sentence_case(text + "what one more unit of a resource is worth was not computed."),
            "open"};
  }
  const double change = number_at(*best, "objective_change_frac");
  if (change > -0.0005) {
    return {"What binds",
            sentence_case(text + "no single step of a budget or of the chip makes it cheaper."),
            "model"};
  }
  return {"What binds",
          sentence_case(
              text + fmt::format("the step worth most is {:+g} {} of {}, which lowers {} by {}.",
                                 number_at(*best, "step"), unit_words(text_at(*best, "unit")),
                                 text_at(*best, "resource"),
                                 objective_words(text_at(scenario, "objective")), percent(change))),
          "model"};
}

// How today's winner fares where it would not win.
struct Overturned {
  int64_t num_changes = 0;
  int64_t num_unfit = 0;  // of them: it would not meet the limits any more
  double regret_frac = 0;
  std::string worst;
};

Overturned count_overturned(const Json& rows) {
  Overturned found;
  for (const Json& row : rows) {
    if (!flag_at(row, "winner_changes", false)) continue;
    ++found.num_changes;
    if (!flag_at(row, "winner_fits_low", true) || !flag_at(row, "winner_fits_high", true)) {
      ++found.num_unfit;
    }
    const double here =
        std::max(number_at(row, "regret_low_frac"), number_at(row, "regret_high_frac"));
    if (here <= found.regret_frac) continue;
    found.regret_frac = here;
    found.worst = text_at(row, "constant");
  }
  return found;
}

Sentence robustness_sentence(const Json& scenario) {
  constexpr const char* kTopic = "What could overturn it";
  const std::string analytical =
      "every cost is analytical: no simulation, synthesis or silicon has checked it yet.";
  const Json& rows = list_at(scenario, "tornado");
  if (rows.empty()) {
    return {kTopic,
            "Whether the winner survives the ranges of the technology constants was not computed, "
            "and " +
                analytical,
            "open"};
  }
  const Overturned found = count_overturned(rows);
  if (found.num_changes == 0) {
    return {kTopic,
            fmt::format("The winner stays the winner when any one of the {} technology constants "
                        "that matter goes to an end of its range, but {}",
                        rows.size(), analytical),
            "partly"};
  }
  std::string how = found.worst.empty()
                        ? ""
                        : fmt::format("at worst, {}, this chip costs {} more than the best",
                                      found.worst, percent(found.regret_frac));
  if (found.num_unfit > 0) {
    how += fmt::format("{}under {} it would not meet the limits any more",
                       how.empty() ? "" : ", and ", found.num_unfit);
  }
  return {kTopic,
          fmt::format("Another chip would win under {} of {} technology constants taken to an end "
                      "of their range ({}), and {}",
                      found.num_changes, rows.size(), how.empty() ? "another is as good" : how,
                      analytical),
          found.regret_frac > 0.03 || found.num_unfit > 0 ? "open" : "partly"};
}

// "mmlu passes (-0.4 points of 1,140 questions, 3 allowed)".
std::string target_words(const Json& target, const Json& verdict) {
  const double lost = number_at(verdict, "counts.lost");
  const double gained = number_at(verdict, "counts.gained");
  const double asked = number_at(verdict, "num_asked", 1);
  const std::string limit =
      number_at(target, "floor_frac") > 0
          ? fmt::format("at least {:.1f} % wanted", 100 * number_at(target, "floor_frac"))
          : fmt::format("{:.2g} may be lost", 100 * number_at(target, "margin_frac"));
  return fmt::format("{} {:+.2f} points on {} questions, {} ({}: {})", text_at(target, "benchmark"),
                     100 * (gained - lost) / asked, show_count(asked), limit,
                     text_at(target, "verdict"), text_at(verdict, "decision"));
}

const Json* judged_answer(const Json& record, int64_t scenario) {
  for (const Json& answer : list_at(record["accuracy"], "answers")) {
    if (number_at(answer, "scenario", -1) == static_cast<double>(scenario)) return &answer;
  }
  return nullptr;
}

Sentence accuracy_sentence(const Json& record, int64_t scenario) {
  constexpr const char* kTopic = "Accuracy";
  const Json& targets = list_at(record["accuracy"], "targets");
  std::string unrun;
  for (const Json& target : targets) {
    if (target.contains("why_not")) {
      unrun += fmt::format(" {} could not be run: {}.", text_at(target, "benchmark"),
                           text_at(target, "why_not"));
    }
  }
  const Json* answer = judged_answer(record, scenario);
  if (answer == nullptr) {
    return {kTopic, "This answer was not asked any benchmark." + unrun, "open"};
  }
  std::string parts;
  for (const Json& verdict : list_at(*answer, "targets")) {
    const auto index = static_cast<size_t>(number_at(verdict, "target"));
    if (index >= targets.size()) continue;
    parts += fmt::format("{}{}", parts.empty() ? "" : "; ", target_words(targets[index], verdict));
  }
  const std::string decision = text_at(*answer, "decision");
  const std::string says = decision == "pass"   ? "It keeps every accuracy target"
                           : decision == "fail" ? "It misses an accuracy target"
                                                : "Whether it keeps its accuracy is undecided";
  return {kTopic, fmt::format("{}: {}.{}", says, parts, unrun),
          decision == "pass" ? "sure" : "open"};
}

Sentence nothing_fits(const Json& record) {
  const Json& scenarios = record["scenarios"];
  return {"Nothing fits",
          scenarios.empty() ? std::string("The study asks for no scenario.")
                            : fmt::format("No chip and recipe meet the limits of any of the {} "
                                          "scenarios; the first says: {}.",
                                          scenarios.size(), text_at(scenarios[0], "why_not")),
          "open"};
}

}  // namespace

std::string_view standing_words(std::string_view standing) {
  if (standing == "sure") return "sure, measured";
  if (standing == "model") return "sure within the cost model";
  return standing == "partly" ? "sure in part" : "not established";
}

namespace {

// Of the study's first objective with an accuracy that holds; -1 without one.
int64_t accurate_scenario(const Json& record, const std::string& objective) {
  if (!record.contains("accuracy")) return -1;
  for (const Json& found : list_at(record["accuracy"], "recommended")) {
    if (text_at(found, "objective") != objective || !has_number(found, "scenario")) continue;
    const double scenario = number_at(found, "scenario");
    if (scenario >= 0 && scenario < static_cast<double>(record["scenarios"].size())) {
      return static_cast<int64_t>(scenario);
    }
  }
  return -1;
}

}  // namespace

int64_t headline_scenario(const Json& record) {
  const Json& scenarios = record["scenarios"];
  std::vector<int64_t> feasible;
  for (size_t i = 0; i < scenarios.size(); ++i) {
    if (is_feasible(scenarios[i])) feasible.push_back(static_cast<int64_t>(i));
  }
  if (feasible.empty()) return -1;
  const auto at = [&](int64_t i) -> const Json& { return scenarios[static_cast<size_t>(i)]; };
  const std::string objective = text_at(at(feasible.front()), "objective");
  if (const int64_t accurate = accurate_scenario(record, objective); accurate >= 0) return accurate;
  std::erase_if(feasible, [&](int64_t i) { return text_at(at(i), "objective") != objective; });
  std::ranges::stable_sort(feasible, {},
                           [&](int64_t i) { return number_at(at(i), "kl_cap_nats"); });
  if (record.contains("accuracy")) return feasible.front();  // the nearest to keeping it
  return feasible[(feasible.size() - 1) / 2];
}

std::vector<Sentence> decide(const Json& record) {
  const int64_t headline = headline_scenario(record);
  if (headline < 0) return {nothing_fits(record)};
  const Json& scenario = record["scenarios"][static_cast<size_t>(headline)];
  std::vector<Sentence> sentences = {
      build_sentence(record, scenario), together_sentence(record, scenario),
      loss_sentence(record, scenario), worth_sentence(scenario), robustness_sentence(scenario)};
  if (record.contains("accuracy")) {
    sentences.insert(sentences.begin() + 3, accuracy_sentence(record, headline));
  }
  return sentences;
}

}  // namespace dovetail::report
