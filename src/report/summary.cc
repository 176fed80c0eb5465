#include "report/summary.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "report/decision.h"
#include "report/record_view.h"

namespace dovetail::report {
namespace {

constexpr size_t kMaxLines = 24;

std::string scenario_line(const Json& scenario) {
  const std::string head =
      fmt::format("{:<16} KL <= {:<6g}", objective_words(text_at(scenario, "objective")),
                  number_at(scenario, "kl_cap_nats"));
  if (!flag_at(scenario, "feasible", false)) {
    return fmt::format("{} no point fits: {}", head, text_at(scenario, "why_not"));
  }
  const Json& point = scenario["recommendation"];
  const Json& product = point["products"][0];
  const bool measured = has_number(product, "measured_kl_nats");
  const double kl = number_at(product, measured ? "measured_kl_nats" : "expected_kl_nats");
  const Json* closest = nullptr;
  for (const Json& baseline : scenario["baselines"]) {
    if (!flag_at(baseline, "feasible", false)) continue;
    if (closest == nullptr || number_at(baseline, "ratio") < number_at(*closest, "ratio")) {
      closest = &baseline;
    }
  }
  std::string against =
      scenario["baselines"].empty() ? "one side is given, no baseline" : "no baseline fits";
  if (closest != nullptr) {
    against = fmt::format("best baseline {} x{:.3f} [{:.3f}, {:.3f}] {}", text_at(*closest, "name"),
                          number_at(*closest, "ratio"), number_at(*closest, "ratio_low"),
                          number_at(*closest, "ratio_high"), text_at(*closest, "verdict"));
  }
  return fmt::format(
      "{} {} {:.4g} mm2, KL {:.4f} {}; {}", head, show_ns(number_at(product, "cost.latency_ns")),
      number_at(point, "limits.area_mm2"), kl, measured ? "measured" : "expected", against);
}

std::string search_line(const Json& record) {
  const double gap_percent = 100 * number_at(record, "optimality_gap_frac");
  if (!has_number(record, "search.num_chips")) {
    return fmt::format("{}: one given chip, gap <= {:.2g} %", text_at(record, "name"), gap_percent);
  }
  const std::string chips = show_count(number_at(record, "num_chips"));
  if (!flag_at(record["search"], "exact", true)) {
    return fmt::format("{}: best found among {} chips by {}, at most {:.2g} % from a bound",
                       text_at(record, "name"), chips, text_at(record, "search.method"),
                       100 * number_at(record, "search.bound_gap_frac"));
  }
  return fmt::format("{}: exact over {} chips, {} allocated, gap <= {:.2g} %",
                     text_at(record, "name"), chips,
                     show_count(number_at(record, "search.num_allocated")), gap_percent);
}

// Without accuracy targets nothing stands against it.
bool keeps_accuracy(const Json& record, int64_t scenario) {
  if (!record.contains("accuracy")) return true;
  return std::ranges::any_of(list_at(record["accuracy"], "recommended"), [&](const Json& found) {
    return number_at(found, "scenario", -1) == static_cast<double>(scenario);
  });
}

void add_recommendation(const Json& scenario, bool keeps_accuracy,
                        std::vector<std::string>& lines) {
  const Json& point = scenario["recommendation"];
  lines.push_back(fmt::format(
      "{} for {} at KL <= {:g}:",
      keeps_accuracy ? "recommended" : "the smallest loss, its accuracy not established,",
      objective_words(text_at(scenario, "objective")), number_at(scenario, "kl_cap_nats")));
  lines.push_back("  chip    " + describe_chip(point["chip"]));
  for (const Json& product : point["products"]) {
    lines.push_back(
        fmt::format("  recipe  {} {}", text_at(product, "name"), describe_recipe(product)));
  }
}

void add_accuracy(const Json& record, std::vector<std::string>& lines) {
  if (!record.contains("accuracy")) return;
  const Json& accuracy = record["accuracy"];
  const Json& targets = list_at(accuracy, "targets");
  for (const Json& target : targets) {
    if (!target.contains("why_not")) continue;
    lines.push_back(fmt::format("accuracy: {} could not be run: {}", text_at(target, "benchmark"),
                                text_at(target, "why_not")));
  }
  for (const Json& answer : list_at(accuracy, "answers")) {
    std::string parts;
    for (const Json& verdict : list_at(answer, "targets")) {
      const auto index = static_cast<size_t>(number_at(verdict, "target"));
      if (index >= targets.size()) continue;
      parts += fmt::format(", {} {} {:.2f} % (released {:.2f}), -{:.0f} +{:.0f} of {:.0f}",
                           text_at(targets[index], "benchmark"), text_at(verdict, "decision"),
                           100 * number_at(verdict, "candidate.score_frac"),
                           100 * number_at(verdict, "baseline.score_frac"),
                           number_at(verdict, "counts.lost"), number_at(verdict, "counts.gained"),
                           number_at(verdict, "num_asked"));
    }
    lines.push_back(
        fmt::format("accuracy: {} KL <= {:g} {}{}", objective_words(text_at(answer, "objective")),
                    number_at(answer, "kl_cap_nats"), text_at(answer, "decision"), parts));
  }
}

}  // namespace

Result<std::string> summarize(const Json& record) {
  return reading_record([&]() -> Result<std::string> {
    DOVETAIL_TRY_STATUS(check_record(record));
    std::vector<std::string> lines;
    lines.push_back(search_line(record));
    if (has_number(record, "additivity_spearman")) {
      lines.push_back(fmt::format(
          "loss model: Spearman {:.3f}, R2 of logs {:.3f}, measured/predicted {:.2f} over {:.0f} "
          "recipes",
          number_at(record, "additivity_spearman"), number_at(record, "additivity.r2_log"),
          number_at(record, "additivity.bias_ratio"), number_at(record, "additivity.num_recipes")));
    }
    for (const Json& scenario : record["scenarios"]) lines.push_back(scenario_line(scenario));
    add_accuracy(record, lines);
    const int64_t headline = headline_scenario(record);
    if (headline >= 0) {
      add_recommendation(record["scenarios"][static_cast<size_t>(headline)],
                         keeps_accuracy(record, headline), lines);
    }
    lines.push_back(
        fmt::format("KL is on \"{}\", relative to the released weights; on other text it",
                    text_at(record, "texts.select.description")));
    lines.push_back("differs (x0.6 to 1.8 seen). Costs are analytical (T1).");
    if (lines.size() > kMaxLines) {
      lines.resize(kMaxLines - 1);
      lines.push_back("...");
    }
    for (std::string& line : lines) line = one_line(line);  // names stand in it, and they are free
    return fmt::format("{}\n", fmt::join(lines, "\n"));
  });
}

}  // namespace dovetail::report
