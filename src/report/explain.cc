#include "report/explain.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "report/explain_reasons.h"
#include "report/record_view.h"

namespace dovetail::report {
namespace {

// What a name points at.
struct Target {
  const Json* scenario = nullptr;  // null for a point of the front
  const Json* baseline = nullptr;
  const Json* front_point = nullptr;
};

// "latency 0.15 size_first" -> "latency@0.15/size_first".
std::string joined(const std::string& point) {
  std::string name;
  for (size_t begin = 0; begin < point.size();) {
    const size_t end = std::min(point.find(' ', begin), point.size());
    if (end > begin) {
      if (!name.empty()) name += name.find('@') == std::string::npos ? '@' : '/';
      name += point.substr(begin, end - begin);
    }
    begin = end + 1;
  }
  return name;
}

std::optional<size_t> number_of(const std::string& text) {
  size_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "latency@0.150" is "latency@0.15".
std::string with_plain_cap(const std::string& name) {
  const size_t at = name.find('@');
  if (at == std::string::npos) return name;
  const size_t slash = std::min(name.find('/', at), name.size());
  double cap = 0;
  const auto [end, code] = std::from_chars(name.data() + at + 1, name.data() + slash, cap);
  if (code != std::errc() || end != name.data() + slash) return name;
  return fmt::format("{}{:g}{}", name.substr(0, at + 1), cap, name.substr(slash));
}

std::unexpected<Error> no_such_point(const Json& record, const std::string& point) {
  std::vector<std::string> all;
  std::vector<std::string> shown;
  for (const PointName& known : explainable_points(record)) {
    all.push_back(known.name);
    if (known.name.find('/') == std::string::npos && !known.name.starts_with("front:")) {
      shown.push_back(known.name);
    }
  }
  const size_t num_front = record["front"].size();
  if (num_front > 0) shown.push_back(fmt::format("front:0 .. front:{}", num_front - 1));
  const auto near = nearest_name(point, all);
  return invalid_argument(fmt::format(
      "point \"{}\" is not in this study, want one of {}{}", point, fmt::join(shown, ", "),
      near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

Result<Target> find_target(const Json& record, const std::string& point) {
  const std::string name = with_plain_cap(joined(point));
  const Json& scenarios = record["scenarios"];
  const Json& front = record["front"];
  if (const auto number = number_of(name);
      number.has_value() && *number >= 1 && *number <= scenarios.size()) {
    return Target{.scenario = &scenarios[*number - 1]};
  }
  if (name.starts_with("front:")) {
    const auto number = number_of(name.substr(6));
    if (number.has_value() && *number < front.size()) {
      return Target{.front_point = &front[*number]};
    }
  }
  for (const Json& scenario : scenarios) {
    const std::string known = scenario_name(scenario);
    if (name == known) return Target{.scenario = &scenario};
    for (const Json& baseline : list_at(scenario, "baselines")) {
      if (name == known + "/" + text_at(baseline, "name")) {
        return Target{.scenario = &scenario, .baseline = &baseline};
      }
    }
  }
  for (const Json& entry : front) {
    if (text_at(entry, "chip.name") == name) return Target{.front_point = &entry};
  }
  return no_such_point(record, point);
}

Explanation explain_recommendation(const Json& record, const Json& scenario) {
  Explanation explanation;
  explanation.title =
      fmt::format("{}: the recommendation for {} at a loss of at most {:g} nats per token",
                  scenario_name(scenario), objective_words(text_at(scenario, "objective")),
                  number_at(scenario, "kl_cap_nats"));
  const Json& point = scenario["recommendation"];
  explanation.parts = {what_it_is(record, point),         what_binds(point),
                       why_this_chip(record, scenario),   why_these_bits(record, scenario),
                       what_else_costs(record, scenario), how_sure(record, scenario)};
  return explanation;
}

Explanation explain_infeasible(const Json& scenario) {
  return {.title = fmt::format("{}: nothing fits", scenario_name(scenario)),
          .parts = {{"Why not", {text_at(scenario, "why_not")}}}};
}

ExplanationPart against_recommendation(const Json& scenario, const Json& baseline) {
  ExplanationPart part{"Against the joint answer", {}};
  const std::string verdict = text_at(baseline, "verdict");
  part.lines.push_back(
      fmt::format("It takes {} of {} (x{:.3f}, band {:.3f} to {:.3f}); the difference is {}.",
                  change_words(number_at(baseline, "ratio", 1)),
                  objective_words(text_at(scenario, "objective")), number_at(baseline, "ratio", 1),
                  number_at(baseline, "ratio_low", 1), number_at(baseline, "ratio_high", 1),
                  verdict.empty() ? "not judged" : verdict));
  const Json& here = baseline["point"];
  const Json& joint = scenario["recommendation"];
  const std::string changes = chip_changes(joint["chip"], here["chip"]);
  part.lines.push_back(changes.empty()
                           ? "It ends at the same kind of chip."
                           : "From the joint answer's chip to this one: " + changes + ".");
  const Json& products = list_at(here, "products");
  for (size_t i = 0; i < products.size(); ++i) {
    part.lines.push_back(fmt::format("{}: {:.2f} bits per weight here, {:.2f} in the joint answer.",
                                     text_at(products[i], "name"),
                                     number_at(products[i], "bits_per_weight"),
                                     number_at(list_at(joint, "products")[i], "bits_per_weight")));
  }
  return part;
}

Explanation explain_baseline(const Json& record, const Json& scenario, const Json& baseline) {
  Explanation explanation;
  explanation.title = fmt::format("{}/{}: {}", scenario_name(scenario), text_at(baseline, "name"),
                                  baseline_words(text_at(baseline, "name")));
  if (!flag_at(baseline, "feasible", false) || !baseline.contains("point")) {
    explanation.parts = {{"Why not", {text_at(baseline, "why_not")}}};
    return explanation;
  }
  const Json& point = baseline["point"];
  explanation.parts.push_back(what_it_is(record, point));
  if (const std::string first = text_at(baseline, "fixed_first"); !first.empty()) {
    explanation.parts.back().lines.push_back("What was decided first: " + first + ".");
  }
  explanation.parts.push_back(what_binds(point));
  explanation.parts.push_back(against_recommendation(scenario, baseline));
  return explanation;
}

// What the point would cost under each scenario that shares its cap and metric.
ExplanationPart against_scenarios(const Json& record, const Json& front_point) {
  ExplanationPart part{"Against the recommendations", {}};
  for (const Json& scenario : record["scenarios"]) {
    if (!flag_at(scenario, "feasible", false)) continue;
    const std::string objective = text_at(scenario, "objective");
    if (!same_cap(number_at(scenario, "kl_cap_nats"), number_at(front_point, "kl_cap_nats")) ||
        !objective.starts_with(text_at(front_point, "metric"))) {
      continue;
    }
    const Json& joint = scenario["recommendation"];
    const double ratio =
        objective_of(record, scenario, front_point) / number_at(joint, "objective_value", 1);
    const std::string changes = chip_changes(joint["chip"], front_point["chip"]);
    part.lines.push_back(fmt::format(
        "{}: {} than the recommendation, at predicted loss. {}", scenario_name(scenario),
        change_words(ratio),
        changes.empty() ? "It is that chip." : "From that chip to this one: " + changes + "."));
  }
  if (part.lines.empty()) part.lines.push_back("No scenario of the study has its cap and metric.");
  return part;
}

Explanation explain_front_point(const Json& record, const Json& front_point) {
  return {
      .title = fmt::format(
          "{}: a point of the front of {} against area at a loss of at most {:g} nats per token",
          text_at(front_point, "chip.name"), text_at(front_point, "metric"),
          number_at(front_point, "kl_cap_nats")),
      .parts = {what_it_is(record, front_point), what_binds(front_point),
                against_scenarios(record, front_point)}};
}

// One line of text broken between words, indented by two.
std::string broken(const std::string& line, size_t width) {
  std::string text;
  size_t used = 0;
  for (size_t begin = 0; begin < line.size();) {
    const size_t end = std::min(line.find(' ', begin), line.size());
    if (used == 0) {
      text += "  ";
      used = 2;
    } else if (used + 1 + (end - begin) > width) {
      text += "\n    ";
      used = 4;
    } else {
      text += ' ';
      ++used;
    }
    text += line.substr(begin, end - begin);
    used += end - begin;
    begin = end + 1;
  }
  return text + "\n";
}

}  // namespace

std::vector<PointName> explainable_points(const Json& record) {
  std::vector<PointName> points;
  for (const Json& scenario : record["scenarios"]) {
    const std::string name = scenario_name(scenario);
    points.push_back(
        {name, flag_at(scenario, "feasible", false)
                   ? "the recommendation for " + objective_words(text_at(scenario, "objective"))
                   : "nothing fits"});
    for (const Json& baseline : list_at(scenario, "baselines")) {
      points.push_back(
          {name + "/" + text_at(baseline, "name"), baseline_words(text_at(baseline, "name"))});
    }
  }
  const Json& front = record["front"];
  for (size_t i = 0; i < front.size(); ++i) {
    points.push_back(
        {fmt::format("front:{}", i),
         fmt::format("{} at {:g} nats, {:.3g} mm2: {}", text_at(front[i], "metric"),
                     number_at(front[i], "kl_cap_nats"), number_at(front[i], "limits.area_mm2"),
                     text_at(front[i], "chip.name"))});
  }
  return points;
}

Result<Explanation> explain_point(const Json& record, const std::string& point) {
  return reading_record([&]() -> Result<Explanation> {
    DOVETAIL_TRY_STATUS(check_record(record));
    DOVETAIL_TRY(const Target target, find_target(record, point));
    if (target.front_point != nullptr) return explain_front_point(record, *target.front_point);
    if (!flag_at(*target.scenario, "feasible", false)) return explain_infeasible(*target.scenario);
    if (target.baseline != nullptr) {
      return explain_baseline(record, *target.scenario, *target.baseline);
    }
    return explain_recommendation(record, *target.scenario);
  });
}

std::string explanation_text(const Explanation& explanation, size_t width) {
  std::string text = explanation.title + "\n";
  for (const ExplanationPart& part : explanation.parts) {
    text += "\n" + part.title + "\n";
    for (const std::string& line : part.lines) text += broken(line, width);
  }
  return text;
}

Json to_json(const Explanation& explanation) {
  Json parts = Json::array();
  for (const ExplanationPart& part : explanation.parts) {
    parts.push_back({{"title", part.title}, {"lines", part.lines}});
  }
  return Json{{"title", explanation.title}, {"parts", std::move(parts)}};
}

}  // namespace dovetail::report
