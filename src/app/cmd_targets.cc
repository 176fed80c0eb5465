// dovetail targets: backward from accuracy to the loss that a study's model may spend.
#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "app/command.h"
#include "app/study_record.h"
#include "study/loss_budget.h"

namespace dovetail::app {
namespace {

struct TargetsOptions {
  std::string study;
  std::string benchmark;
  double margin_frac = 0;
  double confidence_frac = 0.95;
  int64_t sites = 8;
  bool json = false;
};

std::string nats(const Json& value) {
  return value.is_null() ? "none" : fmt::format("{:.4g} nats/token", value.get<double>());
}

void print_sites(const Json& budget, int64_t most) {
  std::vector<Json> sites = budget.at("sites").get<std::vector<Json>>();
  std::ranges::stable_sort(sites, std::greater<>(),
                           [](const Json& site) { return site.at("budget_nats").get<double>(); });
  const auto shown = std::min(sites.size(), static_cast<size_t>(most));
  for (size_t i = 0; i < shown; ++i) {
    print_line(fmt::format(
        "    {:<24} {:.3g} nats, {:.1f} %", sites[i].at("site").get<std::string>(),
        sites[i].at("budget_nats").get<double>(), 100 * sites[i].at("share_frac").get<double>()));
  }
  if (shown < sites.size()) {
    print_line(fmt::format("    and {} more sites; --json lists all", sites.size() - shown));
  }
}

void print_budget(const TargetsOptions& options, const Json& budget) {
  print_line(fmt::format(
      "{} of {}, at most {:.2f} points lost ({}):", budget.at("benchmark").get<std::string>(),
      budget.at("product").get<std::string>(), 100 * budget.at("margin_frac").get<double>(),
      budget.at("verdict").get<std::string>()));
  if (budget.contains("why_not")) {
    print_line("  no loss budget: " + budget.at("why_not").get<std::string>());
    return;
  }
  print_line(fmt::format("  loss budget      {}", nats(budget.at("kl_nats"))));
  print_line(fmt::format("  from the map     {}, {:g} % sure if the line holds",
                         nats(budget.at("mapped_kl_nats")),
                         100 * budget.at("confidence_frac").get<double>()));
  print_line(fmt::format("  that has passed  {}", nats(budget.at("proven_kl_nats"))));
  const Json& map = budget.at("map");
  if (!map.is_null()) {
    print_line(
        fmt::format("  map              {:+.3g} +- {:.2g} points a nat, {} recipes measured "
                    "up to {:.3g} nats",
                    100 * map.at("slope_frac_per_nat").get<double>(),
                    100 * map.at("stderr_frac_per_nat").get<double>(),
                    map.at("num_points").get<int64_t>(), map.at("largest_kl_nats").get<double>()));
  }
  print_sites(budget, options.sites);
}

Status run_targets(const TargetsOptions& options) {
  DOVETAIL_TRY(const Json record, load_study_record(options.study));
  study::LossBudgetParams params{.benchmark = options.benchmark,
                                 .confidence_frac = options.confidence_frac};
  if (options.margin_frac > 0) params.margin_frac = options.margin_frac;
  const auto budgets = study::loss_budgets(record, params);
  if (!budgets.has_value()) return with_context(budgets.error(), options.study);
  if (options.json) {
    print_json(*budgets);
    return {};
  }
  for (const Json& budget : *budgets) print_budget(options, budget);
  return {};
}

}  // namespace

void add_targets_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<TargetsOptions>();
  CLI::App* command =
      app.add_subcommand("targets", "backward: the loss that keeps an accuracy, site by site");
  command
      ->add_option("study", options->study,
                   "folder of a study with [[accuracy]], or a record (optimize --json)")
      ->required();
  command->add_option("--benchmark", options->benchmark, "only the targets of this benchmark");
  command
      ->add_option("--margin", options->margin_frac,
                   "another margin than the targets' own, a fraction of the questions")
      ->check(CLI::Range(1e-6, 0.999));
  command
      ->add_option("--confidence", options->confidence_frac,
                   "that the accuracy is kept, where it follows from the map")
      ->check(CLI::Range(0.501, 0.999999))
      ->capture_default_str();
  command->add_option("--sites", options->sites, "sites that are listed, the largest budgets first")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_flag("--json", options->json, "print everything as JSON");
  command->callback([options, &action] { action = [options] { return run_targets(*options); }; });
}

}  // namespace dovetail::app
